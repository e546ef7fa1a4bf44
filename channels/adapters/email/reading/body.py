"""The parts of a mail: the text that is read and the attachments, in the order in which they stand; pure.

`codec` and the fetching of one attachment walk the same list, so that an attachment's number means the same part to both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message

from channels.adapters.email.reading import charsets, markup, quotes

TEXT_LIMIT = 150_000
PARTS_LIMIT = 200
DEEPEST = 20
SMALL_INLINE_BYTES = 10_240
"""A picture inside the text below this is part of a signature."""
_SIGNED = frozenset({
    "application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature", "application/pgp-keys",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attached:
    number: int
    part: Message

    @property
    def name(self) -> str:
        return file_name(self.part)

    def content(self) -> bytes:
        """The bytes; a forwarded mail as it came."""
        if self.part.get_content_maintype() == "message":
            inner = self.part.get_payload()
            first = inner[0] if isinstance(inner, list) and inner else None
            return first.as_bytes() if isinstance(first, Message) else b""
        return content_of(self.part)


@dataclass(frozen=True, slots=True)
class Body:
    text: str
    attached: tuple[Attached, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    is_html: bool


def read(message: Message) -> Body:
    attached: list[Attached] = []
    pieces = _walk(message, attached, 0)
    text = "\n\n".join(piece.text.strip("\n") for piece in pieces if quotes.says(piece.text))
    return Body(text[:TEXT_LIMIT], tuple(attached))


def content_of(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def file_name(part: Message) -> str:
    """Without folders and control characters, at most 120 characters; the end of a name is kept."""
    name = charsets.header(part.get_filename() or "")
    name = re.split(r"[/\\]", name)[-1].strip(". ")
    return name if len(name) <= 120 else name[:100] + name[-20:]


def _walk(part: Message, attached: list[Attached], depth: int) -> list[_Piece]:
    if depth > DEEPEST or len(attached) >= PARTS_LIMIT:
        return []
    inner = part.get_payload()
    if part.get_content_maintype() == "multipart" and isinstance(inner, list):
        subparts = [one for one in inner if isinstance(one, Message)][:PARTS_LIMIT]
        found = [_walk(one, attached, depth + 1) for one in subparts]
        if part.get_content_subtype() == "alternative":
            return _best(found)
        return [piece for pieces in found for piece in pieces]
    if _is_text(part):
        return [_text(part)]
    if part.get_content_type() not in _SIGNED and not _is_decoration(part):
        attached.append(Attached(len(attached), part))
    return []


def _best(found: list[list[_Piece]]) -> list[_Piece]:
    """Of alternatives the first plain one that says something, else the last that does."""
    saying = [pieces for pieces in found if any(quotes.says(piece.text) for piece in pieces)]
    plain = [pieces for pieces in saying if not any(piece.is_html for piece in pieces)]
    return (plain or saying[::-1] or [[]])[0]


def _is_text(part: Message) -> bool:
    kind = part.get_content_type()
    is_attachment = part.get_content_disposition() == "attachment" or bool(part.get_filename())
    return kind in ("text/plain", "text/html") and not is_attachment


def _text(part: Message) -> _Piece:
    content = content_of(part)[: 4 * TEXT_LIMIT]
    label = part.get_param("charset")
    text = charsets.decode(content, label if isinstance(label, str) else _rfc2231(label))
    if part.get_content_type() == "text/html":
        return _Piece(markup.to_text(text), is_html=True)
    text = text.replace("\r\n", "\n")
    flowed = part.get_param("format")
    if isinstance(flowed, str) and flowed.lower() == "flowed":
        text = _unflowed(text, delete_space=str(part.get_param("delsp")).lower() == "yes")
    return _Piece(text, is_html=False)


def _rfc2231(value: object) -> str:
    return str(value[2]) if isinstance(value, tuple) and len(value) == 3 else ""


def _unflowed(text: str, *, delete_space: bool) -> str:
    """Paragraphs of RFC 3676 as one line each; quotes and signatures keep their lines."""
    lines: list[str] = []
    open_line = False
    for line in text.split("\n"):
        joins = line.endswith(" ") and line != "-- " and not line.startswith(">")
        said = line[:-1] if joins and delete_space else line
        if open_line and not line.startswith(">") and line != "-- ":
            lines[-1] += said
        else:
            lines.append(said)
        open_line = joins
    return "\n".join(lines)


def _is_decoration(part: Message) -> bool:
    inline = part.get("content-id") is not None and part.get_content_disposition() != "attachment"
    return (
        inline and part.get_content_maintype() == "image" and len(content_of(part)) < SMALL_INLINE_BYTES
    ) or part.get_content_type() in ("message/delivery-status", "text/rfc822-headers")
