"""Tells the language of a message and in which of our two template languages to answer it.

Called once a turn. Statistical detectors take a short Cantonese question for Kazakh, so rules on the script come first:
Cantonese function characters, traditional against simplified forms, kana, hangul and so on. Only Latin text of
several words is left to lingua, whose models are loaded by the first such text (about a second). What has no words
of its own (an emoji, a number, "ok") keeps the language of the conversation.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal, cast

from lingua import Language as LinguaLanguage
from lingua import LanguageDetector, LanguageDetectorBuilder

from agent.understanding.normalise import fold, looks_cantonese, simplify, traditionalise
from agent.understanding.scripts import Script, dominant_script, script_counts

Code = Literal[
    "zh-Hans", "zh-Hant", "yue", "en", "ja", "ko", "fr", "de", "es", "vi", "th", "id", "ru", "pt", "ar"
]
Reply = Literal["zh", "en"]

SHOP_LANGUAGE: Code = "zh-Hans"
CHINESE: frozenset[str] = frozenset({"zh-Hans", "zh-Hant", "yue"})
_BY_SCRIPT: dict[Script, Code] = {
    "kana": "ja",
    "hangul": "ko",
    "thai": "th",
    "arabic": "ar",
    "cyrillic": "ru",
}
_LATIN: dict[LinguaLanguage, Code] = {
    LinguaLanguage.ENGLISH: "en",
    LinguaLanguage.FRENCH: "fr",
    LinguaLanguage.GERMAN: "de",
    LinguaLanguage.SPANISH: "es",
    LinguaLanguage.VIETNAMESE: "vi",
    LinguaLanguage.INDONESIAN: "id",
    LinguaLanguage.PORTUGUESE: "pt",
}
_CODES: frozenset[str] = frozenset({SHOP_LANGUAGE, "zh-Hant", "yue", *_BY_SCRIPT.values(), *_LATIN.values()})

_NOT_WORDS = re.compile(r"https?://\S+|[\w.+-]+@\S+|(?<![A-Za-z0-9])[A-Za-z-]*\d[A-Za-z0-9-]*")
"""Links, addresses, order numbers and model names say nothing about the language."""
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]{2,}")
_SIZES = frozenset(
    {"xl", "xs", "xxl", "xxxl", "app", "vip", "ok", "sf", "ems", "wifi", "usb", "led", "pro", "plus", "hi"}
)
"""Latin in everyday Chinese, not a second language."""

SURE_IT_IS_NOT_ENGLISH = 0.55
"""Share of lingua's confidence another language must reach; product names make short English look foreign."""


@dataclass(frozen=True)
class Language:
    code: Code
    mixed: bool
    """Chinese with English words in it."""
    reply: Reply


def detect_language(text: str, previous: str | None = None) -> Language:
    """`previous` is the code of the conversation so far; anything that is no code of ours counts as none."""
    words = _NOT_WORDS.sub(" ", fold(text))
    before = cast("Code", previous) if previous in _CODES else None
    script = dominant_script(words)
    latin = [word for word in _LATIN_WORD.findall(words) if word.lower() not in _SIZES]
    if script_counts(words)["han"] and script in ("han", "latin"):
        return _with_chinese(words, latin, before)
    if script == "latin":
        return _language(_latin_code(words, before))
    return _language(_BY_SCRIPT.get(script, before or SHOP_LANGUAGE))


def _with_chinese(words: str, latin: list[str], before: Code | None) -> Language:
    characters = script_counts(words)["han"]
    if len(latin) > 2 * characters:
        return _language("en", mixed=True)
    return _language(_chinese_code(words, before), mixed=bool(latin))


def _chinese_code(words: str, before: Code | None) -> Code:
    simplified = simplify(words)
    if looks_cantonese(words, simplified):
        return "yue"
    traditional = sum(a != b for a, b in zip(words, simplified, strict=False))
    plain = sum(a != b for a, b in zip(words, traditionalise(words), strict=False))
    if traditional > plain:
        return "zh-Hant"
    if plain:
        return "zh-Hans"
    return before if before in CHINESE else SHOP_LANGUAGE


def _latin_code(words: str, before: Code | None) -> Code:
    known = Counter(_LATIN_WORD.findall(words.lower()))
    if known.total() < 2 and before is not None:
        return before
    found = _detector().compute_language_confidence_values(words)
    best = found[0]
    return _LATIN[best.language] if best.value >= SURE_IT_IS_NOT_ENGLISH and known.total() >= 2 else "en"


def _language(code: Code, *, mixed: bool = False) -> Language:
    return Language(code, mixed, "zh" if code in CHINESE else "en")


@functools.cache
def _detector() -> LanguageDetector:
    return LanguageDetectorBuilder.from_languages(*_LATIN).build()
