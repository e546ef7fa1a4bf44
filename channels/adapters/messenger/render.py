"""Our reply to the bodies that the Send API takes; pure.

`channel.py` sends them in order. Choices are quick replies, which vanish with the next message, so they stand on the last
one; labels that do not fit become numbered lines, as does a medium without a public address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from channels import degrade
from channels.contract import Capabilities, Part
from foundation.messages import Attachment, Choice, ContentKind

QUICK_REPLIES, TITLE_LIMIT, PAYLOAD_LIMIT = 13, 20, 1000
HUMAN_AGENT_SECONDS = 7 * 86_400
MEDIA: Mapping[ContentKind, str] = {"image": "image", "voice": "audio", "video": "video", "file": "file"}

CAPABILITIES = Capabilities(
    text_limit=2000,
    buttons=QUICK_REPLIES,
    typing=True,
    media=frozenset(MEDIA),
    citations="text",
    reply_window_seconds=24 * 3600,
    acknowledge_unreadable=True,
)
"""What we cannot read is acknowledged all the same: Meta would unsubscribe us from the page."""


def messages(part: Part, *, human_agent: bool) -> list[dict[str, Any]]:
    """Empty when there is nothing to show. `human_agent`: what a person at the desk says goes out under that tag."""
    tagged = human_agent and part.message.role == "agent"
    kind = (
        {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"} if tagged else {"messaging_type": "RESPONSE"}
    )
    envelope = {"recipient": {"id": part.message.recipient}, **kind}
    return [{**envelope, "message": content} for content in _contents(part)]


def typing(recipient: str) -> dict[str, Any]:
    return {"recipient": {"id": recipient}, "sender_action": "typing_on"}


def _contents(part: Part) -> list[dict[str, Any]]:
    reply = part.message.reply
    media = [_medium(one) for one in reply.attachments]
    if None in media or (reply.choices and not (part.text.strip() and _can_tap(reply.choices))):
        plainer = replace(CAPABILITIES, buttons=0, media=frozenset(), markdown=True)
        return [content for one in degrade.fit(part.message, plainer) for content in _contents(one)]
    shown = [one for one in media if one is not None]
    said: list[dict[str, Any]] = [{"text": part.text}] if part.text.strip() else []
    if not reply.choices:
        return [*said, *shown]
    said[0]["quick_replies"] = [
        {"content_type": "text", "title": choice.label, "payload": choice.value} for choice in reply.choices
    ]
    return [*shown, *said]


def _medium(attachment: Attachment) -> dict[str, Any] | None:
    """None where Messenger could not fetch it."""
    kind = MEDIA.get(attachment.kind)
    if kind is None or not attachment.url.startswith("https://"):
        return None
    return {"attachment": {"type": kind, "payload": {"url": attachment.url, "is_reusable": False}}}


def _can_tap(choices: Sequence[Choice]) -> bool:
    """Messenger would cut a longer title."""
    fits = all(
        len(choice.label.strip()) > 0 and len(choice.label) <= TITLE_LIMIT and 0 < len(choice.value) <= PAYLOAD_LIMIT
        for choice in choices
    )  # fmt: skip
    return fits and len({choice.label for choice in choices}) == len(choices)
