"""A person's name as columns that can be compared: pinyin, both orders, honorifics, nicknames.

`features.py` calls `parse`. 曾伟, "Zeng Wei", "Wei Zeng" and 曾瑋 meet in pinyin; 曾先生 has only a surname; 小伟 and 阿伟
have only the end of a given name. Surnames that are read otherwise than their character are a data file.

What would surprise you: a name in Latin letters has two readings, surname first and surname last, and nobody decides
between them; only which one stands first is a guess. ü, v and yu are all written u: 吕 and 卢 meet, which costs little
in a key, while Lv and Lyu missing each other would cost a person.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

import pypinyin

from customers.matching import normalise, vocabulary

_HAN = re.compile(r"[\u3007\u3400-\u9fff\U00020000-\U0003ffff]")
_ASIDE = re.compile(r"[(\[{<《【].*?[)\]}>》】]")
_ROUND_U = re.compile(r"\b([ln])(?:v|yu)(e?)(?=[^a-z]|$)")
LONGEST_WORD = 24


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to take a name apart; either part may be empty. Letters only, without spaces or tones."""

    surname: str
    given: str

    @property
    def joined(self) -> str:
        return self.surname + self.given


@dataclass(frozen=True, slots=True)
class Name:
    """`text` is the whole name as written, "" where only a part was given. `tail` is what a nickname is made of: the
    last syllable of a given name in pinyin, or its long form in English. `nick` is the same where that is all there is."""

    text: str
    readings: tuple[Reading, ...]
    tail: str
    nick: str

    def columns(self) -> dict[str, str]:
        """For comparisons; a column without a value is absent."""
        first = self.readings[0] if self.readings else Reading("", "")
        other = self.readings[1] if len(self.readings) > 1 else Reading("", "")
        whole = bool(first.surname and first.given)
        found = {
            "name": self.text,
            "name_py": first.joined if whole else "",
            "name_alt": other.joined if whole else "",
            "surname_py": first.surname,
            "surname_alt": other.surname,
            "given_py": first.given,
            "given_tail": self.tail,
            "nick": self.nick,
            "called": first.joined or self.nick,
        }
        return {column: value for column, value in found.items() if value}


def parse(text: str) -> Name | None:
    """None for what names nobody."""
    normal = normalise.find("name", _ASIDE.sub(" ", normalise.fold(text)) or text)
    if normal is None:
        return None
    han = "".join(_HAN.findall(normal.match))
    return _chinese(han) if han else _latin(normal.match)


def _chinese(text: str) -> Name | None:
    text, titled = _without_suffix(text)
    if titled and not text:
        return None
    compound = text[:2] in vocabulary.surname_readings()
    if len(text) == 1 or (len(text) == 2 and compound):
        known = titled or compound or text in vocabulary.common_surnames()
        return _only_surname(text) if known else _nickname(text)
    if text[0] in vocabulary.honorifics("prefix"):
        rest = text[1:]
        if rest in vocabulary.common_surnames() or rest in vocabulary.surname_readings():
            return _only_surname(rest)
        return _nickname(rest)
    if len(text) == 2 and text[0] == text[1]:
        return _nickname(text[1])
    cut = 2 if compound and len(text) > 2 else 1
    surname = _surname_letters(text[:cut])
    syllables = [_letters(sign) for sign in text[cut:]]
    return Name(text, (Reading(surname, "".join(syllables)),), syllables[-1], "")


def _without_suffix(text: str) -> tuple[str, bool]:
    """One character (总, 哥) counts as a title only after a bare surname: it may end a name as well."""
    for suffix in vocabulary.honorifics("suffix"):
        if not text.endswith(suffix):
            continue
        rest = text.removesuffix(suffix)
        bare = rest in vocabulary.common_surnames() or rest in vocabulary.surname_readings()
        if len(suffix) > 1 or bare:
            return rest, True
    return text, False


def _only_surname(text: str) -> Name:
    return Name("", (Reading(_surname_letters(text), ""),), "", "")


def _nickname(text: str) -> Name:
    nick = _letters(text[-1])
    return Name("", (), nick, nick)


def _surname_letters(text: str) -> str:
    reading = vocabulary.surname_readings().get(text)
    return "".join(map(without_round_u, reading)) if reading else "".join(_letters(sign) for sign in text)


