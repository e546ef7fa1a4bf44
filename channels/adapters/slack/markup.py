"""Slack's way of writing links, mentions and the three escaped characters; text in, text out, pure."""

from __future__ import annotations

import re

_ANGLE = re.compile(r"<([^<>\n]*)>")
_SCHEME = re.compile(r"^(?:mailto:|tel:|https?://)", re.IGNORECASE)


def escape(text: str) -> str:
    """So that nothing in it becomes a mention, a link or a call to a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def mentions(text: str, user: str) -> bool:
    return bool(user) and re.search(_mention(user), text) is not None


def read(text: str, bot: str) -> str:
    """As a person sees it: the bot's own mention gone, links as their label and address, entities as characters."""
    shown = re.sub(_mention(bot), "", text).strip() if mentions(text, bot) else text
    return unescape(_ANGLE.sub(_shown, shown))


def _mention(user: str) -> str:
    return rf"<@{re.escape(user)}(?:\|[^<>]*)?>"


def _shown(match: re.Match[str]) -> str:
    target, _, label = match.group(1).partition("|")
    if target[:1] in ("@", "#"):
        return target[:1] + (label or target[1:]).lstrip("@#")
    if target.startswith("!"):
        return label or f"@{target[1:].split('^')[0]}"
    address = target if target.lower().startswith("http") else _SCHEME.sub("", target)
    if not label or _SCHEME.sub("", label).rstrip("/") == _SCHEME.sub("", target).rstrip("/"):
        return label or address
    return f"{label} ({address})"
