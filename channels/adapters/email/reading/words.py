"""What mail clients write by themselves, from `words.yaml`: the lines above quotes, dividers, signatures, subjects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

COLON = "[:\uff1a]"
"""Clients write either; the full width one as an escape, because some tools fold it."""

_LOADED: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))


def _pattern(name: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    alternatives = "|".join(f"(?:{one})" for one in _LOADED[name])
    return re.compile(alternatives.replace("<colon>", COLON), flags)


INTRO = _pattern("intros")
DIVIDER = _pattern("dividers")
BLOCK_FIRST = _pattern("block_first")
BLOCK_OTHERS = _pattern("block_others")
CLIENT_SIGNATURE = _pattern("client_signatures")
REPLY_PREFIX = _pattern("reply_prefixes")
AUTOMATIC_SUBJECT = _pattern("automatic_subjects")
QUOTED_CLASSES = frozenset(_LOADED["quoted_classes"])
QUOTED_IDS = frozenset(_LOADED["quoted_ids"])
QUOTED_TO_END = frozenset(_LOADED["quoted_to_end"])
SUBJECT: dict[str, str] = _LOADED["subject"]
"""By language, for a conversation that has none."""
