"""Keeps what the sources say and drops everything else: the last judge of a language model's words. Pure.

`nodes/compose.py` asks it for each sentence before that sentence is shown, `nodes/guard.py` for the whole reply again.
The judgement is lexical and one-sided: a sentence stays only when each of its clauses is covered by one place of one
source, with the same numbers and units, the same names, the same polarity and no stronger words. True paraphrases are
lost that way, and then the published text is shown instead; inventions are not let through.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

CLAUSE_OVERLAP = 0.6
"""Share of a clause's content words that one place of a source must hold."""
SENTENCE_OVERLAP = 0.7
"""The same for the whole sentence against one source."""

_SENTENCE_END = re.compile(r"(?<=[。！？!?；;\n])|(?<=[a-z0-9)\]\"'%])\.(?=\s|$)", re.I)
_CLAUSE_END = re.compile(
    r"[,，、;；:：。！？!?\n|]|\.(?=\s|$)|\s[-–—]\s|\b(?:and|but|or|while)\b|而且|并且|但是?|或者?|以及"
)
_HAN = re.compile(r"[\u3400-\u9fff]+")
_WORD = re.compile(r"[a-z][a-z'-]*[a-z]|[a-z]")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(
    r"https?://\S+|[\w.+-]+@[\w.-]+|\b[A-Z][A-Za-z]*\d[\w-]*|\b[A-Z]{2,}[\w-]*|\b\d{3,4}[- ]\d{3,4}[- ]?\d{0,4}\b|\+\d[\d -]{6,}"
)
_CAPITALISED = re.compile(r"(?<![.!?。！？\n] )(?<!^)\b[A-Z][a-z]{2,}\b")
_CHINESE_NUMBER = re.compile(
    r"[零〇一二两三四五六七八九十百千万半]+(?=\s*(?:个|天|日|小时|分钟|工作日|周|星期|月|年|元|块|件|次|折|成|倍|公斤|千克|米|岁|级|号|点|%|％|秒|页|人|位|种|层|楼|台|张|单))"
)
_NEGATION = re.compile(
    r"(不(?!仅|但|过|久|少于?|同|论|管|要紧)|没有?|无(?!论|线)|未|别|勿|非(?!常)|禁止|拒绝|\bnot\b|n't\b|\bno\b|\bnever\b|\bcannot\b|\bwithout\b|\bunable\b|\bneither\b|\bnor\b|\bexcept\b|除外)",
    re.I,
)
_STRONG = re.compile(
    r"(免费|全额|全部|所有|任何|永久|终身|保证|一定|立即|马上|随时|双倍|三倍|赔偿|补偿|赠送|优先|必须|只能|仅|无需|"
    r"\bfree\b|\bfull\b|\ball\b|\bany\b|\balways\b|\bguarantee\w*|\bimmediate\w*|\binstant\w*|\blifetime\b|\bforever\b|\bunlimited\b|"
    r"\bdouble\b|\bcompensat\w*|\bmust\b|\bonly\b|\bevery\b|\bat once\b|\bpriority\b|\bpromise\w*)",
    re.I,
)
_UNITS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (unit, re.compile(pattern, re.I))
    for unit, pattern in (
        ("workday", r"^\s*(?:个)?(?:工作日|(?:working|business)[ -]days?)"),
        ("hour", r"^\s*(?:个)?(?:小时|钟头|hours?\b|hrs?\b|h\b)"),
        ("minute", r"^\s*(?:分钟|minutes?\b|mins?\b)"),
        ("second", r"^\s*(?:秒|seconds?\b)"),
        ("day", r"^\s*(?:天|日(?!元)|(?:calendar )?days?\b|[- ]day\b)"),
        ("week", r"^\s*(?:个)?(?:周(?!年)|星期|weeks?\b)"),
        ("month", r"^\s*(?:个)?(?:月|months?\b)"),
        ("year", r"^\s*(?:周?年|years?\b|[- ]year\b)"),
        ("percent", r"^\s*(?:%|％|percent\b|per cent\b)"),
        ("yuan", r"^\s*(?:元|块|yuan\b|rmb\b|cny\b)"),
        ("off", r"^\s*折"),
        ("times", r"^\s*(?:倍|次|times\b)"),
        ("piece", r"^\s*(?:件|个|张|台|items?\b|pieces?\b)"),
        ("level", r"^\s*(?:级)"),
        ("kilo", r"^\s*(?:公斤|千克|kg\b|kilos?\b)"),
    )
)
_RANGE = re.compile(r"^\s*(?:[-–—~至到]|to)\s*[¥￥$]?\s*(\d[\d,]*(?:\.\d+)?)")
_YUAN_BEFORE = re.compile(r"(?:[¥￥]|rmb|cny)\s*$", re.I)
_STOP = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "by",
        "is",
        "are",
        "be",
        "been",
        "will",
        "would",
        "can",
        "may",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "you",
        "your",
        "yours",
        "we",
        "our",
        "us",
        "i",
        "they",
        "them",
        "their",
        "with",
        "as",
        "if",
        "when",
        "then",
        "so",
        "do",
        "does",
        "have",
        "has",
        "had",
        "from",
        "into",
        "than",
        "which",
        "who",
        "what",
        "there",
        "here",
        "also",
        "please",
        "once",
        "take",
        "takes",
        "您",
        "你",
    ]
)
_HAN_STOP = re.compile(r"[的了吗呢啊吧哦您你我们请可以就会在是有和与及将把被给到后前内会也都还很]")
_HAN_FILLER = re.compile(r"需要|大约|左右|大概|一般|通常|可以|即可|进行|如果|因此|所以|另外|此外|以便|关于")
_DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))


