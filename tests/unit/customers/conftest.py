"""A directory over a real database, and messages as channels would build them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from customers.directory import ACCOUNT, Directory, Person
from foundation import conversations
from foundation.clock import Clock
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database

OPENID = Identifier(namespace="wechat_oa:wx01", value="oAbC-123", proven=True)
VISITOR = Identifier(namespace="web_chat:visitor", value="v-777", proven=True, device=True)
CLAIMED = Identifier(namespace="email", value="victim@example.com")
DEMO1 = Identifier(namespace=ACCOUNT, value="demo1", proven=True)
DEMO2 = Identifier(namespace=ACCOUNT, value="demo2", proven=True)
DEMO = TenantId("demo")
FIRST = ConversationId("c-first")
SECOND = ConversationId("c-second")

Resolve = Callable[..., Awaitable[Person]]


def message(
    *sender: Identifier, sent_at: datetime, text: str = "你好", tenant: TenantId = DEMO
) -> InboundMessage:
    return InboundMessage(
        tenant=tenant, channel="wechat_oa", account="gh_1", thread=sender[0].value,
        message_id=MessageId(f"m-{text}"), sender=sender, text=text, sent_at=sent_at,
    )  # fmt: skip


@pytest.fixture
def directory(database: Database, vault: Vault, clock: Clock) -> Directory:
    return Directory(database, vault, clock)


@pytest.fixture
def resolve(directory: Directory, database: Database, clock: Clock) -> Resolve:
    """Opens the conversation as intake does, then resolves one message in it."""

    async def resolve_one(
        *sender: Identifier, conversation: ConversationId = FIRST, text: str = "你好",
        tenant: TenantId = DEMO, sent_at: datetime | None = None,
    ) -> Person:  # fmt: skip
        received = message(*sender, sent_at=sent_at or clock(), text=text, tenant=tenant)
        await database.write(
            lambda c: conversations.ensure(
                c, conversation, tenant=tenant, channel="wechat_oa", account="gh_1",
                recipient=sender[0].value, now=clock(),
            )
        )  # fmt: skip
        return await database.write(lambda c: directory.resolve(c, tenant, received, conversation))

    return resolve_one
