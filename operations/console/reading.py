"""What the desk's page shows, read in two strokes: the list of conversations, and everything about one of them.

Called by `console.desk` and the staff's API. The list is read once for all open pages: a small query tells whether
anything in it moved. Orders come from the shop's own system, through the same connection as the bot's tools; when it
does not answer the page says so and shows the rest.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from agent import records
from agent.tools.contract import OrderSystem
from customers import behaviour
from customers.directory import Person
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profile
from foundation import conversations, errors
from foundation.clock import Clock
from foundation.conversations import Conversation, Message, message_table
from foundation.messages import ConversationId, Observation, TenantId
from foundation.storage.database import Database
from operations.console.words import Words
from operations.desk import Desk, Note
from operations.identities.person import Named, PersonReading, likely_ids
from operations.staff import Staff

ORDER_LIMIT = 6
MESSAGE_LIMIT = 200
LINE_LIMIT = 160
"""Characters of a message in the list, where one line is seen."""
ORDER_SECONDS = 3.0
"""The page does not wait longer for the shop; the next refresh asks again."""
ORDERS_KEPT_SECONDS = 20.0
OUTAGE_KEPT_SECONDS = 5.0
ROWS_KEPT_SECONDS = 15.0
"""What the small query cannot see (a proof that ran out, a renamed colleague) shows after so long."""

Titles = Mapping[str, Mapping[str, str]]
"""Channel name → language → title."""


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation in the list."""

    conversation: Conversation
    name: str
    last_text: str
    last_kind: str
    """What it was, where it had no words."""
    approvals: int
    holder_name: str
    titles: Mapping[str, str]

    def channel_title(self, language: str) -> str:
        return self.titles.get(language, self.conversation.channel)


@dataclass(frozen=True, slots=True)
class Orders:
    """`state`: shown, locked (nobody has proven who this is), or down. `name` and `level` are the shop's own."""

    state: Literal["shown", "locked", "down"]
    orders: tuple[dict[str, Any], ...] = ()
    name: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything about one conversation."""

    conversation: Conversation
    name: str
    holder_name: str
    person: Person | None
    messages: tuple[Message, ...]
    turns: tuple[records.TurnRow, ...]
    approvals: tuple[records.ApprovalRow, ...]
    notes: tuple[Note, ...]
    orders: Orders
    profile: Profile | None
    """Of all the customer's identities; None while nobody is known."""
    now: datetime
    titles: Titles
    """Of the channels that the profile names."""
    identities: tuple[Named, ...] = ()
    """All that is likely this customer, each with how sure it is."""
    behaviour: tuple[Observation, ...] = ()
    """What the customer looked at lately, newest first."""

    @property
    def likely(self) -> frozenset[str]:
        return likely_ids(self.identities)


@dataclass(frozen=True, slots=True)
class _Kept:
    pulse: object
    at: datetime
    rows: list[Row]


