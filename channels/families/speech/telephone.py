"""One turn of a phone call, whichever switchboard carries it: what was heard becomes messages, what is to say a script.

Adapters of phone platforms stand on it: each translates its platform's request into `Heard` and a `Script` into the
platform's own verbs. Where a call stands (how often nothing was heard, how long it has waited) travels as a `Line` with
the address or the parameters of the next call, so that any process can answer any call.

Three ladders keep a caller from being stuck: what was not understood is asked again, then by keys, then a person is asked
for; silence is asked about twice, then the call ends; a reply that takes long is bridged by a filler and then silence.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from starlette.routing import BaseRoute

from channels.contract import (
    Acknowledgement,
    Capabilities,
    Door,
    Part,
    Surroundings,
    Webhook,
)
from channels.families.sms import e164
from channels.families.speech import numerals, spoken
from channels.families.speech.phone_settings import PhoneSettings
from channels.promises import Companion
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Identifier, InboundMessage, MessageId

TEXT_LIMIT = 450
"""Characters of one saying; Chinese is nine bytes a character where a platform counts the encoded text."""
Step = Literal["start", "turn", "poll", "dialled", "status"]
STEPS: tuple[Step, ...] = ("start", "turn", "poll", "dialled", "status")
ASK_BY_KEYS = 2
"""So often not understood, or silent, until keys are offered; one more is the end of the ladder."""
STILL_EVERY = 4
"""Polls between two words to a caller who waits."""
COUNTS = ("turn", "missed", "quiet", "polls", "keys", "tried")


@dataclass(frozen=True, slots=True)
class Line:
    """Where a call stands. `keys`: so many choices were offered; `tried`: transfers that nobody took."""

    step: Step = "start"
    language: str = ""
    turn: int = 0
    missed: int = 0
    quiet: int = 0
    polls: int = 0
    keys: int = 0
    tried: int = 0

    def fields(self) -> dict[str, str]:
        """Of letters and digits alone, so that no platform encodes them in a way of its own."""
        counts = {name: str(value) for name in COUNTS if (value := getattr(self, name))}
        return {"step": self.step, "lang": numerals.tongue(self.language), **counts}

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Line:
        """Never raises: what is not ours counts as the start of a call."""
        step = next((one for one in STEPS if one == fields.get("step")), None)
        if step is None:
            return cls()
        counts = {name: _count(fields.get(name, "")) for name in COUNTS}
        return cls(step, "en" if fields.get("lang") == "en" else "zh", **counts)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one request of a platform says. `call` is the platform's name of the call, `scope` of the account."""

    call: str
    scope: str
    line: Line
    caller: str = ""
    caller_name: str = ""
    callee: str = ""
    speech: str = ""
    keys: str = ""
    confidence: float | None = None
    state: str = "alive"
    """"alive", "ended", or a state that nobody knows, by its own name."""
    taken: bool | None = None
    """After a transfer: whether somebody took the call."""
    invalid: bool = False
    """Something was heard that cannot be used."""


@dataclass(frozen=True, slots=True)
class Script:
    """What to say and do next. `line` is where the call stands when it calls again; `digits` ends a key press at so many
    keys, 0 at the # key."""

    then: Literal["listen", "again", "transfer", "hang_up", "nothing"]
    line: Line
    says: tuple[str, ...] = ()
    digits: int = 0
    first: bool = False