@dataclass(frozen=True, slots=True)
class Kept:
    text: str
    dropped: tuple[str, ...]


def keep_supported(text: str, sources: Sequence[str]) -> Kept:
    """The sentences of `text` that hold, in order, as they were written."""
    kept: list[str] = []
    dropped: list[str] = []
    for sentence in sentences(text):
        (kept if is_supported(sentence, sources) else dropped).append(sentence)
    return Kept(_join(kept), tuple(dropped))


def sentences(text: str) -> list[str]:
    parts = [part.strip() for part in _SENTENCE_END.split(text.replace("\r", "\n"))]
    joined = [
        part if part[-1:] in "。！？!?；;" or _HAN.search(part) else f"{part}." for part in parts if part
    ]
    return [re.sub(r"\.\.+$", ".", part) for part in joined]


def split(text: str) -> tuple[list[str], str]:
    """Of a text that is still growing: the sentences that are whole, and the rest."""
    ends = [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        if match.end() < len(text) or text[-1:] in "。！？!?\n"
    ]
    if not ends:
        return [], text
    return sentences(text[: ends[-1]]), text[ends[-1] :]


def is_supported(sentence: str, sources: Sequence[str]) -> bool:
    """One source must carry the whole sentence; a sentence without content is carried by none."""
    statement = _read(sentence)
    if not statement.words and not statement.numbers:
        return False
    return any(_carries(source, sentence, statement) for source in sources if source.strip())


def _carries(source: str, sentence: str, statement: _Statement) -> bool:
    whole = _read(source)
    if not statement.names <= _names_of(source) or not statement.numbers <= whole.numbers:
        return False
    if _share(statement.words, whole.words) < SENTENCE_OVERLAP:
        return False
    places = _places(source)
    return all(any(_holds(clause, place) for place in places) for clause in _clauses(sentence))