class DeskReading:
    def __init__(
        self, database: Database, people: PersonReading, *, desk: Desk, staff: Staff, orders: OrderSystem, titles: Titles,
        clock: Clock, notes: OrderNotes,
    ) -> None:  # fmt: skip
        self._database = database
        self._directory = people.directory
        self._desk = desk
        self._staff = staff
        self._orders = orders
        self._titles = titles
        self._clock = clock
        self._notes = notes
        self._people = people
        self._kept_orders: dict[tuple[TenantId, str], tuple[datetime, Orders]] = {}
        self._kept_rows: dict[TenantId, _Kept] = {}
        self._reading_rows = asyncio.Lock()

    @property
    def titles(self) -> Titles:
        return self._titles

    async def colleagues(self, tenant: TenantId) -> dict[str, str]:
        """Names by id."""
        return {member.id: member.name for member in await self._staff.members(tenant)}

    def now(self) -> datetime:
        return self._clock()

    async def rows(self, tenant: TenantId) -> list[Row]:
        """Open conversations: the queue first, longest wait on top."""
        async with self._reading_rows:
            pulse = await self._database.read(lambda connection: _pulse(connection, tenant))
            kept, now = self._kept_rows.get(tenant), self._clock()
            if kept and kept.pulse == pulse and (now - kept.at).total_seconds() < ROWS_KEPT_SECONDS:
                return kept.rows
            rows = await self._read_rows(tenant)
            self._kept_rows[tenant] = _Kept(pulse, now, rows)
            return rows

    async def _read_rows(self, tenant: TenantId) -> list[Row]:
        inbox = await self._desk.inbox(tenant)
        members = await self.colleagues(tenant)
        found = [conversation for holder in ("queue", "human", "bot") for conversation in inbox[holder]]
        last, names, waiting = await self._database.read(
            lambda connection: (
                _last_texts(connection, tenant, found),
                {one.id: self._name(connection, tenant, one.id) for one in found},
                Counter(one.conversation_id for one in records.waiting_approvals(connection, tenant)),
            )
        )
        return [
            Row(
                conversation=one, name=names[one.id], last_text=last.get(one.id, ("", ""))[0], last_kind=last.get(one.id, ("", ""))[1], approvals=waiting[one.id],
                holder_name=members.get(one.held_by or "", ""), titles=self._titles.get(one.channel, {}),
            )
            for one in found
        ]  # fmt: skip

    async def view(self, tenant: TenantId, conversation_id: ConversationId) -> View:
        def read(connection: sa.Connection) -> tuple[Any, ...]:
            conversation = conversations.get(connection, tenant, conversation_id)
            person = self._directory.find(connection, tenant, conversation_id)
            named = self._people.identities(connection, tenant, person.identity_id) if person else ()
            return (
                conversation,
                person,
                self._profile(connection, tenant, person, named),
                conversations.read(
                    connection,
                    tenant,
                    conversation_id,
                    before_seq=conversation.last_seq + 1,
                    limit=MESSAGE_LIMIT,
                ),
                records.read_turns(connection, tenant, conversation_id),
                records.waiting_approvals(connection, tenant, conversation_id),
                behaviour.recent(connection, tenant, conversation_id),
                named,
            )

        orders = await self._orders_of(tenant, conversation_id)
        conversation, person, profile, messages, turns, approvals, seen, named = await self._database.read(
            read
        )
        notes = await self._desk.notes(tenant, conversation_id)
        holder = await self._staff.find(tenant, conversation.held_by) if conversation.held_by else None
        return View(
            conversation=conversation, name=_shown_name(person), holder_name=holder.name if holder else "", person=person, messages=tuple(messages),
            turns=tuple(turns), approvals=tuple(approvals), notes=tuple(notes),
            orders=orders, profile=profile, now=self._clock(), titles=self._titles, identities=named, behaviour=tuple(seen),
        )  # fmt: skip

    async def _orders_of(self, tenant: TenantId, conversation_id: ConversationId) -> Orders:
        """Before the rest is read, because what the shop says becomes part of the profile."""
        person = await self._directory.find_person(tenant, conversation_id)
        return await self.orders_of(tenant, (person.account or "") if person else "")

    def _profile(
        self, connection: sa.Connection, tenant: TenantId, person: Person | None, named: Sequence[Named]
    ) -> Profile | None:
        if person is None:
            return None
        profiles = self._notes.profiles
        ids = profiles.of_customer(connection, tenant, person.identity_id, person.customer_id)
        sure = {one.id for one in named} - likely_ids(named)
        return profiles.view(connection, tenant, ids, preferred=sure)

    async def orders_of(self, tenant: TenantId, account: str) -> Orders:
        """`account` "": nobody has proven one, and nothing is shown."""
        if not account:
            return Orders("locked")
        place, now = (tenant, account), self._clock()
        kept = self._kept_orders.get(place)
        if kept is not None:
            seconds = ORDERS_KEPT_SECONDS if kept[1].state == "shown" else OUTAGE_KEPT_SECONDS
            if (now - kept[0]).total_seconds() < seconds:
                return kept[1]
        orders = await self._fetch_orders(tenant, account)
        self._kept_orders = {
            one: (at, known)
            for one, (at, known) in self._kept_orders.items()
            if (now - at).total_seconds() < ORDERS_KEPT_SECONDS
        }
        self._kept_orders[place] = (now, orders)
        return orders

    async def _fetch_orders(self, tenant: TenantId, account: str) -> Orders:
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                listed = await self._orders.call("list_orders", {"customer": account, "limit": ORDER_LIMIT})
                known = await self._orders.call("get_customer", {"customer": account})
        except (errors.UpstreamError, TimeoutError):
            return Orders("down")
        for answer in (listed, known):
            if answer.get("ok"):
                await self._notes.seen(tenant, account, answer)
        name, level = (str(known.get(field) or "") for field in ("name", "level"))
        return Orders("shown", tuple(listed.get("orders", ())), name, level)

    def _name(self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId) -> str:
        return _shown_name(self._directory.find(connection, tenant, conversation_id))


def _shown_name(person: Person | None) -> str:
    if person is None:
        return ""
    return person.display_name or person.account or ""


def caller(words: Words, name: str, conversation_id: ConversationId) -> str:
    """Strangers are told apart by the first letters of their conversation."""
    return name or words("desk.stranger", mark=conversation_id[:4].upper())


def _last_texts(
    connection: sa.Connection, tenant: TenantId, found: list[Conversation]
) -> dict[ConversationId, tuple[str, str]]:
    """The customer's last words and their kind: what an agent looks for in a list."""
    if not found:
        return {}
    table = message_table.c
    latest = (
        sa.select(table.conversation_id, sa.func.max(table.seq).label("seq"))
        .where(
            table.tenant == tenant,
            table.conversation_id.in_([one.id for one in found]),
            table.role == "customer",
        )
        .group_by(table.conversation_id)
        .subquery()
    )
    query = sa.select(table.conversation_id, table.text, table.kind, table.extras).join(
        latest, (latest.c.conversation_id == table.conversation_id) & (latest.c.seq == table.seq)
    )
    return {
        row.conversation_id: ((row.text or _spoken(row.extras))[:LINE_LIMIT], row.kind)
        for row in connection.execute(query)
    }


def _spoken(extras: str | None) -> str:
    """What a model made of a message without words."""
    attachments = json.loads(extras).get("attachments", ()) if extras else ()
    return " ".join(one["reading"] for one in attachments if one.get("reading"))


def _pulse(connection: sa.Connection, tenant: TenantId) -> object:
    """Changes whenever a conversation or an approval does; cheap enough for every look of every page."""
    c, a = conversations.conversation_table.c, records.approval_table.c
    talk = sa.select(sa.func.count(), sa.func.max(c.updated_at), sa.func.sum(c.last_seq)).where(
        c.tenant == tenant
    )
    asked = sa.select(sa.func.count()).where(a.tenant == tenant, a.state == "waiting")
    return tuple(connection.execute(talk).one()), connection.execute(asked).scalar_one()