class Phone(ABC):
    """Keeps `Channel`, `Answering`, `Transferring` and `Companioned`, but for `verify`, `hear` and `render`, which are the platform's."""

    name = ""

    def __init__(self, settings: PhoneSettings, surroundings: Surroundings) -> None:
        self._phone = settings
        self._tenant = surroundings.tenant
        self._account = surroundings.account
        self.hook = surroundings.hook(self.name)
        self.capabilities = capabilities(settings)

    @abstractmethod
    def hear(self, webhook: Webhook) -> Heard:
        """The platform's request. Raises `UnreadablePayload`."""

    @abstractmethod
    def render(self, script: Script, heard: Heard) -> Acknowledgement: ...

    async def open(self) -> None:  # noqa: B027  # a switchboard needs no more
        """Nothing to prepare."""

    async def close(self) -> None:  # noqa: B027
        """Nothing is held."""

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        """The start of the call, words or keys, and its end; silence and fetching are no messages."""
        heard = self.hear(webhook)
        step = heard.line.step
        found = []
        text, data = self._reading(heard) if step == "turn" else ("", {})
        if text:
            said = self._message(heard, webhook.received_at, mark=f"turn {heard.line.turn}")
            found.append(said.model_copy(update={"text": text, "event_data": data}))
        elif step == "start" and heard.state == "alive":
            found.append(self._event(heard, webhook.received_at, "enter"))
        if heard.state == "ended":
            found.append(self._event(heard, webhook.received_at, "end"))
        elif heard.state != "alive":
            found.append(self._event(heard, webhook.received_at, heard.state[:64]))
        return found

    def listens(self, webhook: Webhook) -> InboundMessage | None:
        """Fetching; and also silence, into which a person's words may have fallen meanwhile."""
        heard = self.hear(webhook)
        if heard.state != "alive" or heard.line.step not in ("turn", "poll"):
            return None
        waits = heard.line.step == "poll"
        message = self._message(heard, webhook.received_at, mark="poll")
        return message if waits else message.model_copy(update={"kind": "event", "event": "idle"})

    def respond(self, webhook: Webhook, parts: Sequence[Part], *, waiting: bool) -> Acknowledgement:
        heard = self.hear(webhook)
        return self.render(self._script(heard, parts, waiting=waiting), heard)

    @property
    def transfers(self) -> bool:
        return bool(self._phone.transfer_to)

    def transfer(self, webhook: Webhook, parts: Sequence[Part]) -> Acknowledgement:
        """A call that nobody took comes back; what the caller says then is noted for the desk."""
        heard = self.hear(webhook)
        line, said = self._listening(heard, parts), self._said(parts)
        words = numerals.words(line.language)
        if not heard.line.tried:
            script = Script("transfer", replace(line, step="dialled"), (*said, words["transfer"]))
        elif said or self._reading(heard)[0]:
            script = Script("listen", line, said or (words["noted"],))
        else:
            script = self._script(heard, (), waiting=False)
        return self.render(script, heard)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        """What has no message: silence, a transfer that ended, a state of the call."""
        heard = self.hear(webhook)
        return self.render(self._script(heard, (), waiting=False), heard)

    def companion(self, conversation: Conversation) -> Companion | None:
        """The number that calls; a withheld one, or none to write by, leaves it to what is proven."""
        caller = conversation.reply_context.get("caller", "")
        return Companion(self._phone.links_by, caller) if self._phone.links_by and caller else None

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        raise errors.UnsupportedContent(
            "A caller hears replies while the call lasts.", code=f"{self.name}_only_in_call"
        )

    async def show_typing(self, conversation: Conversation) -> None:  # noqa: B027
        """The filler is the sign that we are busy."""

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()

    def _script(self, heard: Heard, parts: Sequence[Part], *, waiting: bool) -> Script:
        line = heard.line
        if heard.state == "ended" or line.step == "status":
            return Script("nothing", line)
        if waiting:
            return self._bridge(heard)
        if parts:
            listening = self._listening(heard, parts)
            opening = (self._phone.opening,) if line.step == "start" and self._phone.opening else ()
            return Script(
                "listen", listening, (*opening, *self._said(parts)), _digits(listening.keys),
                first=line.step == "start",
            )  # fmt: skip
        if line.step == "dialled":
            return self._after_transfer(heard)
        return self._again(heard) if line.step == "turn" else self._listen(heard, "anything_else")

    def _bridge(self, heard: Heard) -> Script:
        """The reply is not ready: a word now and then, and the platform calls again."""
        line = replace(
            heard.line, step="poll", language=self._language(heard, ()), polls=heard.line.polls + 1
        )
        words = numerals.words(line.language)
        if line.polls > self._phone.poll_limit:
            return self._listen(heard, "later")
        says: tuple[str, ...] = ()
        if line.polls == 1:
            opening = (self._phone.opening,) if heard.line.step == "start" and self._phone.opening else ()
            says = (*opening, words["filler"])
        elif line.polls % STILL_EVERY == 0:
            says = (words["still"],)
        return Script("again", line, says, first=heard.line.step == "start")

    def _after_transfer(self, heard: Heard) -> Script:
        line = heard.line
        if heard.taken:
            return Script("hang_up", line, (numerals.words(line.language)["goodbye"],))
        return self._listen(replace(heard, line=replace(line, tried=line.tried + 1)), "not_reached")

    def _again(self, heard: Heard) -> Script:
        """Nothing was said, or nothing that was understood."""
        line = heard.line
        missed = bool(heard.speech or heard.keys or heard.invalid)
        count = (line.missed if missed else line.quiet) + 1
        kind = "no_match" if missed else "no_input"
        if not missed and count > ASK_BY_KEYS:
            return Script("hang_up", line, (numerals.words(line.language)["goodbye"],))
        word = kind if count < ASK_BY_KEYS else f"{kind}_keys"
        following = replace(line, turn=line.turn + 1)
        following = replace(following, missed=count) if missed else replace(following, quiet=count)
        return Script("listen", following, (numerals.words(line.language)[word],), _digits(line.keys))

    def _listen(self, heard: Heard, word: str) -> Script:
        line = self._listening(heard, ())
        return Script("listen", line, (numerals.words(line.language)[word],), _digits(line.keys))

    def _listening(self, heard: Heard, parts: Sequence[Part]) -> Line:
        keys = len(parts[-1].message.reply.choices) if parts else 0
        return Line(
            "turn", self._language(heard, parts), heard.line.turn + 1, keys=keys, tried=heard.line.tried
        )

    def _language(self, heard: Heard, parts: Sequence[Part]) -> str:
        if parts:
            return numerals.tongue(parts[-1].message.reply.language)
        return heard.line.language or self._phone.language

    def _said(self, parts: Sequence[Part]) -> tuple[str, ...]:
        """Each part's text, the choices with their keys, and what it rests on."""
        found = []
        for part in parts:
            reply, manner = part.message.reply, replace(self._phone.manner, links_went=part.links_went)
            found.append(spoken.speakable(part.text, reply.language, manner))
            if self._phone.say_sources:
                titles = [citation.title for citation in reply.citations]
                found.append(spoken.sourced(titles, reply.language))
            found.append(spoken.offered(reply.choices, reply.language, manner))
        return tuple(piece for said in found for piece in spoken.pieces(said, TEXT_LIMIT))

    def _reading(self, heard: Heard) -> tuple[str, dict[str, str]]:
        """What the caller means by words or keys; the last step of the ladder speaks for them."""
        words = numerals.words(heard.line.language or self._phone.language)
        keys = spoken.pressed(heard.keys)
        if keys.strip("*"):
            chosen = words["person"] if keys == "0" else keys
            return chosen, {"keys": keys}
        certain = heard.confidence is None or heard.confidence >= self._phone.confidence
        if heard.speech.strip() and certain:
            return heard.speech, {}
        if (heard.speech.strip() or heard.keys or heard.invalid) and heard.line.missed >= ASK_BY_KEYS:
            return words["person"], {"because": "not_understood"}
        return "", {}

    def _event(self, heard: Heard, now: datetime, event: str) -> InboundMessage:
        message = self._message(heard, now, mark=event)
        data = {"sender_name": heard.caller_name} if heard.caller_name else {}
        return message.model_copy(update={"kind": "event", "event": event, "event_data": data})

    def _message(self, heard: Heard, now: datetime, *, mark: str) -> InboundMessage:
        own = Identifier(namespace=f"{self.name}:{heard.scope}", value=heard.call, proven=True)
        number = Identifier(namespace=f"phone:{self._account}", value=heard.caller)
        return InboundMessage(
            tenant=self._tenant, channel=self.name, account=self._account, thread=heard.call,
            message_id=MessageId(digest(self.name, self._account, heard.scope, heard.call, mark)),
            sender=(own, number) if is_number(heard.caller) else (own,), sent_at=now,
            reply_context={"caller": caller} if (caller := e164(heard.caller, self._phone.country)) else {},
        )  # fmt: skip


def capabilities(settings: PhoneSettings) -> Capabilities:
    """Nine choices have a key each; the wait is ours: a caller bears less silence than any platform."""
    return Capabilities(
        text_limit=TEXT_LIMIT, buttons=9, citations="native",
        synchronous_deadline_seconds=settings.answer_wait_seconds,
    )  # fmt: skip


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def is_number(caller: str) -> bool:
    """A number, and not "anonymous", a SIP address or nothing."""
    digits = caller.removeprefix("+")
    return digits.isascii() and digits.isdigit() and len(digits) >= 3


def address(hook: str, line: Line, **more: str) -> str:
    """Where the platform calls next."""
    return f"{hook}?" + "&".join(f"{name}={value}" for name, value in {**line.fields(), **more}.items())


def certainty(given: Any) -> float | None:
    """A platform's confidence as 0 to 1; some count to 100. None where it says none."""
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    if not 0 <= value <= 100:
        return None
    return value / 100 if value > 1 else value


def _digits(keys: int) -> int:
    return 1 if 0 < keys <= 9 else 0


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
