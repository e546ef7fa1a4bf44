"""A desk with real parts: the embedded database and bus, two people, and conversations that wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from foundation import conversations
from foundation.bus.embedded import EmbeddedBus
from foundation.conversations import Conversation, Message
from foundation.live import Hub
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from operations import audit
from operations.desk import Desk
from operations.staff import Member, Role, Staff
from tests.conftest import StandingClock

PASSWORD = "correct horse battery"
OTHER_TENANT = TenantId("other")


@dataclass
class Office:
    database: Database
    clock: StandingClock
    bus: EmbeddedBus
    staff: Staff
    desk: Desk
    hub: Hub
    tenant: TenantId

    async def hire(self, login: str, role: Role = "agent") -> Member:
        return await self.staff.add(
            self.tenant, login=login, name=login.title(), role=role, password=PASSWORD, actor="test"
        )

    async def customer_says(
        self, text: str, conversation: str = "c1", *, waits: bool = True
    ) -> ConversationId:
        conversation_id, now = ConversationId(conversation), self.clock()

        def write(connection: sa.Connection) -> None:
            conversations.ensure(
                connection, conversation_id, tenant=self.tenant, channel="web_chat", account="main", recipient="r",
                now=now,
            )  # fmt: skip
            found = conversations.get(connection, self.tenant, conversation_id)
            draft = conversations.Draft(
                id=f"m{found.last_seq + 1}", role="customer", text=text, sent_at=now, kind="text"
            )
            conversations.append(connection, self.tenant, conversation_id, draft)
            if waits and found.holder == "bot":
                conversations.change(
                    connection, self.tenant, conversation_id, now, holder="queue", waiting_since=now,
                    handoff_reason="wants_human",
                )  # fmt: skip

        await self.database.write(write)
        return conversation_id

    async def conversation(self, conversation_id: ConversationId) -> Conversation:
        return await self.database.read(lambda c: conversations.get(c, self.tenant, conversation_id))

    async def transcript(self, conversation_id: ConversationId) -> list[Message]:
        return await self.database.read(lambda c: conversations.read(c, self.tenant, conversation_id))

    async def actions(self) -> list[str]:
        """What the audit trail holds, oldest first."""
        entries = await self.database.read(lambda c: audit.read(c, self.tenant))
        return [entry.action for entry in reversed(entries)]


@pytest.fixture
async def office(database: Database, clock: StandingClock, tenant: TenantId) -> AsyncIterator[Office]:
    bus, hub = EmbeddedBus(database, clock), Hub()
    await bus.open()
    staff = Staff(database, clock)
    desk = Desk(database, bus, hub=hub, clock=clock, metrics=Metrics())
    yield Office(database, clock, bus, staff, desk, hub, tenant)
    await bus.close()
