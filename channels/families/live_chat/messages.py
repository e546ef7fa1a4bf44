"""What one visitor may do with one conversation: write, read, say how far they have read. REST and sockets call it.

Every look-up is scoped by the visitor's pass; an id that a client names is never an authorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from channels import text as texts
from channels.contract import Door, Surroundings
from channels.families.live_chat import codec, records
from channels.families.live_chat.admission import Pace
from channels.families.live_chat.codec import Frame
from channels.families.live_chat.rooms import Rooms
from channels.families.live_chat.tokens import Pass
from channels.families.live_chat.uploads import Uploads
from foundation import conversations, errors
from foundation.conversations import Conversation, Message, conversation_table, message_table, queue_order
from foundation.live import Signal
from foundation.messages import Attachment
from foundation.security import hide_codes, network_key

PAGE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class View:
    """The conversation as its customer sees it now. `delivered_upto` and `read_upto` are about the customer's own
    messages, `seen_upto` about ours."""

    messages: list[Message]
    last_seq: int = 0
    status: str = "bot"
    agent: str = ""
    position: int = 0
    delivered_upto: int = 0
    read_upto: int = 0
    seen_upto: int = 0

    def status_frame(self) -> Frame:
        frame: Frame = {"t": "status", "state": self.status}
        if self.agent:
            frame["agent"] = self.agent
        if self.position:
            frame["position"] = self.position
        return frame


class Messages:
    def __init__(
        self,
        surroundings: Surroundings,
        *,
        channel: str,
        site: str,
        device: bool,
        rooms: Rooms,
        pace: Pace,
        uploads: Uploads,
    ) -> None:
        """`site` is what becomes `InboundMessage.account`; `device`: a visitor is a browser, which several people may use."""
        self._around = surroundings
        self._channel = channel
        self._site = site
        self._device = device
        self._rooms = rooms
        self._pace = pace
        self._uploads = uploads

    async def send(
        self, who: Pass, form: codec.SendForm, door: Door, *, host: str = ""
    ) -> tuple[Frame, bool]:
        """The receipt, the same for every repeat, and whether the message is new. `host`: from where it comes, of which a
        digest goes along. Raises `Conflict` when other content
        came under this id before, `Exhausted`, `NotFound` for somebody else's upload."""
        message_id = codec.message_id(who.conversation_id, form.client_msg_id)
        self._pace.spend_message(who.visitor, message_id)
        attachments = await self._attachments(who, form)
        inbound = codec.to_inbound(
            form, who, channel=self._channel, account=self._site, device=self._device, attachments=attachments,
            now=self._around.clock(),
        )  # fmt: skip
        if network := network_key(self._around.vault, who.tenant, host):
            inbound = inbound.model_copy(update={"event_data": {"network": network}})
        accepted = await door.accept(inbound, form.model_dump_json().encode("utf-8", "backslashreplace"))
        self._rooms.expect(who.conversation_id)
        if accepted.new:
            receipt = {"id": message_id, "seq": accepted.seq, "ts": round(inbound.sent_at.timestamp() * 1000)}
            return receipt, True
        stored = await self.find(who, message_id)
        sent = tuple(one.as_sent() for one in stored.attachments)
        said = texts.clean(form.text)[0]
        if stored.text not in (said, hide_codes(said)) or sent != attachments:
            raise errors.Conflict(
                "Another message was already sent under this client_msg_id.", code="client_msg_id_reused"
            )
        return codec.render_receipt(stored), False

    async def find(self, who: Pass, message_id: str) -> Message:
        found = await self._around.database.read(
            lambda connection: conversations.find_message(
                connection, who.tenant, who.conversation_id, message_id
            )
        )
        if found is None:
            raise errors.NotFound("This message does not exist.")
        return found

    async def view(self, who: Pass, *, after_seq: int, limit: int = PAGE_LIMIT) -> View:
        return await self._around.database.read(
            lambda connection: _view(connection, who, after_seq=after_seq, limit=limit)
        )

    async def before(self, who: Pass, seq: int, limit: int) -> list[Message]:
        return await self._around.database.read(
            lambda connection: conversations.read(
                connection, who.tenant, who.conversation_id, before_seq=seq, limit=limit
            )
        )

    async def seen(self, who: Pass, *, delivered: int = 0, read: int = 0) -> None:
        """Cumulative and only forward; a client cannot have seen what does not exist yet."""

        def mark(connection: sa.Connection) -> bool:
            found = conversations.find(connection, who.tenant, who.conversation_id)
            if found is None or not _moves(found, delivered, read):
                return False
            conversations.mark_seen(
                connection, who.tenant, who.conversation_id, delivered=min(delivered, found.last_seq),
                read=min(read, found.last_seq),
            )  # fmt: skip
            return True

        if await self._around.database.write(mark):
            for topic in (who.conversation_id, f"desk:{who.tenant}"):
                self._around.hub.tell(Signal("receipt", topic, who="customer"))

    async def observe(self, who: Pass, form: codec.EventsForm, door: Door) -> None:
        await door.observe(who.tenant, who.conversation_id, codec.to_observations(form, self._around.clock()))

    def typing(self, who: Pass) -> None:
        self._around.hub.tell(Signal("typing", who.conversation_id, who="customer"))

    def stop(self, who: Pass, message_id: str) -> None:
        """Nothing more of this running reply is shown piece by piece, in no tab; what the transcript gets stands."""
        self._rooms.stop(who.conversation_id, message_id)

    async def _attachments(self, who: Pass, form: codec.SendForm) -> tuple[Attachment, ...]:
        wanted = [reference.upload_id for reference in form.attachments]
        if not wanted:
            return ()
        found = await self._around.database.read(
            lambda connection: [records.find_upload(connection, who.tenant, one) for one in wanted]
        )
        attachments = []
        for upload in found:
            if upload is None or upload.conversation_id != who.conversation_id:
                raise errors.NotFound(
                    "This upload does not exist. Upload the file again.", code="upload_unknown"
                )
            attachments.append(self._uploads.attachment(upload))
        return tuple(attachments)


