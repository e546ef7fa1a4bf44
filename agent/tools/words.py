"""Reads `words.yaml` into compiled patterns; built once by `registry.build` and handed to the tools.

Everything is matched against `plain` text: lower-case, simplified script, full-width forms folded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.tools.contract import Option

FILE = Path(__file__).parent / "words.yaml"


@dataclass(frozen=True, slots=True)
class Words:
    affirm: re.Pattern[str]
    deny: re.Pattern[str]
    cancel: re.Pattern[str]
    other: re.Pattern[str]
    change: re.Pattern[str]
    all: re.Pattern[str]
    keep: re.Pattern[str]
    same: re.Pattern[str]
    reasons: Mapping[str, re.Pattern[str]]
    kinds: Mapping[str, re.Pattern[str]]
    numbers: Mapping[str, re.Pattern[str]]
    named: Mapping[str, re.Pattern[str]]
    wishes: Mapping[str, re.Pattern[str]]
    """By tool: how customers ask for what is about their own data, said the same everywhere and hence not learned."""
    purposes: Mapping[str, re.Pattern[str]]
    question: re.Pattern[str]
    how_long: re.Pattern[str]
    measured: re.Pattern[str]
    """A measure word and the one character that names the thing: "盏灯"."""
    elliptic: re.Pattern[str]
    decision: re.Pattern[str]
    resend: re.Pattern[str]
    how_long_questions: Mapping[str, Mapping[str, str]]
    stop_words: frozenset[str]
    confirmation: tuple[Option, ...]
    code_options: tuple[Option, ...]
    reason_options: tuple[Option, ...]
    kind_options: tuple[Option, ...]
    task_options: tuple[Option, ...]
    purpose_options: tuple[Option, ...]
    same_things: tuple[tuple[str, ...], ...]

    def first(self, table: Mapping[str, re.Pattern[str]], text: str) -> str | None:
        """The first key whose pattern is found: the tables stand in order of how telling they are."""
        return next((key for key, pattern in table.items() if pattern.search(text)), None)


def load(path: Path = FILE) -> Words:
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def table(name: str) -> dict[str, re.Pattern[str]]:
        return {str(key): re.compile(pattern) for key, pattern in raw[name].items()}

    single = {
        name: re.compile(raw[name])
        for name in (
            "affirm",
            "deny",
            "cancel",
            "other",
            "change",
            "all",
            "keep",
            "same",
            "question",
            "how_long",
            "measured",
            "elliptic",
            "decision",
            "resend",
        )
    }
    return Words(
        **single,
        reasons=table("reasons"),
        kinds=table("kinds"),
        numbers={
            key: re.compile(rf"^(the )?(第)?({pattern})(个|件|条|单|项|款|样)?( one)?[。.!! 吧啦]*$")
            for key, pattern in raw["numbers"].items()
        },
        named=table("named"),
        wishes=table("wishes"),
        purposes=table("purposes"),
        how_long_questions=raw["how_long_questions"],
        stop_words=frozenset(raw["stop_words"]),
        confirmation=tuple(raw["options"]["confirmation"]),
        code_options=tuple(raw["options"]["codes"]),
        reason_options=tuple(raw["options"]["reasons"]),
        kind_options=tuple(raw["options"]["kinds"]),
        task_options=tuple(raw["options"]["tasks"]),
        purpose_options=tuple(raw["options"]["purposes"]),
        same_things=tuple(tuple(group) for group in raw["same_things"]),
    )
