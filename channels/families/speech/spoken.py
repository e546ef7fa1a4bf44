"""Text that a caller can follow by ear, and keys that were pressed as text. Pure.

`telephone` calls it for every phone line. What a page shows and a voice cannot say becomes something it can: Markdown goes,
a link is named instead of read, sums, dates and times become words, order and phone numbers are read digit by digit,
lists are counted. Nothing with a digit in it is dropped, but for the address of a link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from xml.sax.saxutils import escape

from channels import degrade
from channels import text as texts
from channels.families.speech.numerals import (
    PLAIN,
    Manner,
    cardinal,
    lexicon,
    read_aloud,
    spelled,
    tongue,
    words,
)
from foundation.messages import Choice

_FORBIDDEN_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'，。；！？）】》」]*[^\s<>\"'，。；！？）】》」.,;:!?)\]]", re.IGNORECASE
)
_MAIL = re.compile(r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+")
_ITEM = re.compile(r"^\s*(?:(•)|(\d{1,2})[.、)）])\s*(?=\S)(?!\d)")
_LEFTOVERS = re.compile(r"[*_`#>|~^<{}\[\]\\=]+")
_KEPT_SYMBOLS = "°+<>|=~^¥￥$€£`"


def speakable(text: str, language: str, manner: Manner = PLAIN) -> str:
    """One paragraph of sentences. Never raises; "" only for what has nothing to say."""
    said = words(language)
    text = _flat(_FORBIDDEN_IN_XML.sub(" ", text))
    text = degrade.plain(text)
    text, links = _URL.subn(said["link"], text)
    text = _MAIL.sub(lambda match: _spelled_mail(match[0], language, manner), text)
    lines = _listed(text.split("\n"), language)
    text = " ".join(_ended(read_aloud(line, language, manner), language) for line in lines if line.strip())
    if links:
        text += " " + (
            said["link_went"].format(channel=manner.links_went)
            if manner.links_went
            else said["link_not_read"]
        )
    text = _LEFTOVERS.sub(" ", text.replace("&", f" {said['and']} "))
    return _tidy(text, language)


def offered(choices: Sequence[Choice], language: str, manner: Manner = PLAIN) -> str:
    """The choices with the key for each, the first is 1; "" without choices."""
    press = words(language)["press"]
    lines = [
        press.format(label=speakable(choice.label, language, manner).rstrip("。."), key=number)
        for number, choice in enumerate(choices, 1)
    ]
    return ("" if tongue(language) == "zh" else " ").join(lines)


def sourced(titles: Sequence[str], language: str) -> str:
    """The sentence that names what a reply rests on; "" for nothing."""
    named = [
        spoken for title in dict.fromkeys(titles) if (spoken := speakable(title, language).rstrip("。."))
    ]
    joined = ("、" if tongue(language) == "zh" else ", ").join(named)
    return words(language)["sources"].format(titles=joined) if named else ""


def pieces(spoken: str, limit: int) -> list[str]:
    """Words are longer than what they stand for: cut again at sentences, for one saying each."""
    return [piece for one in texts.split(spoken, limit, "characters") if (piece := one.strip())]


def pressed(keys: str, choices: Sequence[Choice] = ()) -> str:
    """The value of the choice that the keys name; otherwise the keys' digits as they were pressed, without the # that ended
    them."""
    digits = re.sub(r"[^0-9*#A-D]", "", keys).rstrip("#")
    if digits.isdigit() and len(digits) <= 2 and 1 <= int(digits) <= len(choices):
        return choices[int(digits) - 1].value
    return digits


def escaped(text: str) -> str:
    """For inside SSML or any XML, also in attributes."""
    return escape(_FORBIDDEN_IN_XML.sub("", text), {'"': "&quot;", "'": "&apos;"})


def ssml(text: str, language_tag: str) -> str:
    tag = escaped(language_tag)
    return f'<speak version="1.0" xml:lang="{tag}">{escaped(text)}</speak>'


def _spelled_mail(address: str, language: str, manner: Manner) -> str:
    said = words(language)
    mail = re.sub(r"\d+", lambda match: f" {spelled(match[0], language, manner)} ", address)
    return mail.replace("@", f" {said['at']} ").replace(".", f" {said['dot']} ")


def _listed(lines: Sequence[str], language: str) -> list[str]:
    """Bullets are counted, numbers keep their number; the cells of a table become clauses."""
    spoken, count = [], 0
    for line in lines:
        if re.fullmatch(r"[\s|:\-]*-{3,}[\s|:\-]*", line):
            continue
        item = _ITEM.match(line)
        if item is None:
            count = 0 if line.strip() else count
            spoken.append(_cells(line, language))
            continue
        count = count + 1 if item[1] else int(item[2])
        spoken.append(_ordinal(count, language) + line[item.end() :])
    return spoken


def _cells(line: str, language: str) -> str:
    if line.count("|") < 2:
        return line
    return ("，" if tongue(language) == "zh" else ", ").join(
        cell.strip() for cell in line.split("|") if cell.strip()
    )


def _ordinal(number: int, language: str) -> str:
    if tongue(language) == "zh":
        return words("zh")["ordinal"].format(number=cardinal(number))
    names = lexicon()["ordinals_en"]
    return (
        f"{names[number - 1]}, "
        if 1 <= number <= len(names)
        else words("en")["ordinal"].format(number=number)
    )


def _flat(text: str) -> str:
    """Digits of every script and shape as 0-9, full-width letters as Latin ones; pictures go."""
    return "".join(map(_flat_sign, text))


def _flat_sign(sign: str) -> str:
    if sign.isascii():
        return sign
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.digit(sign))
    if category == "No" or "\uff21" <= sign <= "\uff5a":
        return unicodedata.normalize("NFKC", sign).replace("\u2044", "/")
    if category in ("So", "Sk", "Cf", "Co", "Cn", "Cs", "Mn", "Me") and sign not in _KEPT_SYMBOLS:
        folded = unicodedata.normalize("NFKC", sign)
        return (
            folded
            if folded != sign and folded.isprintable()
            else (" " if category == "So" else "" if category != "Mn" else sign)
        )
    return sign


def _ended(line: str, language: str) -> str:
    line = line.strip()
    if not line or line[-1] in "。！？!?.;；：:，,、…":
        return line
    return line + ("。" if tongue(language) == "zh" else ".")


def _tidy(text: str, language: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    if tongue(language) == "zh":
        text = re.sub(r" ?([\u3001-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]) ?", r"\1", text)
    text = re.sub(r"\(\s*\)|（\s*）", "", text)
    return text if any(sign.isalnum() for sign in text) else ""
