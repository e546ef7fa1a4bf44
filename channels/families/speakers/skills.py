"""What the voice skills of all platforms do alike: the reply stands in the answer, and what is late is fetched by "go on".

An adapter derives from `Skill` and brings the platform's own: `verify`, `parse` (its JSON as an `Utterance`) and `render`
(a `Speech` as its JSON). "Go on" is no message to the agent while something was announced: it fetches the reply that was
not ready (`listens`), or says the rest of one that was too long for one turn (`acknowledge`).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starlette.routing import BaseRoute

from channels.contract import (
    BODY_LIMIT,
    Acknowledgement,
    Capabilities,
    Door,
    Part,
    Surroundings,
    Webhook,
)
from channels.families.speakers import spoken
from channels.families.speakers.spoken import Speech
from channels.promises import Companion
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import ContentKind, Identifier, InboundMessage, MessageId

TEXT_LIMIT = 7000
"""Characters of one reply; what one turn says of it is the skill's `speech_limit`."""
JSON = "application/json;charset=UTF-8"

Kind = Literal["enter", "text", "silence", "unheard", "end", "event"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One call of a platform, read. `thread` is whom the conversation is with; `details` is the adapter's own."""

    kind: Kind
    thread: str
    request_id: str
    sender: tuple[Identifier, ...]
    sent_at: datetime
    text: str = ""
    event: str = ""
    event_data: Mapping[str, str] = field(default_factory=dict)
    language: str = "zh"
    memory: Mapping[str, str] = field(default_factory=dict)
    remembers: bool = True
    """The platform hands back what an answer left in the session."""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        """Asks for what was announced; where nothing can be remembered, the word alone decides."""
        announced = spoken.REST in self.memory or spoken.WAITING in self.memory
        return self.kind == "text" and spoken.goes_on(self.text) and (announced or not self.remembers)


class Skill(ABC):
    """Keeps `contract.Channel`, `promises.Answering` and `promises.Companioned`, but for `verify`."""

    name: str
    language = "zh"
    """Of the platform's customers, for a call that cannot be read."""

    def __init__(self, surroundings: Surroundings, *, deadline_seconds: float, speech_limit: int) -> None:
        self._around = surroundings
        self._speech_limit = speech_limit
        self.capabilities = Capabilities(
            text_limit=TEXT_LIMIT, citations="text", synchronous_deadline_seconds=deadline_seconds,
            acknowledge_unreadable=True,
        )  # fmt: skip

    @abstractmethod
    def verify(self, webhook: Webhook) -> None: ...

    @abstractmethod
    def parse(self, webhook: Webhook) -> Utterance:
        """Pure. Raises `UnreadablePayload`."""

    @abstractmethod
    def render(self, heard: Utterance | None, speech: Speech) -> Mapping[str, Any]:
        """The platform's answer; `heard` is None for a call that cannot be read."""

    async def open(self) -> None:
        """Nothing to prepare."""
        return

    async def close(self) -> None:
        """Nothing to end."""
        return

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        heard = self.parse(webhook)
        if heard.kind in ("silence", "unheard") or heard.goes_on:
            return []
        return [self._message(heard)]

    def listens(self, webhook: Webhook) -> InboundMessage | None:
        heard = self._heard(webhook)
        if heard is None or spoken.REST in heard.memory:
            return None
        late = heard.kind == "silence" and spoken.WAITING in heard.memory
        return self._message(heard) if late or heard.goes_on else None

    def respond(self, webhook: Webhook, parts: Sequence[Part], *, waiting: bool) -> Acknowledgement:
        heard = self._heard(webhook)
        language = self.language if heard is None else heard.language
        if heard is not None and heard.kind == "end":
            return self._answer(heard, spoken.SILENCE)
        if waiting:
            quiet = heard is not None and heard.kind == "event"
            return self._answer(heard, Speech() if quiet else spoken.wait(language))
        remembers = heard is None or heard.remembers
        speech = spoken.say(parts, language, limit=self._speech_limit, remembers=remembers)
        return self._answer(heard, speech)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        heard = self._heard(webhook)
        if heard is None:
            return self._answer(None, spoken.unheard(self.language))
        return self._answer(heard, self._acknowledged(heard))

    def companion(self, conversation: Conversation) -> Companion | None:
        """A speaker knows no other address: links go where the linked account has written from."""
        return None

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        raise errors.UpstreamRefused(
            "A voice skill cannot call its customers; it answers when they speak.",
            code=f"{self.name}_no_push",
        )

    async def show_typing(self, conversation: Conversation) -> None:
        """A voice has none."""
        return

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()

    def _acknowledged(self, heard: Utterance) -> Speech:
        if heard.goes_on and spoken.REST in heard.memory:
            rest = heard.memory[spoken.REST]
            return spoken.portion(rest, heard.language, limit=self._speech_limit, remembers=heard.remembers)
        if heard.kind == "silence":
            return spoken.silence(heard.language, heard.memory, remembers=heard.remembers)
        if heard.kind == "unheard":
            return spoken.unheard(heard.language, heard.memory)
        if heard.kind == "end":
            return spoken.SILENCE
        return Speech() if heard.kind == "event" else spoken.wait(heard.language)

    def _heard(self, webhook: Webhook) -> Utterance | None:
        try:
            return self.parse(webhook)
        except errors.UnreadablePayload:
            return None

    def _answer(self, heard: Utterance | None, speech: Speech) -> Acknowledgement:
        body = json.dumps(self.render(heard, speech), ensure_ascii=False).encode("utf-8", "replace")
        return Acknowledgement(body, media_type=JSON)

    def _message(self, heard: Utterance) -> InboundMessage:
        event = heard.kind if heard.kind in ("enter", "end") else heard.event
        kind: ContentKind = "text" if heard.kind in ("text", "silence") else "event"
        return InboundMessage(
            tenant=self._around.tenant, channel=self.name, account=self._around.account, thread=heard.thread,
            message_id=message_id(self._around.account, heard.thread, heard.request_id), sender=heard.sender,
            kind=kind if kind == "text" or event else "unknown", text=heard.text if kind == "text" else "",
            event=event if kind == "event" else "", event_data=dict(heard.event_data), sent_at=heard.sent_at,
        )  # fmt: skip


def message_id(*parts: str) -> MessageId:
    """A digest: it stands unsealed in tables, and its parts name a person."""
    return MessageId(hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32])


def parse_object(body: bytes) -> dict[str, Any]:
    """A call's JSON. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The call is too large.", code="too_large")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadablePayload("The call is no JSON.") from error
    if not isinstance(content, dict):
        raise errors.UnreadablePayload("The call is no JSON object.")
    return content


def part_of(content: object, *path: str) -> dict[str, Any]:
    """The object at a path; {} where there is none, or an empty list as PHP writes an empty object."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def text_of(content: Mapping[str, Any], name: str) -> str:
    """A text or a number as text; "" for everything else."""
    value = content.get(name)
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else ""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def moment_of(seconds: object, otherwise: datetime) -> datetime:
    """Unix seconds, as a number or a text."""
    try:
        return datetime.fromtimestamp(float(seconds), otherwise.tzinfo)  # type: ignore[arg-type]  # caught below
    except (TypeError, ValueError, OverflowError, OSError):
        return otherwise