def _holds(clause: _Statement, place: _Statement) -> bool:
    """Numbers, polarity and strong words must agree in the same place where the words are found."""
    numbers_agree = (
        clause.numbers <= place.numbers if place.alone else clause.numbers in (place.numbers, frozenset())
    )
    return (
        numbers_agree
        and clause.strong <= place.strong
        and _share(clause.words, place.words) >= CLAUSE_OVERLAP
        and (clause.negated == place.negated or not clause.words)
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    value: str
    unit: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Statement:
    words: frozenset[str]
    numbers: frozenset[tuple[str, str]]
    strong: frozenset[str]
    names: frozenset[str]
    negated: bool
    alone: bool = True
    """False for a place made of several clauses, where a number may belong to the other half."""


@functools.lru_cache(maxsize=4096)
def _read(text: str) -> _Statement:
    plain = unicodedata.normalize("NFKC", text)
    arabic = _CHINESE_NUMBER.sub(lambda found: str(_value(found[0])), plain)
    lower = arabic.lower()
    figures = _figures(lower)
    return _Statement(
        words=frozenset(_content(_without(lower, figures))),
        numbers=frozenset((figure.value, figure.unit) for figure in figures),
        strong=frozenset(word.lower().rstrip("s") for word in _STRONG.findall(lower)),
        names=_names_of(plain),
        negated=len(_NEGATION.findall(lower)) % 2 == 1,
    )


def _clauses(sentence: str) -> list[_Statement]:
    """Clauses with something to check; a clause of one word belongs to its neighbour."""
    found: list[_Statement] = []
    carried = ""
    for part in _CLAUSE_END.split(sentence):
        carried = f"{carried} {part}".strip() if part else carried
        statement = _read(carried)
        if len(statement.words) >= 2 or (statement.words and statement.numbers):
            found.append(statement)
            carried = ""
    if carried and (_read(carried).numbers or _read(carried).words):
        found.append(_read(carried))
    return found


@functools.lru_cache(maxsize=256)
def _places(source: str) -> tuple[_Statement, ...]:
    """Where a clause may stand: a clause of the source, two neighbouring ones, or a whole line of a table."""
    lines = [line.strip() for line in re.split(r"[。！？!?\n]|\.(?=\s|$)", source) if line.strip()]
    places: list[_Statement] = []
    for line in lines:
        parts = [part for part in _CLAUSE_END.split(line) if part and part.strip()]
        places += [_read(part) for part in parts]
        wider = [f"{first} {second}" for first, second in pairwise(parts)]
        wider += [line] if "|" in line and len(parts) > 2 else []
        places += [replace(_read(part), alone=False) for part in wider]
    return tuple(places)


def _figures(text: str) -> list[_Figure]:
    """A range is one figure: half of it is not what the source says."""
    found: list[_Figure] = []
    end = 0
    for match in _NUMBER.finditer(text):
        if match.start() < end:
            continue
        value, end = _canonical(match[0]), match.end()
        if span := _RANGE.match(text[end:]):
            value, end = f"{value}~{_canonical(span[1])}", end + span.end()
        unit, length = _unit(text[end:])
        if not unit and _YUAN_BEFORE.search(text[: match.start()]):
            unit = "yuan"
        end += length
        found.append(_Figure(value, unit, match.start(), end))
    return found


def _unit(rest: str) -> tuple[str, int]:
    for unit, pattern in _UNITS:
        if match := pattern.match(rest):
            return unit, match.end()
    return "", 0


def _canonical(number: str) -> str:
    plain = number.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain.lstrip("0") or "0"


def _value(chinese: str) -> float | int:
    """一百二十 → 120, 十五 → 15, 两 → 2, 半 → 0.5: enough for the numbers of rules and prices."""
    if chinese == "半":
        return 0.5
    total = section = digit = 0
    for mark in chinese:
        if mark in _DIGITS:
            digit = _DIGITS[mark]
        elif mark in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[mark]
            digit = 0
        elif mark == "万":
            total = (total + section + digit) * 10_000
            section = digit = 0
    return total + section + digit


def _content(lower: str) -> set[str]:
    found: set[str] = set()
    for run in _HAN.findall(lower):
        for part in _HAN_STOP.split(_HAN_FILLER.sub("的", run)):
            found |= {part[index : index + 2] for index in range(len(part) - 1)}
    found |= {_stem(word) for word in _WORD.findall(lower) if word not in _STOP}
    return found


def _without(text: str, figures: Sequence[_Figure]) -> str:
    for figure in reversed(figures):
        text = f"{text[: figure.start]} {text[figure.end :]}"
    return text


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if len(word) > len(ending) + 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def _names_of(text: str) -> frozenset[str]:
    return frozenset(name.lower() for pattern in (_NAME, _CAPITALISED) for name in pattern.findall(text))


def _share(wanted: frozenset[str], given: frozenset[str]) -> float:
    return len(wanted & given) / len(wanted) if wanted else 1.0


def _join(kept: Sequence[str]) -> str:
    text = ""
    for sentence in kept:
        text += sentence if not text or _HAN.search(sentence[:1]) else f" {sentence}"
    return text
