"""The headers of a mail, read without trust: addresses, ids, encoded words; pure, never raises.

The standard library's parser is used for the structure only; its header objects raise on malformed values.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime

from channels.adapters.email.reading import charsets

ADDRESS_LIMIT = 254
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@\\]{1,64}@[^\s<>()\[\],;:\"@\\]{1,190}")
_ID = re.compile(r"<([^<>\s]{1,300})>")
IDS_LIMIT = 100
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"?|<[^>]*>?|[,;:]|[^",;:<]+')


class Headers:
    """Names in any case; values unfolded, undecodable bytes as escapes."""

    def __init__(self, message: Message) -> None:
        self._items: dict[str, list[str]] = {}
        for name, value in message.raw_items():
            self._items.setdefault(str(name).lower(), []).append(" ".join(str(value).splitlines()).strip())

    def all(self, name: str) -> list[str]:
        return self._items.get(name, [])

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def text(self, name: str) -> str:
        """Decoded, on one line."""
        return charsets.header(self.first(name))

    def ids(self, name: str) -> list[str]:
        """Message ids without their brackets."""
        found = [one for value in self.all(name) for one in _ID.findall(value)]
        return [one for one in found if one.isprintable() and one.isascii()][:IDS_LIMIT]

    def message_id(self) -> str:
        bare = self.first("message-id").strip("<> \t")
        return next(iter(self.ids("message-id")), bare if bare.isascii() and bare.isprintable() else "")


def mailboxes(value: str) -> list[tuple[str, str]]:
    """(name, address) of each mailbox of an address header; the address lower-case. Whatever stands in quotes or
    comments is never an address."""
    found = []
    for piece in _split(value):
        outside, inside = _bracketed(piece)
        address = (inside if inside is not None else outside).strip()
        if _ADDRESS.fullmatch(address) and len(address) <= ADDRESS_LIMIT:
            name = (
                charsets.header(outside.strip().strip('"').replace('\\"', '"')) if inside is not None else ""
            )
            found.append((name.strip("\"' ")[:100], address.lower()))
    return found


def moment(value: str, received_at: datetime) -> datetime:
    """The Date header where it is within a day of the arrival; clocks of customers are not to be trusted further."""
    try:
        written = parsedate_to_datetime(value)
        written = written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return received_at
    return written if abs(written - received_at) <= timedelta(days=1) else received_at


def _split(value: str) -> list[str]:
    """At commas and semicolons outside of quotes and brackets; comments and group names dropped."""
    pieces = [""]
    for piece in _TOKEN.findall(_without_comments(value[:4000])):
        if piece in ",;":
            pieces.append("")
        elif piece == ":":
            pieces[-1] = ""
        else:
            pieces[-1] += piece
    return pieces


def _without_comments(value: str) -> str:
    kept, quoted, depth, escaped = "", False, 0, False
    for character in value:
        if depth and not escaped:
            depth += {"(": 1, ")": -1}.get(character, 0)
            escaped = character == "\\"
            continue
        if not depth:
            quoted ^= character == '"' and not escaped
            if character == "(" and not quoted:
                depth = 1
                continue
            kept += character
        escaped = character == "\\" and not escaped
    return kept


def _bracketed(piece: str) -> tuple[str, str | None]:
    """(before, inside) of the last `<…>` outside of quotes; (all, None) without one."""
    quoted, start = False, -1
    for place, character in enumerate(piece):
        if character == '"':
            quoted = not quoted
        elif character == "<" and not quoted:
            start = place
    if start < 0:
        return piece, None
    return piece[:start], piece[start + 1 :].partition(">")[0]
