"""Our reply to the bodies that WhatsApp takes; pure.

`channel.py` sends them in order. Up to three short choices are buttons, up to ten a list; what fits neither (labels that
cannot be told apart when cut, values that are too long) becomes numbered lines, as does a medium without a public address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels import degrade
from channels.contract import Capabilities, Part, Rate
from channels.text import split
from foundation.messages import Attachment, Choice, ContentKind

TEXT_LIMIT = 4096
BUTTONS, BUTTON_TITLE, BUTTON_BODY, BUTTON_ID = 3, 20, 1024, 256
ROWS, ROW_TITLE, ROW_DESCRIPTION, ROW_ID = 10, 24, 72, 200
CAPTION_LIMIT = 1024
TEMPLATE_LIMIT = 900
"""Leaves room for the template's own words within 1,024."""

MEDIA: Mapping[ContentKind, str] = {
    "image": "image",
    "voice": "audio",
    "video": "video",
    "file": "document",
}
CAPABILITIES = Capabilities(
    text_limit=TEXT_LIMIT,
    buttons=ROWS,
    typing=True,
    media=frozenset(MEDIA),
    citations="text",
    reply_window_seconds=24 * 3600,
    rate=Rate(80, 1),
    rate_per_customer=Rate(10, 60),
    acknowledge_unreadable=True,
)
"""What we cannot read is acknowledged all the same: Meta would repeat it for seven days."""

_WORDS = Path(__file__).parent / "words.yaml"
_CHINESE = ("zh", "yue", "wuu", "cmn")


def messages(part: Part, *, reply_to: str, correlation: str) -> list[dict[str, Any]]:
    """At least one, unless there is nothing to show. `reply_to`: a phone number or the id that Meta gave the person."""
    address = _address(reply_to, correlation)
    return [{**address, **content} for content in _contents(part)]


def template_messages(
    part: Part, *, reply_to: str, correlation: str, name: str, language: str
) -> list[dict[str, Any]]:
    """All in words, as the only variable of an approved template, which takes neither lines nor long texts."""
    said = " ".join(" ".join(one.text for one in _plainer(part)).split())
    address = _address(reply_to, correlation)
    return [
        {**address, "type": "template", "template": _template(piece.strip(), name, language)}
        for piece in split(said, TEMPLATE_LIMIT, "characters")
    ]


def _address(reply_to: str, correlation: str) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        ("to" if reply_to.isascii() and reply_to.isdigit() else "recipient"): reply_to,
        "biz_opaque_callback_data": correlation,
    }


def _template(piece: str, name: str, language: str) -> dict[str, Any]:
    body = {"type": "body", "parameters": [{"type": "text", "text": piece}]}
    return {"name": name, "language": {"code": language}, "components": [body]}


def read_and_typing(message_id: str) -> dict[str, Any]:
    """Marks the customer's message as read and shows that somebody types; WhatsApp has them in one."""
    return {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": message_id,
        "typing_indicator": {"type": "text"},
    }


def _contents(part: Part) -> list[dict[str, Any]]:
    reply = part.message.reply
    media = [_medium(one) for one in reply.attachments]
    tapped = _interactive(part.text, reply.choices, reply.language) if reply.choices else None
    if None in media or (reply.choices and tapped is None):
        return [content for plainer in _plainer(part) for content in _contents(plainer)]
    shown = [one for one in media if one is not None]
    if tapped is not None:
        return [tapped, *shown]
    if len(shown) == 1 and 0 < len(part.text) <= CAPTION_LIMIT and shown[0]["type"] != "audio":
        shown[0][shown[0]["type"]]["caption"] = part.text
        return shown
    return [*([_text(part.text)] if part.text.strip() else []), *shown]


def _plainer(part: Part) -> list[Part]:
    """The same with everything said in words; what was Markdown is plain already. Nothing native is left, so it happens once."""
    return degrade.fit(part.message, replace(CAPABILITIES, buttons=0, media=frozenset(), markdown=True))


def _text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body, "preview_url": False}}


def _medium(attachment: Attachment) -> dict[str, Any] | None:
    """None where WhatsApp could not fetch it."""
    kind = MEDIA.get(attachment.kind)
    if kind is None or not attachment.url.startswith("https://"):
        return None
    inside = {"link": attachment.url}
    if kind == "document" and attachment.name:
        inside["filename"] = attachment.name
    return {"type": kind, kind: inside}


def _interactive(body: str, choices: Sequence[Choice], language: str) -> dict[str, Any] | None:
    if not body.strip() or not _distinct([choice.value for choice in choices]):
        return None
    labels = [choice.label for choice in choices]
    if len(choices) <= BUTTONS and len(body) <= BUTTON_BODY and _fit(labels, BUTTON_TITLE):
        action: dict[str, Any] = {
            "buttons": [
                {"type": "reply", "reply": {"id": choice.value, "title": choice.label}} for choice in choices
            ]
        }
        kind, longest = "button", BUTTON_ID
    else:
        rows = [_row(choice) for choice in choices]
        if not _fit([row["title"] for row in rows], ROW_TITLE) or max(map(len, labels)) > ROW_DESCRIPTION:
            return None
        action = {"button": _choose(language), "sections": [{"rows": rows}]}
        kind, longest = "list", ROW_ID
    if max(len(choice.value) for choice in choices) > longest:
        return None
    return {"type": "interactive", "interactive": {"type": kind, "body": {"text": body}, "action": action}}


def _row(choice: Choice) -> dict[str, str]:
    """A longer label is cut in the title and stands whole below it."""
    if len(choice.label) <= ROW_TITLE:
        return {"id": choice.value, "title": choice.label}
    return {
        "id": choice.value,
        "title": f"{choice.label[: ROW_TITLE - 1]}…",
        "description": choice.label,
    }


def _fit(titles: Sequence[str], limit: int) -> bool:
    return _distinct(titles) and max(map(len, titles)) <= limit


def _distinct(values: Sequence[str]) -> bool:
    return all(value.strip() for value in values) and len(set(values)) == len(values)


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    loaded: Mapping[str, Mapping[str, str]] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded


def _choose(language: str) -> str:
    return _words()["zh" if language.startswith(_CHINESE) else "en"]["choose"]
