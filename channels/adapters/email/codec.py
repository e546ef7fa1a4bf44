"""A mail to our message; pure.

`channel.read` and the pulling call `parse`. The message id is a digest of mailbox, sender and Message-ID, so that a mail
that comes twice (another folder, a new UIDVALIDITY, a repeated delivery) is one message.
"""

from __future__ import annotations

import email
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from typing import Any, Literal

from channels.adapters.email.reading import automatic, body, proof, quotes
from channels.adapters.email.reading.body import Attached
from channels.adapters.email.reading.headers import Headers, mailboxes, moment
from channels.adapters.email.reading.words import REPLY_PREFIX
from channels.adapters.email.threads import Place, Threads, digest
from channels.contract import Receipt
from foundation import errors
from foundation.messages import Attachment, Identifier, InboundMessage, MessageId, TenantId

NAME = "email"
SUBJECT_LIMIT = 200
REFERENCES_LIMIT = 20
MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    OverflowError,
)
"""What the standard library is known to raise on mails that are none."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What the codec must know of the account. `own`: all our addresses, lower-case."""

    tenant: TenantId
    account: str
    address: str
    own: frozenset[str]
    authserv_id: str
    threads: Threads
    attachment_limit_bytes: int = 20_971_520

    @property
    def loop_token(self) -> str:
        return f"huiliu {digest('loop', self.address)[:16]}"


@dataclass(frozen=True, slots=True)
class _Mail:
    """What was found out before the content is read."""

    headers: Headers
    name: str
    sender: str
    proven: bool
    references: tuple[str, ...]
    own_id: str


def parse(raw: bytes, box: Mailbox, *, received_at: datetime, stands_at: str = "") -> InboundMessage | None:
    """None for what is ours or a bounce of what is not. `stands_at`: validity and UID in the mailbox, for fetching
    attachments. Raises only `UnreadablePayload`."""
    try:
        return _parse(raw, box, received_at, stands_at)
    except MALFORMED as error:
        raise errors.UnreadablePayload("The mail is malformed beyond reading.") from error


def attached(raw: bytes) -> Sequence[Attached]:
    """The attachments in the order in which `parse` numbers them. Raises only `UnreadablePayload`."""
    try:
        return body.read(email.message_from_bytes(raw)).attached
    except MALFORMED as error:
        raise errors.UnreadablePayload("The mail is malformed beyond reading.") from error


def subject_of(text: str) -> str:
    """Without the marks of replies."""
    return REPLY_PREFIX.sub("", text).strip()[:SUBJECT_LIMIT]


def _parse(raw: bytes, box: Mailbox, received_at: datetime, stands_at: str) -> InboundMessage | None:
    message = email.message_from_bytes(raw)
    mail = _look(message, raw, box)
    kind = automatic.kind_of(message, mail.headers, mail.sender, own=box.own, loop_token=box.loop_token)
    if kind == "own" or box.threads.recognise(mail.own_id) is not None:
        return None
    if kind == "bounce":
        return _bounce(message, raw, box, mail, received_at)
    place = box.threads.place(
        sender=mail.sender, proven=mail.proven, own_id=mail.own_id, references=mail.references
    )
    content = _content(message, mail, box, stands_at)
    if kind:
        content |= {"kind": "event", "event": kind}
    return InboundMessage(
        **_frame(box, mail, place),
        **content,
        sent_at=moment(mail.headers.first("date"), received_at),
        reply_context=_reply_context(mail, place),
    )


