"""Says which writing system a text is mostly in; called by language detection and by the heads.

Vectors of one multilingual encoder form one cloud per language. The heads centre each cloud by itself, and
the writing system is the part of "language" that can be told from three characters without being wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

Script = Literal["han", "latin", "kana", "hangul", "cyrillic", "arabic", "thai", "other"]

_PATTERNS: dict[Script, re.Pattern[str]] = {
    "han": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ffff]"),
    "kana": re.compile(r"[\u3040-\u30ff\uff66-\uff9d]"),
    "hangul": re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff\u0750-\u077f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+"),
}
"""One match is about one syllable or word: Latin is counted by words, the others by characters."""


def script_counts(text: str) -> Counter[Script]:
    return Counter(
        {script: found for script, pattern in _PATTERNS.items() if (found := len(pattern.findall(text)))}
    )


def dominant_script(text: str) -> Script:
    """`other` for a text without letters. A few kana make a text Japanese, however much Han it holds."""
    counts = script_counts(text)
    if counts["kana"] >= 2 and counts["kana"] * 5 >= counts["han"]:
        return "kana"
    return counts.most_common(1)[0][0] if counts else "other"
