"""What customers agree to, for the staff: how it stands and since when, and a change with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from customers.graph.graph import Graph
from customers.privacy import consent_records, consents, erasure
from customers.privacy.consent_records import Statement
from customers.privacy.consents import Consented, Consents
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.storage.database import Database
from operations import audit, reasons
from operations.staff import Member


@dataclass(frozen=True, slots=True)
class ConsentLook:
    """`identity_id`: on whose proven group a change is written. `history`: newest first."""

    customer_id: str
    identity_id: str
    now: Consented
    history: tuple[Statement, ...]


class ConsentDesk:
    def __init__(self, database: Database, graph: Graph, known: Consents, *, clock: Clock) -> None:
        self._database = database
        self._graph = graph
        self.known = known
        self._clock = clock

    async def look(self, by: Member, customer: str) -> ConsentLook:
        """Raises `NotFound`."""
        by.require("desk.read")
        return await self._database.read(lambda c: self._look(c, by, customer))

    async def change(
        self, by: Member, customer: str, *, purpose: str, state: str, reason: str, identity: str = ""
    ) -> ConsentLook:
        """Raises `InvalidInput`, `NotFound`."""
        by.require("customers.edit")
        reason = reasons.given(reason)

        def write(connection: sa.Connection) -> ConsentLook:
            chosen = self._choose(connection, by, customer, identity)
            self.known.state(
                connection, by.tenant, chosen, purpose, state, source="staff", actor=by.id, reason=reason
            )
            audit.write(
                connection, by.tenant, actor=by.id, action="privacy.consent_changed", subject=chosen, now=self._clock(),
                detail={"purpose": purpose, "state": state, "reason": reason},
            )  # fmt: skip
            return self._look(connection, by, chosen)

        return await self._database.write(write)

    def _look(self, connection: sa.Connection, by: Member, customer: str) -> ConsentLook:
        chosen = self._choose(connection, by, customer, "")
        found = self._graph.component(connection, by.tenant, chosen)
        ids = [one.id for one in found.members]
        said = consent_records.history(connection, by.tenant, ids)
        # asked about the chosen one: what somebody only likely the same has agreed to does not count for them
        now = self.known.read(connection, by.tenant, [chosen])
        return ConsentLook(found.customer_id, chosen, now, tuple(reversed(said)))

    def _choose(self, connection: sa.Connection, by: Member, customer: str, identity: str) -> str:
        try:
            found = self._graph.component(connection, by.tenant, customer)
        except errors.NotFound as error:
            raise errors.NotFound("There is no such customer.", code="unknown_customer") from error
        return erasure.choose(found, customer, identity).id


def shown(look: ConsentLook) -> dict[str, Any]:
    """As plain values, for the API."""
    return {
        "customer_id": look.customer_id, "identity_id": look.identity_id, "child": look.now.child,
        "consents": [
            {
                "purpose": one.purpose, "allowed": one.allowed, "because": one.because, "likely": one.likely,
                "optional": consents.purposes()[one.purpose].optional,
                "said": None if one.said is None else _said(one.said),
            }
            for one in look.now.purposes.values()
        ],
        "history": _all(look.history),
    }  # fmt: skip


def _all(said: Sequence[Statement]) -> list[dict[str, Any]]:
    return [{"purpose": one.purpose, **_said(one)} for one in said]


def _said(one: Statement) -> dict[str, Any]:
    return {
        "state": one.state, "identity_id": one.identity_id, "source": one.source, "by": one.actor, "reason": one.reason,
        "text_version": one.text_version, "at": to_milliseconds(one.at),
    }  # fmt: skip