def _look(message: Message, raw: bytes, box: Mailbox) -> _Mail:
    headers = Headers(message)
    writers = [one for value in headers.all("from") for one in mailboxes(value)]
    if not writers:
        raise errors.UnreadablePayload("The mail does not say from whom it is.", code="no_sender")
    name, sender = writers[0]
    proven = len(writers) == 1 and len(headers.all("from")) == 1 and proof.is_proven(
        headers.all("authentication-results"), authserv_id=box.authserv_id, domain=sender.rpartition("@")[2]
    )  # fmt: skip
    answers_to = [one for one in mailboxes(headers.first("reply-to")) if one[1] not in box.own]
    if answers_to and answers_to[0][1] != sender and sender not in box.own:
        (other, sender), proven = answers_to[0], False
        name = other or name
    references = (*headers.ids("references"), *headers.ids("in-reply-to"))
    own_id = headers.message_id() or digest("content", raw.decode("latin-1"))
    return _Mail(headers, name, sender, proven, references, own_id)


def _frame(box: Mailbox, mail: _Mail, place: Place) -> dict[str, Any]:
    return {
        "tenant": box.tenant,
        "channel": NAME,
        "account": box.account,
        "thread": place.thread,
        "message_id": MessageId(digest(NAME, box.account, box.address, mail.sender, mail.own_id)[:40]),
        "sender": (Identifier(namespace=f"{NAME}:{box.address}", value=mail.sender, proven=mail.proven),),
    }


def _content(message: Message, mail: _Mail, box: Mailbox, stands_at: str) -> dict[str, Any]:
    found = body.read(message)
    subject = subject_of(mail.headers.text("subject"))
    text = quotes.strip(found.text)
    if subject and not mail.references and subject.casefold() not in text.casefold():
        text = f"{subject}\n\n{text}".strip()
    attachments = tuple(_attachment(one, box, stands_at) for one in found.attached)
    kind = "text" if text or not attachments else attachments[0].kind
    data = {"sender_name": mail.name, "subject": subject}
    return {
        "kind": kind,
        "text": text,
        "attachments": attachments,
        "event_data": {name: value for name, value in data.items() if value},
    }


def _attachment(one: Attached, box: Mailbox, stands_at: str) -> Attachment:
    media_type = one.part.get_content_type()
    kinds: dict[str, Literal["image", "voice", "video"]] = {
        "image": "image",
        "audio": "voice",
        "video": "video",
    }
    fits = len(one.content()) <= box.attachment_limit_bytes
    return Attachment(
        kind=kinds.get(one.part.get_content_maintype(), "file"),
        media_id=f"{stands_at}:{one.number}" if stands_at and fits else "",
        media_type=media_type,
        name=one.name,
        description="" if fits else "too_large",
    )


def _bounce(
    message: Message, raw: bytes, box: Mailbox, mail: _Mail, received_at: datetime
) -> InboundMessage | None:
    """In the conversation of the mail that came back; None when that was not ours."""
    found = box.threads.find("\n".join([*mail.references, raw.decode("latin-1"), body.read(message).text]))
    if found is None:
        return None
    own_id, place = found
    report = automatic.report_of(message)
    events = {"delayed": "delayed", "delivered": "delivered", "relayed": "delivered", "expanded": "delivered"}
    writer = Identifier(namespace=f"{NAME}:{box.address}", value=report.recipient or mail.sender)
    code = f"{NAME}_{report.status}" if report.status else f"{NAME}_bounced"
    return InboundMessage(
        **{**_frame(box, mail, place), "sender": (writer,)},
        kind="event",
        event=events.get(report.action, "bounced"),
        event_data={"provider_id": own_id, "code": code},
        sent_at=received_at,
    )


def receipt_of(report: InboundMessage, state: Literal["delivered", "failed"]) -> Receipt:
    code = report.event_data["code"] if state == "failed" else ""
    return Receipt(report.event_data["provider_id"], state, code)


def _reply_context(mail: _Mail, place: Place) -> dict[str, str]:
    own = [mail.own_id] if "@" in mail.own_id else []
    references = list(dict.fromkeys([*mail.references, *own]))
    if len(references) > REFERENCES_LIMIT:
        references = [references[0], *references[-REFERENCES_LIMIT + 1 :]]
    return {
        "subject": subject_of(mail.headers.text("subject")),
        "in_reply_to": "".join(own),
        "references": " ".join(references),
        "root": place.root,
        "thread": place.thread,
    }
