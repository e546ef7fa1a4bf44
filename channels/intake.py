"""The door: a platform's request becomes a durable message and an entry on the bus in one transaction, then an answer.

`endpoints` calls `receive` for webhooks; adapters with routes of their own use it as their `Door`. Nothing is thought
about here: what can be stored is accepted as what it is (an empty text, a picture, a kind nobody knows), and the agent
answers it. The same message any number of times is one message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import sqlalchemy as sa
import structlog

from channels import degrade, records
from channels import text as texts
from channels.contract import (
    Accepted,
    Acknowledgement,
    Channel,
    ProofWriter,
    Receipt,
    Watermark,
    Webhook,
)
from channels.outbound.elsewhere import Elsewhere
from channels.outbound.exchange import Exchange
from channels.promises import Answering, Preparing, Remembering, Reporting
from channels.refusals import Refusals
from foundation import conversations, errors
from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock
from foundation.events import BehaviourObserved, IdentityProven, MessageReceived
from foundation.live import Hub, Signal
from foundation.messages import Choice, ConversationId, InboundMessage, Observation, TenantId
from foundation.security import Vault, find_code, hide_codes
from foundation.storage.database import Database
from foundation.telemetry import Metrics

log = structlog.get_logger(__name__)

GREETED_EVENTS = frozenset({"enter", "start", "subscribe"})
"""On a channel that is answered in the call, nothing is said to other events: the customer hung up, a line changed state."""
IDLE = "idle"
"""The event of a call that only fetches, and to which no reply is owed."""
CHOICE_LENGTH = 120
"""Characters; a longer text is no choice, and costs no look at the last reply."""
CHOICE_REACH = 5
"""Messages; buttons further up are out of sight."""


class Intake:
    """Keeps `contract.Door`."""

    record_proof: ProofWriter | None = None
    """Set by the wiring (`Directory.prove`): runs in the transaction that publishes `IdentityProven`."""
    foretell: Callable[[str], None] | None = None
    """Set by the wiring where turns are worked in this process: told a text before it is stored, so that what takes longest
    can begin meanwhile. A hint: nothing may depend on it."""

    awaits_code: Callable[[sa.Connection, TenantId, ConversationId], bool] | None = None
    """Set by the wiring: was a one-time code asked for here? Then neither transcript nor raw payload keeps its digits."""

    def __init__(
        self, bus: Bus, database: Database, *, vault: Vault, clock: Clock, metrics: Metrics, hub: Hub,
        elsewhere: Elsewhere | None = None,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._database = database
        self._vault = vault
        self._clock = clock
        self._metrics = metrics
        self._hub = hub
        self._exchange = Exchange(database, hub, elsewhere)
        self.refusals = Refusals(database, clock)

    async def receive(self, tenant: TenantId, channel: Channel, webhook: Webhook) -> Acknowledgement:
        """Durable when it returns. Raises `NotAuthentic`, `UnreadablePayload`, `Exhausted`; the platform repeats and
        deduplication absorbs what was already accepted."""
        try:
            greeting = channel.handshake(webhook)
            if greeting is not None:
                return greeting
            if isinstance(channel, Preparing):
                await channel.prepare(webhook)
            channel.verify(webhook)
        except errors.NotAuthentic as error:
            self._metrics.refused.labels(channel.name, error.code).inc()
            log.warning("webhook refused", channel=channel.name, code=error.code)
            raise
        messages = channel.read(webhook)
        if isinstance(channel, Remembering):
            await channel.remember(messages)
        accepted = [(message, await self.accept(message, webhook.body)) for message in messages]
        if isinstance(channel, Reporting):
            await self.note_receipts(tenant, channel, webhook)
        if isinstance(channel, Answering):
            return await self._answer(channel, webhook, accepted)
        return channel.acknowledge(webhook)

    async def note_receipts(self, tenant: TenantId, channel: Channel, webhook: Webhook) -> None:
        """What became of replies, by the platform's word; a receipt for what we did not send is let go."""
        assert isinstance(channel, Reporting)
        for receipt in channel.receipts(webhook):
            await self.report(tenant, channel.name, receipt)

    async def report(self, tenant: TenantId, channel: str, receipt: Receipt | Watermark) -> None:
        note: Callable[[sa.Connection], ConversationId | None]
        if isinstance(receipt, Watermark):
            meant = self._conversation_of(tenant, channel, receipt.account, receipt.thread)
            note = partial(records.note_watermark, tenant=tenant, conversation_id=meant, watermark=receipt)
        else:
            note = partial(records.note_receipt, tenant=tenant, channel=channel, receipt=receipt)
        conversation_id = await self._database.write(note)
        if conversation_id is not None:
            self._hub.tell(Signal("receipt", conversation_id))

    async def _answer(
        self, channel: Channel, webhook: Webhook, accepted: Sequence[tuple[InboundMessage, Accepted]]
    ) -> Acknowledgement:
        """On a channel that is answered in the call itself."""
        assert isinstance(channel, Answering)
        if accepted:
            message, place = accepted[-1]
            if message.kind == "event" and message.event not in GREETED_EVENTS:
                return channel.acknowledge(webhook)
            return await self._exchange.respond(
                channel, webhook, tenant=message.tenant, conversation_id=place.conversation_id,
                repeat_of=0 if place.new else place.seq, answers=place.seq,
            )  # fmt: skip
        if (listener := channel.listens(webhook)) is not None:
            return await self._exchange.respond(
                channel, webhook, tenant=listener.tenant, conversation_id=self.conversation_id(listener),
                waits=listener.event != IDLE,
            )  # fmt: skip
        return channel.acknowledge(webhook)

    async def accept(self, message: InboundMessage, raw: bytes) -> Accepted:
        conversation_id = self.conversation_id(message)
        said = _cleaned(message)
        if self.foretell is not None and said.kind == "text":
            self.foretell(said.text)
        seqs: list[int] = []

        def write(connection: sa.Connection, _lane_seq: int) -> MessageReceived:
            seq = self._store(connection, conversation_id, said, raw=raw)
            seqs.append(seq)
            chosen = _chosen(said, _offered(connection, said, conversation_id, before_seq=seq))
            return event.model_copy(update={"message": chosen, "seq": seq})

        event = MessageReceived(tenant=said.tenant, conversation_id=conversation_id, message=said, seq=0)
        entry = Entry(said.tenant, _source(said), said.message_id, conversation_id, event)
        try:
            receipt = await self._bus.accept(entry, write)
        except errors.Conflict as error:
            # The bus has forgotten this message (its horizon is days), the transcript has not.
            if error.code != "duplicate":
                raise
            return await self._repeated(said, conversation_id)
        if not receipt.new:
            return await self._repeated(said, conversation_id)
        self._metrics.accepted.labels(said.channel, "new").inc()
        for topic in (conversation_id, f"desk:{said.tenant}"):
            self._hub.tell(Signal("changed", topic))
        return Accepted(conversation_id, seqs[-1], new=True)

    def conversation_id(self, message: InboundMessage) -> ConversationId:
        return self._conversation_of(message.tenant, message.channel, message.account, message.thread)

    def _conversation_of(self, tenant: TenantId, channel: str, account: str, thread: str) -> ConversationId:
        return ConversationId(self._vault.lookup_key("conversation", tenant, channel, account, thread))

    async def prove(self, message: InboundMessage, *, account: str, valid_seconds: int) -> None:
        conversation_id = self.conversation_id(message)

        def write(connection: sa.Connection, _lane_seq: int) -> None:
            self._ensure(connection, conversation_id, message)
            if self.record_proof is not None:
                self.record_proof(
                    connection, message.tenant, conversation_id, account=account, method=message.channel,
                    valid_seconds=valid_seconds,
                )  # fmt: skip

        event = IdentityProven(tenant=message.tenant, conversation_id=conversation_id)
        await self._bus.accept(
            Entry(message.tenant, f"{_source(message)}:proof", message.message_id, conversation_id, event),
            write,
        )

    async def observe(
        self, tenant: TenantId, conversation_id: ConversationId, observations: Sequence[Observation]
    ) -> None:
        if not observations:
            return
        lane = f"behaviour:{conversation_id}"
        names = "\0".join(one.id for one in observations)
        key = hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()
        event = BehaviourObserved(
            tenant=tenant, conversation_id=conversation_id, observations=tuple(observations)
        )
        await self._bus.accept(Entry(tenant, lane, key, lane, event))

    async def keep_unreadable(self, tenant: TenantId, channel: Channel, webhook: Webhook) -> None:
        """A payload that cannot be read is kept as it came, under the digest of its bytes, for whoever mends the codec."""
        self._metrics.refused.labels(channel.name, "unreadable_payload").inc()
        log.warning("payload cannot be read", channel=channel.name, size=len(webhook.body))
        key = hashlib.sha256(webhook.body).hexdigest()
        await self._database.write(
            lambda connection: conversations.store_raw(
                connection, tenant=tenant, source=f"{channel.name}:unreadable", key=key, body=webhook.body,
                now=webhook.received_at,
            )
        )  # fmt: skip

    def _store(
        self,
        connection: sa.Connection,
        conversation_id: ConversationId,
        message: InboundMessage,
        *,
        raw: bytes,
    ) -> int:
        now, text = self._clock(), message.text
        code = find_code(text)
        if (
            code
            and self.awaits_code is not None
            and self.awaits_code(connection, message.tenant, conversation_id)
        ):
            text, raw = hide_codes(text), raw.replace(code.encode(), b"*" * len(code))
        conversations.store_raw(
            connection, tenant=message.tenant, source=_source(message), key=message.message_id, body=raw, now=now
        )  # fmt: skip
        self._ensure(connection, conversation_id, message)
        draft = conversations.Draft(
            id=message.message_id,
            role="customer",
            text=text or message.event,
            sent_at=message.sent_at,
            kind=message.kind,
            attachments=message.attachments,
        )
        seq = conversations.append(connection, message.tenant, conversation_id, draft)
        if message.reply_context:
            conversations.change(
                connection, message.tenant, conversation_id, now, reply_context=message.reply_context
            )
        return seq

    def _ensure(
        self, connection: sa.Connection, conversation_id: ConversationId, message: InboundMessage
    ) -> None:
        conversations.ensure(
            connection, conversation_id, tenant=message.tenant, channel=message.channel, account=message.account,
            recipient=_recipient(message), now=self._clock(),
        )  # fmt: skip

    async def _repeated(self, message: InboundMessage, conversation_id: ConversationId) -> Accepted:
        self._metrics.accepted.labels(message.channel, "repeat").inc()
        found = await self._database.read(
            lambda connection: conversations.find_message(
                connection, message.tenant, conversation_id, message.message_id
            )
        )
        return Accepted(conversation_id, 0 if found is None else found.seq, new=False)