def _moves(found: Conversation, delivered: int, read: int) -> bool:
    return max(delivered, read) > found.customer_delivered_seq or read > found.customer_read_seq


def _view(connection: sa.Connection, who: Pass, *, after_seq: int, limit: int) -> View:
    found = conversations.find(connection, who.tenant, who.conversation_id)
    if found is None:
        return View([])
    messages = conversations.read(
        connection, who.tenant, who.conversation_id, after_seq=after_seq, limit=limit
    )
    delivered, read = _receipts(connection, who)
    state = "closed" if found.status == "closed" else {"queue": "queued"}.get(found.holder, found.holder)
    return View(
        messages=messages,
        last_seq=found.last_seq,
        status=state,
        agent=_agent(connection, who, found) if state == "human" else "",
        position=_position(connection, found) if state == "queued" else 0,
        delivered_upto=delivered,
        read_upto=read,
        seen_upto=found.customer_read_seq,
    )


def _receipts(connection: sa.Connection, who: Pass) -> tuple[int, int]:
    """A customer's message was read when we answered after it, delivered when the worker or an agent took it."""
    table = message_table.c
    mine = sa.and_(table.tenant == who.tenant, table.conversation_id == who.conversation_id)
    answered = (
        sa.select(sa.func.max(table.seq)).where(mine, table.role.in_(("bot", "agent"))).scalar_subquery()
    )
    is_read = sa.or_(table.state == "read", table.seq < sa.func.coalesce(answered, 0))
    row = connection.execute(
        sa.select(
            sa.func.max(sa.case((sa.or_(is_read, table.state == "delivered"), table.seq), else_=0)),
            sa.func.max(sa.case((is_read, table.seq), else_=0)),
        ).where(mine, table.role == "customer")
    ).one()
    return int(row[0] or 0), int(row[1] or 0)


def _agent(connection: sa.Connection, who: Pass, found: Conversation) -> str:
    """The name under which the person writes; until they have written, the name of their account."""
    table = message_table.c
    author = connection.execute(
        sa.select(table.author)
        .where(
            table.tenant == who.tenant, table.conversation_id == who.conversation_id, table.role == "agent"
        )
        .order_by(table.seq.desc())
        .limit(1)
    ).scalar_one_or_none()  # fmt: skip
    return author or found.held_by or ""


def _position(connection: sa.Connection, found: Conversation) -> int:
    if found.waiting_since is None:
        return 0
    table = conversation_table.c
    before = sa.select(queue_order).where(table.id == found.id).scalar_subquery()
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(conversation_table)
            .where(
                table.tenant == found.tenant, table.holder == "queue", table.status == "open",
                queue_order <= before,
            )
        ).scalar_one()
    )  # fmt: skip
