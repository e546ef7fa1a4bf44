"""What customers looked at before and while they write: kept for whoever helps them, the newest few, and not for long.

Hears `BehaviourObserved` from the bus. Nothing here proves who somebody is, and the agent does not act on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from customers import records
from foundation.bus.contract import Outcome, Turn
from foundation.clock import Clock
from foundation.events import BehaviourObserved
from foundation.messages import ConversationId, Observation, TenantId

NoteBehaviour = Callable[[sa.Connection, TenantId, ConversationId, Sequence[Observation]], object]

KEPT = 500
"""Observations of one conversation."""
KEPT_FOR = timedelta(days=30)


class Behaviour:
    def __init__(self, clock: Clock, note: NoteBehaviour) -> None:
        """`note` tells the profile, in the same transaction."""
        self._clock = clock
        self._note = note

    async def handle(self, event: BehaviourObserved, _turn: Turn) -> Outcome:
        """One that is there already stays as it is."""
        return Outcome(writes=[partial(_keep, event=event, before=self._clock() - KEPT_FOR, note=self._note)])


def recent(
    connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, *, limit: int = 8
) -> Sequence[Observation]:
    """Newest first; also from other channels, when the same customer is known there."""
    return records.read_observations(connection, tenant, conversation_id, limit)


def _keep(
    connection: sa.Connection, *, event: BehaviourObserved, before: datetime, note: NoteBehaviour
) -> None:
    for seen in event.observations:
        records.add_observation(connection, event.tenant, event.conversation_id, seen)
    records.drop_observations(connection, event.tenant, event.conversation_id, keep=KEPT, before=before)
    note(connection, event.tenant, event.conversation_id, event.observations)