@lru_cache(maxsize=30_000)
def _letters(sign: str) -> str:
    """How a character is usually read; itself where no reading is known."""
    found = pypinyin.lazy_pinyin(sign, style=pypinyin.Style.NORMAL, errors="default")
    return without_round_u(found[0]) if found else sign


def without_round_u(syllable: str) -> str:
    """lü, lv and lyu as lu, and so for n; other syllables are left alone (yu after other letters is a vowel)."""
    return _ROUND_U.sub(r"\1u\2", syllable.replace("ü", "v").replace("u:", "v"))


def _latin(text: str) -> Name | None:
    words = [_plain(word) for word in re.split(r"[^\w']+", text.replace("'", ""))]
    words = [word for word in words if word and word not in vocabulary.honorifics("latin")]
    titled = any(part.strip(".") in vocabulary.honorifics("latin") for part in text.split())
    if not words:
        return None
    if len(words) == 1:
        return _single(words[0], titled=titled)
    words = ["".join(syllables_of(word) or (word,)) for word in words]
    first = Reading(words[0], "".join(words[1:]))
    last = Reading(words[-1], "".join(words[:-1]))
    known = words[0] in _known_surnames() and words[-1] not in _known_surnames()
    readings = (first, last) if known else (last, first)
    given = words[1:] if known else words[:-1]
    return Name(" ".join(words), readings, _tail(given), "")


def _single(word: str, *, titled: bool) -> Name:
    """One word: a surname (Mr Wang, zhang), a whole name run together (zhangwei), or a given name."""
    syllables = syllables_of(word)
    joined = "".join(syllables) or word
    if titled or joined in _known_surnames():
        return Name("", (Reading(joined, ""),), "", "")
    if len(syllables) > 1 and (syllables[0] in _known_surnames() or syllables[-1] in _known_surnames()):
        first = Reading(syllables[0], "".join(syllables[1:]))
        last = Reading(syllables[-1], "".join(syllables[:-1]))
        known = syllables[0] in _known_surnames()
        return Name(
            joined, (first, last) if known else (last, first), syllables[-1] if known else syllables[-2], ""
        )
    nick = vocabulary.given_roots().get(joined, joined)
    return Name("", (), nick, nick)


def _tail(given: list[str]) -> str:
    syllables = syllables_of(given[-1])
    if syllables:
        return syllables[-1]
    return vocabulary.given_roots().get(given[0], given[0])


def _plain(word: str) -> str:
    """Without accents, but ü is a letter of its own."""
    parts = unicodedata.normalize("NFD", word.replace("ü", "v"))
    return "".join(sign for sign in parts if not unicodedata.combining(sign))[:LONGEST_WORD]


@lru_cache(maxsize=10_000)
def syllables_of(word: str) -> tuple[str, ...]:
    """A word as pinyin syllables; empty when it is no pinyin. Long syllables first, but none that leaves the next to
    begin with a vowel: nana is na-na, because nan-a would be written nan'a."""
    return _syllables_of(word, strict=True) or _syllables_of(word, strict=False)


def _syllables_of(word: str, *, strict: bool) -> tuple[str, ...]:
    for length in range(min(6, len(word)), 0, -1):
        rest = word[length:]
        if word[:length] not in _syllables() or (strict and rest[:1] in {"a", "e", "o"}):
            continue
        syllables = _syllables_of(rest, strict=strict)
        if syllables or not rest:
            return (without_round_u(word[:length]), *syllables)
    return ()


@cache
def _syllables() -> frozenset[str]:
    plain = {
        syllable
        for sign in range(0x4E00, 0x9FA6)
        for syllable in pypinyin.lazy_pinyin(chr(sign), style=pypinyin.Style.NORMAL)
    }
    usual = {
        syllable for syllable in plain if syllable.isascii() and re.search("[aeiouv]", syllable) and syllable
    }
    return frozenset(usual | {s.replace("v", "yu") for s in usual if "v" in s} | {"lu", "nu"})


@cache
def _known_surnames() -> frozenset[str]:
    return frozenset(
        _surname_letters(text) for text in [*vocabulary.common_surnames(), *vocabulary.surname_readings()]
    )
