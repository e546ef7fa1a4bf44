"""Tells when a text is no question but an instruction to the sender: stop, start again, help. Pure.

Codecs ask it for every text; the words stand in `words.yaml`. Only a whole message counts: "please stop the delivery" is
for the agent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

OPT_OUT = "opt_out"
OPT_IN = "opt_in"
HELP = "help"
LONGEST = 24
"""Characters; a longer message is no keyword and is not looked at."""

_WORDS = Path(__file__).parent / "words.yaml"


@dataclass(frozen=True, slots=True)
class Keywords:
    """Folded word → event."""

    events: Mapping[str, str]

    def event_of(self, text: str) -> str:
        """opt_out, opt_in, help, or "" for an ordinary message."""
        return "" if len(text) > LONGEST else self.events.get(_folded(text), "")


@cache
def keywords(*, platform_blocks: bool = False, helps: bool = False) -> Keywords:
    """`platform_blocks`: the carrier's platform also acts on everyday words; `helps`: it answers HELP by itself."""
    loaded = words()
    out = [*loaded["opt_out"], *(loaded["platform_opt_out"] if platform_blocks else ())]
    lists = {OPT_OUT: out, OPT_IN: loaded["opt_in"], HELP: loaded["help"] if helps else ()}
    return Keywords({_folded(word): event for event, listed in lists.items() for word in listed})


@cache
def words() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(mark for mark in plain if mark.isalnum())
