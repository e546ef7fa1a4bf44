"""Bytes of mails to text, whatever their label says; pure, never raises.

`codec` decodes bodies with it, `headers` the words of RFC 2047. Labels lie often enough that a strict look at the bytes
decides: GB2312 means GB18030, a body without a label may be UTF-8, GB18030 or Big5, and one torn character in good
UTF-8 is not a reason to read everything as something else.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re

_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
    "gb_2312-80": "gb18030",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "cp950": "big5hkscs",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "",
    "ascii": "",
    "unknown-8bit": "",
    "default": "",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
}
"""A label to the code that contains it; "" tells nothing."""
_NOT_FOR_MAIL = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(=\?[^?\s]{1,60}\?[bBqQ]\?)")
_ESCAPING = ("iso2022", "hz", "utf-16", "utf-32")
_TELLS_LITTLE = frozenset({"", "utf-8", "cp1252", "ascii"})
SURE_CHARACTERS = 4
"""Beyond ASCII: so many that are right in UTF-8 are no accident, whatever the label says."""


def decode(content: bytes, label: str = "") -> str:
    """Text without NUL and lone surrogates."""
    return _decoded(content, label).replace("\x00", "")


def _decoded(content: bytes, label: str) -> str:
    if content.startswith(codecs.BOM_UTF8):
        content, label = content[3:], "utf-8"
    known = _codec(label)
    if known.startswith(_ESCAPING):
        return content.decode(known, "replace")
    text = _strict(content, "utf-8")
    if text is not None and (known in _TELLS_LITTLE or _beyond(text) >= SURE_CHARACTERS):
        return text
    if known == "utf-8":
        return _torn_or_other(content)
    for guess in (known, "utf-8", "gb18030", "big5hkscs"):
        if guess and (text := _strict(content, guess)) is not None:
            return text
    return content.decode(known or "cp1252", "replace")


def _torn_or_other(content: bytes) -> str:
    """Labelled UTF-8 and is not quite: torn in places, or another code altogether."""
    mended = content.decode("utf-8", "replace")
    if mended.count("\ufffd") * 2 <= _beyond(mended):
        return mended
    for guess in ("gb18030", "big5hkscs"):
        if (text := _strict(content, guess)) is not None:
            return text
    return mended


def _beyond(text: str) -> int:
    return sum(character > "\x7f" for character in text)


def header(raw: str) -> str:
    """A header's text on one line: encoded words decoded, neighbours of one code joined before (some clients cut inside
    a character), 8-bit headers guessed, control characters gone. `raw` may hold the escapes of undecodable bytes."""
    text = " ".join(raw.splitlines())
    if any("\udc80" <= character <= "\udcff" for character in text):
        text = decode(text.encode("utf-8", "surrogateescape"))
    if "=?" in text:
        text = _words(_BETWEEN_WORDS.sub(r"\1\2", text))
    return " ".join("".join(c if c.isprintable() or c == " " else " " for c in text).split())


def _words(text: str) -> str:
    pieces: list[str] = []
    waiting, label, end = b"", "", 0
    for match in _WORD.finditer(text):
        own = match.group(1).split("*")[0].lower()
        if waiting and (match.start() != end or own != label):
            pieces.append(decode(waiting, label))
            waiting = b""
        pieces.append(text[end : match.start()])
        waiting, label, end = waiting + _unpacked(match.group(2), match.group(3)), own, match.end()
    if waiting:
        pieces.append(decode(waiting, label))
    return "".join([*pieces, text[end:]])


def _unpacked(how: str, packed: str) -> bytes:
    content = packed.encode("utf-8", "replace")
    if how in "qQ":
        return quopri.decodestring(content, header=True)
    try:
        return base64.b64decode(content + b"=" * (-len(content) % 4)) or content
    except (binascii.Error, ValueError):
        return content


def _strict(content: bytes, name: str) -> str | None:
    try:
        return content.decode(name)
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _codec(label: str) -> str:
    """Our name of the code; "" where the label says nothing that is known."""
    folded = label.strip().strip("\"'").lower().replace(" ", "")
    folded = _WIDER.get(folded, folded)
    if not folded or not folded.isascii():
        return ""
    try:
        found = codecs.lookup(folded)
    except (LookupError, ValueError):
        return ""
    if not getattr(found, "_is_text_encoding", True) or found.name in _NOT_FOR_MAIL:
        return ""
    return found.name
