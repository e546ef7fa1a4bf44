"""Mails that nobody wrote: our own, bounces, automatic replies, lists (RFC 3834, RFC 3464); pure.

`codec` asks before it reads a text. None of them is ever answered, or two machines would write to each other for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from typing import Literal

from channels.adapters.email.reading.headers import Headers, mailboxes
from channels.adapters.email.reading.words import AUTOMATIC_SUBJECT

Kind = Literal["", "own", "bounce", "auto_reply", "automatic"]

_MACHINES = re.compile(
    r"(?:mailer-daemon|postmaster|mail-daemon|no[-_.]?reply|do[-_.]?not[-_.]?reply|bounces?(?:[-_+=.].*)?|.*[-_.]no[-_.]?reply)$"
)
_LISTS = ("list-id", "list-unsubscribe", "list-post", "list-help", "feedback-id")
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Report:
    """Of a delivery status notification; empty where the mail has none."""

    action: str = ""
    status: str = ""
    recipient: str = ""


def kind_of(message: Message, headers: Headers, sender: str, *, own: frozenset[str], loop_token: str) -> Kind:
    """ "" for a mail that a person wrote. `own`: our addresses."""
    if sender in own or loop_token in headers.all("x-loop"):
        return "own"
    content_type = message.get_content_type()
    if content_type == "multipart/report":
        return "bounce" if _report_type(message) in ("delivery-status", "") else "automatic"
    local = sender.rpartition("@")[0]
    if local in ("mailer-daemon", "postmaster", "mail-daemon"):
        return "bounce"
    if _is_auto_reply(headers):
        return "auto_reply"
    return "automatic" if _is_automatic(headers, local) else ""


def report_of(message: Message) -> Report:
    """The first recipient's lines of the report."""
    for part in _parts(message):
        if part.get_content_type() != "message/delivery-status":
            continue
        fields: dict[str, str] = {}
        inner = part.get_payload()
        for block in inner if isinstance(inner, list) else []:
            for name, value in block.items() if isinstance(block, Message) else []:
                fields.setdefault(name.lower(), " ".join(str(value).split()))
        status = _STATUS.search(fields.get("status", ""))
        recipient = fields.get("final-recipient", "").rpartition(";")[2].strip()
        address = next((one for _, one in mailboxes(recipient)), "")
        return Report(fields.get("action", "").lower(), status.group(1) if status else "", address)
    return Report()


def _is_auto_reply(headers: Headers) -> bool:
    if headers.first("auto-submitted").partition(";")[0].strip().lower() == "auto-replied":
        return True
    if headers.all("x-autoreply") or headers.all("x-autorespond") or headers.all("x-auto-reply"):
        return True
    if headers.first("precedence").lower() in ("auto_reply", "auto-reply"):
        return True
    return AUTOMATIC_SUBJECT.match(headers.text("subject")) is not None


def _is_automatic(headers: Headers, local: str) -> bool:
    submitted = headers.first("auto-submitted").partition(";")[0].strip().lower()
    if submitted not in ("", "no") or headers.first("precedence").lower() in ("bulk", "list", "junk"):
        return True
    suppressed = {word.strip().lower() for word in headers.first("x-auto-response-suppress").split(",")}
    if suppressed & {"all", "autoreply", "oof"} or any(headers.all(name) for name in _LISTS):
        return True
    return (
        "<>" in [value.strip() for value in headers.all("return-path")] or _MACHINES.match(local) is not None
    )


def _report_type(message: Message) -> str:
    value = message.get_param("report-type")
    return value.lower() if isinstance(value, str) else ""


def _parts(message: Message) -> list[Message]:
    """All parts without recursion, at most some hundreds."""
    found: list[Message] = []
    waiting = [message]
    while waiting and len(found) < 300:
        part = waiting.pop(0)
        found.append(part)
        inner = part.get_payload()
        waiting += [one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else []
    return found
