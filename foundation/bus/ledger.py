"""The SQL of the bus that is the same on both engines: accept, settle, postpone, read heads and replies.

Both machines hold one and call it inside their transactions. What differs is given to it: the clock (the process's or
the database's) and whether a lease in the lane row decides who may settle (`owner`). Statements are built once,
because building them costs more than running them.

The order inside a transaction is always lane, inbox, outbox, other lanes, the caller's writes: the lane row is the
lock that makes the order of `seq` the order of commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from foundation import errors
from foundation.bus import payloads
from foundation.bus.contract import AcceptWrites, Outgoing, Receipt, Turn, Write
from foundation.bus.payloads import Head, Settlement, Values
from foundation.bus.records import DEAD, DONE, OPEN, inbox_table, lane_table, outbox_table
from foundation.bus.schedule import Claim
from foundation.events import Event
from foundation.security import Vault

_lane, _inbox, _outbox = lane_table.c, inbox_table.c, outbox_table.c


@dataclass(frozen=True, slots=True)
class Settled:
    """`ready_at`: when the lane's next entry may run, None when there is none; `accepted`: lanes with a new entry."""

    ready_at: int | None
    accepted: Sequence[str]


class Ledger:
    def __init__(
        self, dialect: str, vault: Vault, now: sa.ColumnElement[int], owner: str | None = None
    ) -> None:
        self.now = now
        self._vault = vault
        self._owner = owner
        self._locks_rows = dialect == "postgresql"
        self._build_accept(postgresql.insert if self._locks_rows else sqlite.insert)
        self._build_settle()
        self._build_replies()

    def accept(self, connection: sa.Connection, entry: Values) -> Receipt:
        last_seq = connection.execute(
            self._lock_lane, {"lane": entry["lane"], "tenant": entry["tenant"]}
        ).scalar_one_or_none()
        if last_seq is None:
            raise errors.Conflict("This lane belongs to another tenant.", code="foreign_lane")
        seq = connection.execute(self._insert_entry, {**entry, "seq": last_seq + 1}).scalar_one_or_none()
        if seq is None:
            return Receipt(_seq_of(connection, entry), new=False)
        connection.execute(self._advance_lane, {"b_lane": entry["lane"], "b_seq": seq})
        return Receipt(seq, new=True)

    def accept_with(self, connection: sa.Connection, entry: Values, writes: AcceptWrites | None) -> Receipt:
        receipt = self.accept(connection, entry)
        if receipt.new and writes is not None:
            event = writes(connection, receipt.seq)
            if isinstance(event, Event):
                place = {"b_lane": entry["lane"], "b_seq": receipt.seq, "b_payload": event.model_dump_json()}
                connection.execute(self._rewrite_entry, place)
        return receipt

    def settle(self, connection: sa.Connection, turn: Turn, what: Settlement) -> Settled | None:
        """None: the turn is somebody else's, and nothing was changed."""
        self._lock_in_order(connection, turn, what.entries)
        place = self._place(turn)
        freed = connection.execute(self._free_settled, place).one_or_none()
        if freed is None:
            return None
        if what.state == DEAD:
            connection.execute(self._entry_dead, {**_entry_place(turn), "b_error": what.error})
        else:
            connection.execute(self._entry_done, _entry_place(turn))
        if what.replies:
            connection.execute(self._insert_reply, what.replies)
        accepted = [entry["lane"] for entry in what.entries if self.accept(connection, entry).new]
        for write in what.writes:
            write(connection)
        return Settled(freed.ready_at, accepted)

    def postpone(self, connection: sa.Connection, turn: Turn, delay: int, error: str) -> int | None:
        """Returns when the lane may go on; None: the turn is somebody else's."""
        freed = connection.execute(
            self._free_postponed, {**self._place(turn), "b_delay": delay}
        ).one_or_none()
        if freed is None:
            return None
        connection.execute(self._entry_failed, {**_entry_place(turn), "b_error": error})
        return int(freed.ready_at)

    def release(self, connection: sa.Connection, turn: Turn) -> bool:
        place = {**self._place(turn), "b_delay": 0}
        return connection.execute(self._free_postponed, place).one_or_none() is not None

    def read_heads(self, connection: sa.Connection, claims: Mapping[str, Claim]) -> list[Head]:
        """In a statement after the claim: a snapshot older than the claim could miss the head it is about."""
        query = (
            sa.select(
                _inbox.tenant, _inbox.source, _inbox.key, _inbox.lane, _inbox.seq, _inbox.event, _inbox.trace,
                _inbox.received_at, _inbox.attempts,
                sa.type_coerce(_inbox.payload, sa.LargeBinary).label("payload"),
            )
            .join(lane_table, sa.and_(_inbox.lane == _lane.lane, _inbox.seq == _lane.done_seq + 1))
            .where(_lane.lane.in_(claims))
            .order_by(_lane.ready_at)
        )  # fmt: skip
        return [payloads.head(self._vault, row, claims[row.lane]) for row in connection.execute(query)]

    def read_replies(self, connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        columns: list[sa.ColumnElement[Any]] = [
            _outbox.id,
            _outbox.lane,
            _outbox.idempotency_key,
            _outbox.attempts,
            _outbox.trace,
            _outbox.payload,
        ]
        return list(connection.execute(sa.select(*columns).where(where).order_by(_outbox.id)))

    def mark_sent(
        self, connection: sa.Connection, reply: Outgoing, provider_id: str, writes: Sequence[Write]
    ) -> None:
        changed = connection.execute(self._reply_sent, {"b_id": reply.id, "b_provider_id": provider_id})
        if changed.rowcount:
            for write in writes:
                write(connection)

    def postpone_reply(self, connection: sa.Connection, reply: Outgoing, delay: int, error: str) -> None:
        connection.execute(self._reply_postponed, {"b_id": reply.id, "b_delay": delay, "b_error": error})

    def bury_reply(
        self, connection: sa.Connection, reply: Outgoing, error: str, entries: Sequence[Values]
    ) -> list[str]:
        """Returns the lanes with a new entry."""
        changed = connection.execute(self._reply_dead, {"b_id": reply.id, "b_error": error})
        if not changed.rowcount:
            return []
        return [entry["lane"] for entry in entries if self.accept(connection, entry).new]

    def next_reply_at(self, connection: sa.Connection, lane: str) -> int | None:
        """When the lane's earliest open reply may go."""
        return connection.execute(self._next_reply, {"b_lane": lane}).scalar_one_or_none()

    def _build_accept(self, insert: Callable[[sa.Table], Any]) -> None:
        lock = insert(lane_table)
        self._lock_lane = lock.on_conflict_do_update(
            index_elements=["lane"],
            set_={"last_seq": _lane.last_seq},
            where=_lane.tenant == lock.excluded.tenant,
        ).returning(_lane.last_seq)
        self._insert_entry = (
            insert(inbox_table)
            .values(received_at=self.now)
            .on_conflict_do_nothing(index_elements=["tenant", "source", "key"])
            .returning(_inbox.seq)
        )
        self._rewrite_entry = (
            sa.update(inbox_table)
            .where(_inbox.lane == sa.bindparam("b_lane"), _inbox.seq == sa.bindparam("b_seq"))
            .values(payload=sa.bindparam("b_payload"))
        )
        self._advance_lane = (
            sa.update(lane_table)
            .where(_lane.lane == sa.bindparam("b_lane"))
            .values(last_seq=sa.bindparam("b_seq"), ready_at=sa.func.coalesce(_lane.ready_at, self.now))
        )

    def _build_settle(self) -> None:
        now = self.now
        mine = [_lane.lane == sa.bindparam("b_lane"), _lane.done_seq == sa.bindparam("b_seq") - 1]
        if self._owner is not None:
            mine += [_lane.fence == sa.bindparam("b_fence"), _lane.owner == self._owner]
        freed = sa.update(lane_table).where(*mine).values(owner=sa.null(), lease_until=0)
        self._free_settled = freed.values(
            done_seq=sa.bindparam("b_seq"),
            ready_at=sa.case((_lane.last_seq > sa.bindparam("b_seq"), now), else_=sa.null()),
        ).returning(_lane.ready_at)
        self._free_postponed = freed.values(
            ready_at=now + sa.bindparam("b_delay", type_=sa.BigInteger)
        ).returning(_lane.ready_at)
        entry = sa.update(inbox_table).where(
            _inbox.lane == sa.bindparam("b_lane"), _inbox.seq == sa.bindparam("b_seq")
        )
        failed = {"attempts": _inbox.attempts + 1, "last_error": sa.bindparam("b_error")}
        self._entry_done = entry.values(state=DONE, finished_at=now)
        self._entry_dead = entry.values(state=DEAD, finished_at=now, **failed)
        self._entry_failed = entry.values(**failed)

    def _build_replies(self) -> None:
        now = self.now
        self._insert_reply = sa.insert(outbox_table).values(created_at=now, next_at=now)
        open_reply = sa.update(outbox_table).where(_outbox.id == sa.bindparam("b_id"), _outbox.state == OPEN)
        refused = {"attempts": _outbox.attempts + 1, "last_error": sa.bindparam("b_error")}
        self._reply_sent = open_reply.values(
            state=DONE, finished_at=now, provider_id=sa.bindparam("b_provider_id")
        )
        self._reply_postponed = open_reply.values(
            next_at=now + sa.bindparam("b_delay", type_=sa.BigInteger), **refused
        )
        self._reply_dead = open_reply.values(state=DEAD, finished_at=now, **refused)
        self._next_reply = (
            sa.select(_outbox.next_at)
            .where(_outbox.lane == sa.bindparam("b_lane"), _outbox.state == OPEN)
            .order_by(_outbox.id)
            .limit(1)
        )

    def _place(self, turn: Turn) -> Values:
        place = _entry_place(turn)
        return place if self._owner is None else {**place, "b_fence": turn.fence}

    def _lock_in_order(self, connection: sa.Connection, turn: Turn, entries: Sequence[Values]) -> None:
        """Two turns that write to each other's lanes would otherwise wait for each other."""
        lanes = {turn.entry.lane, *(entry["lane"] for entry in entries)}
        if self._locks_rows and len(lanes) > 1:
            locked = sa.select(_lane.lane).where(_lane.lane.in_(lanes)).order_by(_lane.lane)
            connection.execute(locked.with_for_update(key_share=True)).all()


def earliest_open(lanes: Sequence[str]) -> sa.ColumnElement[bool]:
    """The first open reply of each lane."""
    first = (
        sa.select(sa.func.min(_outbox.id))
        .where(_outbox.state == OPEN, _outbox.lane.in_(lanes))
        .group_by(_outbox.lane)
    )
    return _outbox.id.in_(first)


def _seq_of(connection: sa.Connection, entry: Values) -> int:
    return int(
        connection.execute(
            sa.select(_inbox.seq).where(
                _inbox.tenant == entry["tenant"],
                _inbox.source == entry["source"],
                _inbox.key == entry["key"],
            )
        ).scalar_one()
    )


def _entry_place(turn: Turn) -> Values:
    return {"b_lane": turn.entry.lane, "b_seq": turn.seq}
