"""What staff do to identities: link, split, keep apart, take back; each with a reason, a permission and an entry of the audit.

The customer's page, the review queue and the API call it. What cannot be (two accounts, a pair that somebody has split) is
refused with the reason and leaves no trace, in place of evidence that unites nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from customers import recycled
from customers.graph import history
from customers.graph.history import Operation
from customers.graph.operations import Operations, Preview
from customers.matching import lifecycle
from customers.matching import records as matching
from foundation import errors
from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock
from foundation.events import CustomersDivided, Event
from foundation.messages import CustomerId
from foundation.security import random_token
from foundation.storage.database import Database
from operations import audit
from operations.identities.person import Step
from operations.staff import Member

REFUSALS = {
    "unique": ("two_accounts", "These are two accounts of the shop; one customer has one."),
    "apart": ("kept_apart", "Somebody has said that these are two people; undo that first."),
    "shared": ("shared_name", "Too many people use this name; it joins nobody."),
    "size": ("too_many_names", "This customer would have more names than one person has."),
    "undone": ("link_undone", "This link was taken back; say anew why they are one person."),
}
MOST_CHOSEN = 60


T = TypeVar("T")


class IdentityDesk:
    def __init__(self, database: Database, bus: Bus, operations: Operations, *, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._operations = operations
        self._clock = clock

    async def link(self, by: Member, one: str, other: str, *, reason: str) -> CustomerId:
        """Also confirms what was only likely. Raises `InvalidInput`, `NotFound`, `Conflict` where it would unite nobody."""
        by.require("desk.reply")
        return await self._database.write(lambda c: self.link_within(c, by, (one, other), reason=reason))

    def link_within(
        self, connection: sa.Connection, by: Member, pair: tuple[str, str], *, reason: str
    ) -> CustomerId:
        """In the caller's transaction; the permission was asked before."""
        done = self._operations.link(connection, by.tenant, *pair, actor=by.id, reason=reason.strip())
        if done.refused:
            code, sentence = REFUSALS.get(done.refused, ("not_united", "These cannot be one customer."))
            raise errors.Conflict(sentence, code=code)
        self._close_question(connection, by, pair, same=True, reason=reason)
        self._audit(
            connection,
            by,
            "customer.linked",
            done.customer_id,
            {"with": sorted(pair), "op": done.op, "reason": reason},
        )
        return done.customer_id

    async def keep_apart(self, by: Member, one: str, other: str, *, reason: str) -> int:
        """Also rejects what was only likely; the number of the operation."""
        by.require("desk.reply")

        def work(connection: sa.Connection) -> tuple[int, int]:
            op = self.keep_apart_within(connection, by, (one, other), reason=reason)
            return op, op

        return await self.divide(by, work)

    def keep_apart_within(
        self, connection: sa.Connection, by: Member, pair: tuple[str, str], *, reason: str
    ) -> int:
        op = self._operations.keep_apart(connection, by.tenant, *pair, actor=by.id, reason=reason.strip())
        self._close_question(connection, by, pair, same=False, reason=reason)
        detail = {"pair": sorted(pair), "op": op, "reason": reason}
        self._audit(connection, by, "customer.kept_apart", min(pair), detail)
        return op

    async def split(self, by: Member, names: Sequence[str], *, reason: str) -> int:
        by.require("desk.reply")
        _require_few(names)

        def work(connection: sa.Connection) -> tuple[int, int]:
            op = self._operations.split(connection, by.tenant, set(names), actor=by.id, reason=reason.strip())
            detail = {"identities": sorted(names), "op": op, "reason": reason}
            self._audit(connection, by, "customer.split", min(names), detail)
            return op, op

        return await self.divide(by, work)

    async def new_holder(self, by: Member, name: str, *, reason: str) -> str:
        """This number or mailbox belongs to somebody else from now on: they begin without a history, and what its last holder
        had proven or begun there counts no more. The new identity. Cannot be undone; the two can be linked."""
        by.require("desk.reply")

        def work(connection: sa.Connection) -> tuple[int, str]:
            now = self._clock()
            begun = recycled.renew(
                connection, by.tenant, self._operations, name, actor=by.id, reason=reason.strip(), at=now
            )
            detail = {"identity": name, "reason": reason}
            self._audit(connection, by, "customer.new_holder", begun.id, detail)
            return history.read(connection, by.tenant, limit=1)[0].number, begun.id

        return await self.divide(by, work)

    async def undo(self, by: Member, number: int, *, reason: str) -> int:
        by.require("desk.reply")

        def work(connection: sa.Connection) -> tuple[int, int]:
            op = self._operations.undo(connection, by.tenant, number, actor=by.id, reason=reason.strip())
            detail = {"undone": number, "reason": reason}
            self._audit(connection, by, "customer.undone", str(op), detail)
            return op, op

        return await self.divide(by, work)

    async def divide(self, by: Member, work: Callable[[sa.Connection], tuple[int, T]]) -> T:
        """Does what may make two of one customer, in one transaction with word of it to whoever must follow. `work` gives
        the number of its operation and the answer."""
        answers: list[T] = []

        def write(connection: sa.Connection, _seq: int) -> Event:
            operation, answer = work(connection)
            answers.append(answer)
            return CustomersDivided(tenant=by.tenant, operation=operation)

        key = random_token(12)
        unknown = CustomersDivided(tenant=by.tenant, operation=0)
        await self._bus.accept(Entry(by.tenant, "identities", key, f"identities:{key}", unknown), write)
        return answers[-1]

    async def preview_link(self, by: Member, one: str, other: str) -> Preview:
        by.require("desk.read")
        if one == other:
            raise errors.InvalidInput("These two are the same identity.", code="same_identity")
        return await self._database.read(lambda c: self._operations.preview_link(c, by.tenant, one, other))

    async def preview_split(self, by: Member, names: Sequence[str]) -> Preview:
        by.require("desk.read")
        _require_few(names)
        return await self._database.read(lambda c: self._operations.preview_split(c, by.tenant, set(names)))

    async def history(self, by: Member, *, before: int | None = None, limit: int = 50) -> list[Step]:
        """Of all customers, newest first."""
        by.require("desk.read")

        def read(connection: sa.Connection) -> list[Step]:
            found: list[Operation] = history.read(connection, by.tenant, before=before, limit=limit)
            return [Step(one, history.is_undone(connection, by.tenant, one.number)) for one in found]

        return await self._database.read(read)

    def _close_question(
        self, connection: sa.Connection, by: Member, pair: tuple[str, str], *, same: bool, reason: str
    ) -> None:
        """Whoever decides about a pair that waits in the queue has answered it."""
        a, b = sorted(pair)
        try:
            waits = matching.get_review(connection, by.tenant, a, b).status == "open"
        except errors.NotFound:
            return
        if waits:
            lifecycle.decide(
                connection, by.tenant, a, b, same=same, actor=by.id, reason=reason, now=self._clock()
            )

    def _audit(
        self, connection: sa.Connection, by: Member, action: str, subject: str, detail: dict[str, Any]
    ) -> None:
        audit.write(
            connection,
            by.tenant,
            actor=by.id,
            action=action,
            subject=subject,
            now=self._clock(),
            detail=detail,
        )


def _require_few(names: Sequence[str]) -> None:
    if not names or len(set(names)) > MOST_CHOSEN:
        raise errors.InvalidInput(f"Choose 1 to {MOST_CHOSEN} identities.", code="nothing_chosen")
