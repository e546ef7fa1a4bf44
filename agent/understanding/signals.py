"""Finds words that change how a message must be treated: insults, threats with law or press, danger to life.

Called by `understand`; the phrases are data (`lexicons/signals.tsv`), so that a content team can add to them. These are
hints for the policy (a person takes over, the tone changes), not verdicts: harmless phrases that contain a bad one are
listed too, and taken out first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent.understanding.normalise import read_table

PHRASE_FILE = Path(__file__).parent / "lexicons" / "signals.tsv"


@dataclass(frozen=True)
class Signals:
    insult: bool
    legal_threat: bool
    media_threat: bool
    self_harm: bool

    def names(self) -> tuple[str, ...]:
        return tuple(name for name, present in vars(self).items() if present)


class SignalFinder:
    def __init__(self) -> None:
        phrases: dict[str, list[str]] = {}
        harmless: dict[str, list[str]] = {}
        for signal, phrase in read_table(PHRASE_FILE):
            kind = harmless if phrase.startswith("!") else phrases
            kind.setdefault(signal, []).append(phrase.removeprefix("!"))
        self._phrases = {signal: _pattern(found) for signal, found in phrases.items()}
        self._harmless = {signal: _pattern(found) for signal, found in harmless.items()}

    def find(self, normalised: str) -> Signals:
        return Signals(
            insult=self._has("insult", normalised),
            legal_threat=self._has("legal_threat", normalised),
            media_threat=self._has("media_threat", normalised),
            self_harm=self._has("self_harm", normalised),
        )

    def _has(self, signal: str, text: str) -> bool:
        lower = text.lower()
        if signal in self._harmless:
            lower = self._harmless[signal].sub(" ", lower)
        return self._phrases[signal].search(lower) is not None


def _pattern(phrases: list[str]) -> re.Pattern[str]:
    """Latin phrases match whole words only: "press" is no "express"."""
    return re.compile("|".join(rf"(?<![a-z]){re.escape(phrase)}(?![a-z])" for phrase in phrases))