def _cleaned(message: InboundMessage) -> InboundMessage:
    text, cut = texts.clean(message.text)
    if not cut and text == message.text:
        return message
    data = {**message.event_data, "truncated": str(len(message.text))} if cut else message.event_data
    return message.model_copy(update={"text": text, "event_data": data})


def _source(message: InboundMessage) -> str:
    return f"{message.channel}:{message.account}"


def _recipient(message: InboundMessage) -> str:
    """The channel's own name of the sender: the first identifier of its namespace, else the first."""
    own = [one.value for one in message.sender if one.namespace.split(":")[0] == message.channel]
    return own[0] if own else message.sender[0].value


def _chosen(message: InboundMessage, choices: tuple[Choice, ...]) -> InboundMessage:
    """A number or label that picks a button of our last reply becomes that button's value for the agent; the transcript
    keeps what the customer wrote."""
    choice = degrade.choice_of(message.text, choices)
    if choice is None:
        return message
    data = {**message.event_data, "chosen_from": message.text}
    return message.model_copy(update={"text": choice.value, "event_data": data})


def _offered(
    connection: sa.Connection, message: InboundMessage, conversation_id: ConversationId, *, before_seq: int
) -> tuple[Choice, ...]:
    """What our last message offered to choose from."""
    if message.kind != "text" or not 0 < len(message.text) <= CHOICE_LENGTH or before_seq == 1:
        return ()
    newest = conversations.read(
        connection, message.tenant, conversation_id, before_seq=before_seq, limit=CHOICE_REACH
    )
    ours = [line for line in newest if line.role in ("bot", "agent")]
    return ours[-1].choices if ours else ()
