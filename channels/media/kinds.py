"""What a file is by its first bytes, and how it may be named and shown. Pure; the one list of signatures.

`records` stores by it, the staff's routes and the web chat's downloads show by it.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from foundation import errors

LIMIT = 20_971_520
"""Bytes of one file; the largest that a platform hands out to bots is of this size."""
NAME_LIMIT = 120
UNKNOWN = "application/octet-stream"

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.S), "image/webp"),
    (re.compile(rb"RIFF....WAVE", re.S), "audio/wav"),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"....ftypM4A", re.S), "audio/mp4"),
    (re.compile(rb"....ftyp", re.S), "video/mp4"),
    (re.compile(rb"\x1aE\xdf\xa3"), "video/webm"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"ID3|\xff[\xfb\xf3\xf2]"), "audio/mpeg"),
    (re.compile(rb"#!AMR"), "audio/amr"),
)
"""First bytes → type; the sender's word for the type is not asked."""
KNOWN = frozenset(media_type for _pattern, media_type in _SIGNATURES)
SHOWN = frozenset(name for name in KNOWN if name.partition("/")[0] in ("image", "audio", "video"))
"""What a browser may show in place. None of them can carry a script."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\u202a-\u202e\u2066-\u2069]+")


def sniff(content: bytes) -> str:
    for pattern, media_type in _SIGNATURES:
        if pattern.match(content):
            return media_type
    return UNKNOWN


def fits(content: bytes) -> None:
    """Raises `InvalidInput` for an empty file and one that is too large."""
    if not content:
        raise errors.InvalidInput("The file is empty.", code="empty_file")
    if len(content) > LIMIT:
        raise errors.InvalidInput(f"The file is larger than {LIMIT} bytes.", code="too_large")


def safe_name(name: str) -> str:
    cleaned = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode()).strip(". ")
    return cleaned[-NAME_LIMIT:] or "file"


def disposition(name: str, *, inline: bool = False) -> str:
    """RFC 6266 with the UTF-8 form of RFC 8187; a download unless it may be shown in place."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name) or "file"
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
