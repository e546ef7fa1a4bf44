"""Whether the receiving server vouches for the sender: its Authentication-Results header (RFC 8601); pure.

A From header proves nothing. Only the topmost header that names our server's id is read, since whatever stands below may
have come with the mail. Anything unusual in it (quoted values, two senders) counts as no proof.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_RESULT = re.compile(r"\s*([a-z][a-z0-9-]*)(?:\s*/\s*\d+)?\s*=\s*([a-z]+)(?=\s|$)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)([a-z]+)\s*\.\s*([a-z0-9_-]+)\s*=\s*([^\s=\"]+)(?=\s|$)", re.IGNORECASE)


def is_proven(results: Sequence[str], *, authserv_id: str, domain: str) -> bool:
    """`results`: the Authentication-Results headers from the top; `domain`: of the From address."""
    if not authserv_id or not domain or not domain.isascii():
        return False
    for header in results:
        pieces = _pieces(header)
        if pieces and (pieces[0].split() or [""])[0].lower() == authserv_id.lower():
            return _passes(pieces[1:], domain.lower())
    return False


def _passes(pieces: Sequence[str], domain: str) -> bool:
    found = [(match.group(1).lower(), match.group(2).lower(), _properties(piece[match.end() :]))
             for piece in pieces if (match := _RESULT.match(piece))]  # fmt: skip
    if any(method == "dmarc" and result == "fail" for method, result, _ in found):
        return False
    for method, result, properties in found:
        if result != "pass":
            continue
        if method == "dmarc" and properties.get("header.from") == domain:
            return True
        if method == "dkim" and _is_aligned(properties, domain):
            return True
    return False


def _is_aligned(properties: dict[str, str], domain: str) -> bool:
    """The signing domain is the From domain or one above it. The other way round (signed by mail.shop.com for shop.com)
    needs the list of public suffixes to be safe, and counts as no proof here."""
    signer = properties.get("header.d") or properties.get("header.i", "").rpartition("@")[2]
    return "." in signer and (domain == signer or domain.endswith(f".{signer}"))


def _properties(text: str) -> dict[str, str]:
    """The first of each name: a second one cannot change it."""
    found: dict[str, str] = {}
    for match in _PROPERTY.finditer(text):
        found.setdefault(f"{match.group(1)}.{match.group(2)}".lower(), match.group(3).lower().rstrip("."))
    return found


def _pieces(header: str) -> list[str]:
    """At semicolons outside of quotes; comments are dropped, and a quoted value becomes a bare mark that is no value."""
    pieces, current, depth, quoted, escaped = [], "", 0, False, False
    for character in header[:8000]:
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif quoted:
            quoted = character != '"'
        elif character == '"' and not depth:
            quoted = True
            current += '"'
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            current += " "
        elif depth:
            continue
        elif character == ";":
            pieces.append(current)
            current = ""
        else:
            current += character
    return [] if depth or quoted else [*pieces, current]
