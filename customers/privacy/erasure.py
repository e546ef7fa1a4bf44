"""Erasing a customer from the database: whom it means, what of them there is, and one transaction that takes all of it away.

`operations/privacy` calls it for the staff. Erased is who has *proven* to be the one who asks: one access group, with the
browsers that were nobody else's. What only looks like the same person stays, and staff decide about it. Other customers keep
their partition: evidence that contradicted the erased one is not looked at anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from customers import records as places
from customers.graph import area, history, records
from customers.graph.area import Hold
from customers.graph.graph import Component, Graph
from customers.graph.partition import ACCOUNT, Labels, divide
from customers.graph.records import Identity
from customers.privacy import suppression
from customers.privacy.erasure_places import DELETED, Kind, Place
from foundation import errors
from foundation.conversations import conversation_table, message_table
from foundation.messages import ConversationId, CustomerId, TenantId
from foundation.outward import outbox
from foundation.security import Vault
from foundation.storage.database import metadata

NAMING = ("name", "phone", "email")
"""Statements about a customer that name them."""
SYSTEM_OF_RECORD = 1
"""Proof level from which on a statement is more than what somebody said of themselves."""

NUMBER_DIGITS = 8
"""The last so many digits of a phone number are enough to know it again."""
_NO_DIGIT = re.compile(r"\D")
CALL_MILLISECONDS = 2000
"""The messages of one call of a platform are stored within less than this."""
_RAW = next(one for one in DELETED if one.table == "raw_payload")


@dataclass(frozen=True, slots=True)
class Whom:
    """`own` goes; `stays` are the other identities that staff see as the same customer. `shared` are conversations that go
    although somebody else has proven an account in them as well."""

    tenant: TenantId
    customer_id: CustomerId
    own: tuple[Identity, ...]
    stays: tuple[Identity, ...]
    conversations: tuple[ConversationId, ...]
    shared: tuple[ConversationId, ...]
    sources: tuple[str, ...]
    """Under which the bus and the raw payloads keep what came from them: channel and account."""
    sessions: tuple[str, ...]

    @property
    def identities(self) -> tuple[str, ...]:
        return tuple(one.id for one in self.own)

    def values(self, kind: Kind) -> list[str]:
        match kind:
            case "identity":
                return list(self.identities)
            case "conversation":
                return list(self.conversations)
            case "lane":
                return [name for one in self.conversations for name in (one, f"behaviour:{one}")]
            case "told":
                return [*self.identities, *self.conversations]
            case "session":
                return list(self.sessions)
            case "payload":
                return list(self.sources)


def find(connection: sa.Connection, graph: Graph, tenant: TenantId, name: str, *, identity: str = "") -> Whom:
    """`name`: an id of the customer, of any time. `identity`: whose proven group is meant; without one it is the one that
    has the shop's account, else the customer's oldest. Raises `NotFound`."""
    found = graph.component(connection, tenant, name)
    chosen = choose(found, name, identity)
    group = [one for one in found.members if one.access_id == chosen.access_id]
    talks = places.find_shown(connection, tenant, [one.id for one in group])
    own = [*group, *_things_of(connection, tenant, group, talks)]
    ids = {one.id for one in own}
    rows = connection.execute(
        sa.select(conversation_table.c.channel, conversation_table.c.account, conversation_table.c.recipient).where(
            conversation_table.c.tenant == tenant, conversation_table.c.id.in_(talks)
        )
    ).all()  # fmt: skip
    accounts = {one.value for one in own if one.namespace == ACCOUNT}
    return Whom(
        tenant=tenant, customer_id=found.customer_id, own=tuple(own),
        stays=tuple(one for one in found.members if one.id not in ids), conversations=tuple(sorted(talks)),
        shared=_find_shared(connection, tenant, talks, ids),
        sources=tuple(sorted({f"{row.channel}:{row.account}" for row in rows})),
        sessions=_sessions(connection, tenant, {row.recipient for row in rows}, accounts),
    )  # fmt: skip


def choose(found: Component, name: str, identity: str) -> Identity:
    """Whose proven group is meant by a name of the customer. Raises `NotFound`."""
    by_id = {one.id: one for one in found.members}
    if identity and identity not in by_id:
        raise errors.NotFound("This identity is not the customer's.", code="unknown_identity")
    if identity or name != found.customer_id:
        return by_id.get(identity or name, found.members[0])
    return next((one for one in found.members if one.namespace == ACCOUNT), by_id[found.customer_id])


def is_known(connection: sa.Connection, tenant: TenantId, identity_id: str) -> bool:
    return bool(records.find_many(connection, tenant, [identity_id]))


def count(connection: sa.Connection, whom: Whom) -> dict[str, int]:
    """Rows by table, of those that have any; for a look before."""
    found: dict[str, int] = {}
    for place in DELETED:
        table = metadata.tables[place.table]
        for theirs in theirs_of(table, place, whom):
            query = sa.select(sa.func.count()).select_from(table).where(theirs)
            if rows := connection.execute(query).scalar_one():
                found[place.table] = found.get(place.table, 0) + int(rows)
    return found


def strings_of(connection: sa.Connection, whom: Whom) -> set[str]:
    """What names the person: their names on channels, claims, and statements."""
    facts, claims = metadata.tables["profile_fact"], metadata.tables["identity_claim"]
    said = sa.select(facts.c.value).where(
        facts.c.tenant == whom.tenant, facts.c.identity_id.in_(whom.identities), facts.c.attribute.in_(NAMING)
    )
    claimed = sa.select(claims.c.value).where(
        claims.c.tenant == whom.tenant, claims.c.identity_id.in_(whom.identities)
    )
    found = {one for member in whom.own for one in (member.value, member.display_name)}
    return found | set(connection.execute(said).scalars()) | set(connection.execute(claimed).scalars())


def open_work(connection: sa.Connection, whom: Whom) -> int:
    """Messages of theirs that wait for a turn, or are in one."""
    inbox = metadata.tables["bus_inbox"]
    query = sa.select(sa.func.count()).select_from(inbox).where(
        inbox.c.tenant == whom.tenant, inbox.c.state == 0, inbox.c.lane.in_(whom.values("lane"))
    )  # fmt: skip
    return int(connection.execute(query).scalar_one())


def erase(
    connection: sa.Connection, graph: Graph, vault: Vault, whom: Whom, *, erasure_id: str, now: datetime
) -> dict[str, int]:
    """All rows in the caller's transaction; how many by place. Raises `Conflict` while a message of theirs is in work: its
    turn would write into what is gone."""
    tenant = whom.tenant
    hold = Hold(tenant)
    hold.take_those_of(connection, set(whom.identities))
    if open_work(connection, whom):
        raise errors.Conflict(
            "A message of this customer is being answered; it goes on when that is done.", code="in_work"
        )
    counts: dict[str, int] = {}
    keys = suppression.keys_of(vault, tenant, _vouched_names(connection, whom))
    suppression.add(connection, tenant, keys, erasure_id=erasure_id, now=now)
    if redacted := history.redact(connection, tenant, whom.identities, erasure_id=erasure_id, now=now):
        counts["identity_op"] = redacted
    if blanked := _blank_samples(connection, whom):
        counts["customer_import"] = blanked
    _keep_entrances(connection, whom)
    if copies := _delete_copies(connection, whom):
        counts["raw_payload"] = copies
    for place in DELETED:
        table = metadata.tables[place.table]
        for theirs in theirs_of(table, place, whom, apart=False):
            if gone := connection.execute(sa.delete(table).where(theirs)).rowcount:
                counts[place.table] = counts.get(place.table, 0) + gone
    _divide_rest(connection, graph, whom, now)
    told = {"customer_id": whom.customer_id, "identity_ids": list(whom.identities), "erasure_id": erasure_id}
    outbox.tell(connection, tenant, "customer.erased", told, now=now)
    return counts


def _things_of(
    connection: sa.Connection, tenant: TenantId, group: Sequence[Identity], talks: Sequence[ConversationId]
) -> list[Identity]:
    """Browsers, and names that nobody vouches for, which were used by nobody but this group."""
    ids = {one.id for one in group}
    entrances = places.entrance_table.c
    entered = connection.execute(
        sa.select(entrances.identity_id).where(
            entrances.tenant == tenant, entrances.conversation_id.in_(talks)
        )
    ).scalars()
    near = {end for key in records.find_edges(connection, tenant, ids) for end in key[:2]}
    found = []
    for one in records.find_many(connection, tenant, ({*entered} | near) - ids).values():
        if one.proven and not one.device:
            continue
        elsewhere = {talk for _, talk in places.find_conversations(connection, tenant, [one.id])} - set(talks)
        ends = {end for key in records.find_edges(connection, tenant, [one.id]) for end in key[:2]}
        if not elsewhere and not ends - ids - {one.id}:
            found.append(one)
    return sorted(found, key=lambda one: one.id)


def _find_shared(
    connection: sa.Connection, tenant: TenantId, talks: Collection[ConversationId], ids: Collection[str]
) -> tuple[ConversationId, ...]:
    table = places.assurance_table.c
    query = (
        sa.select(table.conversation_id)
        .distinct()
        .where(
            table.tenant == tenant, table.conversation_id.in_(talks), table.account_identity_id.not_in(ids)
        )
    )
    return tuple(sorted(ConversationId(one) for one in connection.execute(query).scalars()))


def _sessions(
    connection: sa.Connection, tenant: TenantId, visitors: Collection[str], accounts: Collection[str]
) -> tuple[str, ...]:
    """Of the web chat: by who the visitor is, and by the account, which is sealed and has to be looked at."""
    table = metadata.tables["web_chat_visitor"].c
    query = sa.select(table.family).where(table.tenant == tenant, table.visitor.in_(visitors))
    found = set(connection.execute(query).scalars())
    if accounts:
        signed = sa.select(table.family, table.account).where(
            table.tenant == tenant, table.account.is_not(None)
        )
        found |= {row.family for row in connection.execute(signed) if row.account in accounts}
    return tuple(sorted(found))


def theirs_of(
    table: sa.Table, place: Place, whom: Whom, *, apart: bool = True
) -> list[sa.ColumnElement[bool]]:
    """What a row of the person's fulfils, one condition a key: one with OR would use no index. `apart`: no row under two of
    them, to count each once."""
    found: list[sa.ColumnElement[bool]] = []
    before: list[sa.ColumnElement[bool]] = []
    for column, kind in place.keys:
        one = _of_payloads(table, whom) if kind == "payload" else table.c[column].in_(whom.values(kind))
        found.append(sa.and_(table.c.tenant == whom.tenant, one, *(~other for other in before if apart)))
        before.append(one)
    return found


def _of_payloads(table: sa.Table, whom: Whom) -> sa.ColumnElement[bool]:
    line = message_table.c
    names = sa.select(line.id).where(
        line.tenant == whom.tenant, line.conversation_id.in_(whom.conversations), line.role == "customer"
    )
    return sa.and_(table.c.source.in_(whom.sources), table.c.key.in_(names))


def _delete_copies(connection: sa.Connection, whom: Whom) -> int:
    """A call of a platform may bring messages of several people; its body is kept with each of them."""
    table = metadata.tables["raw_payload"]
    own = connection.execute(sa.select(table).where(*theirs_of(table, _RAW, whom))).all()
    bodies = {(row.source, row.key): row.body for row in own}
    deleted = 0
    for row in own:
        near = table.c.received_at.between(
            row.received_at - CALL_MILLISECONDS, row.received_at + CALL_MILLISECONDS
        )
        beside = sa.select(table).where(table.c.tenant == whom.tenant, table.c.source == row.source, near)
        for other in connection.execute(beside).all():
            if (other.source, other.key) not in bodies and other.body == row.body:
                mine = sa.and_(
                    table.c.tenant == whom.tenant, table.c.source == other.source, table.c.key == other.key
                )
                deleted += connection.execute(sa.delete(table).where(mine)).rowcount
    return deleted


def _blank_samples(connection: sa.Connection, whom: Whom) -> int:
    """An import keeps some cells of its file, by column, so that staff see what its columns were."""
    table = metadata.tables["customer_import"]
    names = [one for one in strings_of(connection, whom) if len(one) > 1]
    query = sa.select(table.c.id, table.c.sheet).where(table.c.tenant == whom.tenant)
    blanked = 0
    for row in connection.execute(query).all():
        sheet = json.loads(row.sheet)
        kept = [
            ["" if _names_one_of(cell, names) else cell for cell in column] for column in sheet["samples"]
        ]
        if kept != sheet["samples"]:
            mine = sa.update(table).where(table.c.tenant == whom.tenant, table.c.id == row.id)
            told = json.dumps({**sheet, "samples": kept}, ensure_ascii=False)
            connection.execute(mine.values(sheet=told))
            blanked += 1
    return blanked


def _names_one_of(cell: str, names: Collection[str]) -> bool:
    """A number in whatever way it is written, and what was hidden but for its ends as well."""
    written = _NO_DIGIT.sub("", cell)
    for name in names:
        digits, domain = _NO_DIGIT.sub("", name), name.rpartition("@")[2]
        if name.casefold() in cell.casefold():
            return True
        if len(digits) >= NUMBER_DIGITS and (
            written.endswith(digits[-NUMBER_DIGITS:]) or written == digits[:3] + digits[-2:]
        ):
            return True
        if domain != name and cell == f"{name[:1]}***@{domain}":
            return True
    return False


def _vouched_names(connection: sa.Connection, whom: Whom) -> list[suppression.Name]:
    facts = metadata.tables["profile_fact"].c
    query = sa.select(facts.attribute, facts.value).where(
        facts.tenant == whom.tenant, facts.identity_id.in_(whom.identities), facts.attribute.in_(["phone", "email"]),
        facts.proof >= SYSTEM_OF_RECORD,
    )  # fmt: skip
    stated = [(row.attribute, row.value) for row in connection.execute(query)]
    return [(one.namespace, one.value) for one in whom.own if one.proven and not one.device] + stated


def _keep_entrances(connection: sa.Connection, whom: Whom) -> None:
    """Of conversations that are somebody else's by now: they came in through what is erased, and stay."""
    table = places.entrance_table
    connection.execute(
        sa.update(table)
        .where(
            table.c.tenant == whom.tenant, table.c.identity_id.in_(whom.identities),
            table.c.conversation_id.not_in(whom.conversations),
        )
        .values(identity_id=table.c.shown_identity_id)
    )  # fmt: skip


def _divide_rest(connection: sa.Connection, graph: Graph, whom: Whom, now: datetime) -> None:
    """What stays of the customer, by the evidence that united it before."""
    members = {one.id: one for one in whom.stays}
    if not members:
        return
    found = records.find_edges(connection, whom.tenant, members)
    division = divide(
        [one.node for one in members.values()],
        [one.edge for one in found.values() if not one.suppressed],
        records.find_apart(connection, whom.tenant, members),
        graph.rules,
    )
    moved: dict[Labels, list[str]] = {}
    for one in members.values():
        after = division.labels[one.id]
        if after != area.labels_of(one):
            moved.setdefault(after, []).append(one.id)
    for after, ids in moved.items():
        records.change_identity(
            connection, whom.tenant, ids, customer_id=after.customer, access_id=after.access
        )
        places.relabel_conversations(connection, whom.tenant, ids, CustomerId(after.customer))
        told = [(one, area.labels_of(members[one]), after) for one in ids]
        history.note_relabelling(connection, whom.tenant, told, at=now, op=None)
