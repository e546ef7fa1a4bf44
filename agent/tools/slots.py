"""Finds which of the offered options a customer means: by number, by label, by a part of its name, "both", "not that".

Pure; called by `forms`. A name is compared by pieces (two Han characters, or one Latin word) that tell the options
apart, so "台灯" finds "护眼台灯 L1" and "the rice cooker" finds "Titmouse IH rice cooker 3 L".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agent.tools.contract import Option
from agent.tools.words import Words

_HAN = re.compile(r"[\u3400-\u9fff]+")
_LATIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CLAUSE = re.compile(r"[,，。;；!！?？\n]|\bbut\b|\band keep\b")
_DIGITS = re.compile(r"(?<!\d)\d{4,}(?!\d)")
_SEVERAL_NUMBERS = re.compile(r"^\s*(\d(?:\s*(?:[,\uff0c、和与&+]|and)\s*\d)*)\s*[\u3002.!\uff01]?\s*$")


def choose(plain: str, options: Sequence[Option], *, words: Words, several: bool) -> list[str]:
    """The values meant, in the order offered; empty when it is not clear. One value at most unless `several`."""
    found = (
        _exact(plain, options)
        or _by_number(plain, options, words=words, several=several)
        or _by_ending(plain, options)
        or _by_name(plain, options, words=words, several=several)
    )
    if not found and several and options and words.all.search(plain):
        found = {option["value"] for option in options}
    if len(found) > 1 and not several:
        return []
    return [option["value"] for option in options if option["value"] in found]


def is_exact(plain: str, options: Sequence[Option]) -> bool:
    """One of the options word for word, or its number."""
    number = plain.strip().rstrip(".。")
    return bool(_exact(plain, options)) or (number.isdecimal() and 1 <= int(number[:3]) <= len(options))


def _exact(plain: str, options: Sequence[Option]) -> set[str]:
    wanted = plain.strip()
    return {
        option["value"]
        for option in options
        if wanted in (option["value"].lower(), option["zh"].lower(), option["en"].lower())
    }


def _by_number(plain: str, options: Sequence[Option], *, words: Words, several: bool) -> set[str]:
    numbers: list[int] = []
    if listed := _SEVERAL_NUMBERS.match(plain):
        numbers = [int(number) for number in re.findall(r"\d", listed[1])]
    elif spoken := words.first(words.numbers, plain.strip()):
        numbers = [int(spoken)]
    if not numbers or (len(numbers) > 1 and not several) or max(numbers) > len(options) or min(numbers) < 1:
        return set()
    return {options[number - 1]["value"] for number in numbers}


def _by_ending(plain: str, options: Sequence[Option]) -> set[str]:
    """Order numbers are long: their last digits are enough where they tell one from the others."""
    for digits in _DIGITS.findall(plain):
        found = {option["value"] for option in options if option["value"].lower().endswith(digits)}
        if len(found) == 1:
            return found
    return set()


def _by_name(plain: str, options: Sequence[Option], *, words: Words, several: bool) -> set[str]:
    telling = _telling_pieces(options, stop_words=words.stop_words)
    wanted: set[str] = set()
    kept: set[str] = set()
    for clause in _CLAUSE.split(plain):
        meant = _meant(clause, telling, words=words, several=several)
        if several and words.keep.search(clause):
            kept |= meant
        else:
            wanted |= meant
    if kept and not wanted:
        wanted = {option["value"] for option in options}
    return wanted - kept


def _meant(clause: str, telling: Mapping[str, set[str]], *, words: Words, several: bool) -> set[str]:
    said = pieces(clause)
    if not any(said & own for own in telling.values()):
        said = _by_other_words(clause, words)
    scores = {value: len(said & own) for value, own in telling.items() if said & own}
    if not scores or several:
        return set(scores)
    best = max(scores.values())
    return {value for value, score in scores.items() if score == best}


def _by_other_words(clause: str, words: Words) -> set[str]:
    """The pieces of every word for the thing that was named."""
    measured = words.measured.search(clause)
    thing = measured[measured.lastindex or 0] if measured else ""
    groups = [
        group
        for group in words.same_things
        if any(word in clause if len(word) > 1 else word == thing for word in group)
    ]
    return {piece for group in groups for word in group for piece in pieces(word)}


def _telling_pieces(options: Sequence[Option], *, stop_words: frozenset[str]) -> dict[str, set[str]]:
    """By value: the pieces of its labels that not every other option has as well."""
    own = {
        option["value"]: (pieces(option["zh"].lower()) | pieces(option["en"].lower())) - stop_words
        for option in options
    }
    if len(own) > 1:
        shared = set.intersection(*own.values())
        own = {value: parts - shared for value, parts in own.items()}
    return own


def pieces(plain: str) -> set[str]:
    found: set[str] = set()
    for run in _HAN.findall(plain):
        found |= {run[index : index + 2] for index in range(len(run) - 1)}
    for word in _LATIN.findall(plain):
        if word.isdecimal() and len(word) < 4:
            continue
        found.add(word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word)
    return found
