"""A small world for conversations through `Turns`: the real understander, library, directory, order server and graph.

It plays intake and the worker's finish, each in one transaction as they do; nothing of ours is replaced but the clock.
The journeys import its fixtures by name.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agent import checkpoints, context, records, turn
from agent.tools import mcp, registry, words
from agent.tools.contract import OrderSystem
from agent.understanding.understand import Understander
from agent.writing import Writing
from customers.directory import Directory
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profiles
from foundation import conversations, events
from foundation.bus.contract import Entry, Outcome, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.clock import Clock
from foundation.conversations import Conversation, Message
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.cached import CachedEmbedder
from foundation.messages import (
    Attachment,
    ContentKind,
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    OutboundMessage,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from prompts.library import Library
from retrieval.articles import Articles
from retrieval.index_memory import MemoryIndex
from retrieval.ingestion import Ingestion
from retrieval.search import KnowledgeBase
from retrieval.sources.markdown_folder import MarkdownFolder
from tests.conftest import StandingClock, open_with_tables
from tests.unit.agent.shop_tools import Shop

ROOT = Path(__file__).parent.parent.parent
TENANT = TenantId("demo")
KEY = b"0123456789abcdef0123456789abcdef"
EMBEDDER = CachedEmbedder(BundledEmbedder(), ROOT / ".pytest_cache" / "vectors.db")


@dataclass
class World:
    """`replies` and `entries` are what the last step caused."""

    database: Database
    clock: Clock
    services: context.Services
    directory: Directory
    turns: turn.Turns
    saver: Any
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    replies: Sequence[OutboundMessage] = ()
    entries: Sequence[Entry] = ()

    async def say(
        self, text: str, *, account: str = "", conversation: str = "c1", kind: ContentKind = "text", event: str = "",
        channel: str = "web_chat",
    ) -> str:  # fmt: skip
        """One message of a customer, answered; returns the reply's text or ""."""
        received = await self.receive(
            text, account=account, conversation=conversation, kind=kind, event=event, channel=channel
        )
        return await self.work(received)

    async def receive(
        self, text: str, *, account: str = "", conversation: str = "c1", kind: ContentKind = "text", event: str = "",
        channel: str = "web_chat",
    ) -> events.MessageReceived:  # fmt: skip
        """What intake does."""
        number = next(self.numbers)
        browser = channel == "web_chat"
        sender = [
            Identifier(namespace="visitor", value=f"visitor-{conversation}", proven=True, device=browser)
        ]
        if account:
            sender.append(Identifier(namespace="account", value=account, proven=True))
        message = InboundMessage(
            tenant=TENANT, channel=channel, account="main", thread=conversation, message_id=MessageId(f"m{number}"),
            sender=tuple(sender), kind=kind, text=text, sent_at=self.clock(), event=event,
            attachments=(Attachment(kind="image"),) if kind == "image" else (),
        )  # fmt: skip
        conversation_id = ConversationId(conversation)

        def accept(connection: sa.Connection) -> int:
            conversations.ensure(
                connection, conversation_id, tenant=TENANT, channel=channel, account="main", recipient="r",
                now=self.clock(),
            )  # fmt: skip
            draft = conversations.Draft(
                id=message.message_id, role="customer", text=text, sent_at=self.clock(), kind=kind
            )
            return conversations.append(connection, TENANT, conversation_id, draft)

        seq = await self.database.write(accept)
        return events.MessageReceived(
            tenant=TENANT, conversation_id=conversation_id, message=message, seq=seq
        )

    async def work(self, event: events.Event, *, attempt: int = 1, seq: int | None = None) -> str:
        """What the worker does: handle, then finish in one transaction."""
        outcome = await self.handle(event, attempt=attempt, seq=seq)
        await self.finish(outcome)
        return "\n".join(reply.reply.text for reply in outcome.replies)

    async def handle(self, event: events.Event, *, attempt: int = 1, seq: int | None = None) -> Outcome:
        conversation_id = str(getattr(event, "conversation_id", ""))
        number = seq if seq is not None else next(self.numbers)
        entry = Entry(TENANT, "test", f"e{number}", conversation_id, event)
        claimed = Turn(entry, number, attempt, 1, self.clock(), self.clock())
        match event:
            case events.MessageReceived():
                return await self.turns.handle_message(event, claimed)
            case events.ApprovalDecided():
                return await self.turns.handle_approval(event, claimed)
            case events.IdentityProven():
                return await self.turns.handle_proof(event, claimed)
            case events.ConversationReturned():
                return await self.turns.handle_return(event, claimed)
        raise AssertionError(f"nobody hears {event.name} here")

    async def finish(self, outcome: Outcome) -> None:
        def commit(connection: sa.Connection) -> None:
            for write in outcome.writes:
                write(connection)

        await self.database.write(commit)
        self.replies, self.entries = outcome.replies, outcome.entries

    def restarted(self) -> World:
        """Another process over the same database and checkpoints."""
        return replace(self, turns=turn.Turns(self.database, self.directory, self.services, self.saver))

    def using(self, **services: Any) -> World:
        """The same world with other machines."""
        changed = replace(self.services, **services)
        return replace(
            self, services=changed, turns=turn.Turns(self.database, self.directory, changed, self.saver)
        )

    async def prove(self, account: str, conversation: str) -> str:
        """Signs in at the address that the conversation was given; returns what the bot says to that."""
        here = ConversationId(conversation)
        await self.database.write(
            lambda connection: self.directory.prove(
                connection, TENANT, here, account=account, method="sign_in_link", valid_seconds=600
            )
        )
        return await self.work(events.IdentityProven(tenant=TENANT, conversation_id=here))

    async def conversation(self, conversation: str = "c1") -> Conversation:
        return await self.database.read(
            lambda connection: conversations.get(connection, TENANT, ConversationId(conversation))
        )

    async def transcript(self, conversation: str = "c1") -> list[Message]:
        return await self.database.read(
            lambda connection: conversations.read(connection, TENANT, ConversationId(conversation))
        )

    async def recorded(self, conversation: str = "c1") -> list[records.TurnRow]:
        return await self.database.read(
            lambda connection: records.read_turns(connection, TENANT, ConversationId(conversation))
        )

    async def approvals(self) -> list[records.ApprovalRow]:
        return await self.database.read(lambda connection: records.waiting_approvals(connection, TENANT))

    async def decide(self, approval_id: str, *, approved: bool, note: str = "") -> events.ApprovalDecided:
        """What the desk does."""
        await self.database.write(
            lambda connection: records.decide_approval(
                connection, TENANT, approval_id, approved=approved, by="mei", now=self.clock(), note=note
            )
        )
        return events.ApprovalDecided(
            tenant=TENANT, conversation_id=ConversationId("c1"), approval_id=approval_id
        )

    async def order(self, order_no: str, *, customer: str = "demo1") -> dict[str, Any]:
        """The shop's side of the story."""
        return await self.services.orders.call("get_order", {"customer": customer, "order_no": order_no})


@asynccontextmanager
async def order_server(folder: Path, **limits: float) -> AsyncIterator[mcp.McpOrders]:
    """The demo shop's order system, as a process of its own, freshly seeded."""
    command = [
        sys.executable,
        "-m",
        "demo.shop.order_server",
        "--database",
        str(folder / "orders.db"),
        "--stdio",
    ]
    orders = mcp.McpOrders(command, folder=ROOT, **limits)
    await orders.open()
    try:
        yield orders
    finally:
        await orders.close()


@asynccontextmanager
async def open_world(
    database: Database, clock: Clock, folder: Path, *, orders: Any, knowledge: Any
) -> AsyncIterator[World]:
    language = words.load()
    directory = Directory(database, database.vault, clock)
    profiles = Profiles(database.vault, clock)
    services = context.Services(
        understander=Understander(EMBEDDER, today=lambda: today(clock)),
        knowledge=knowledge,
        library=Library(database, clock),
        tools=registry.build(language),
        orders=orders,
        words=language,
        writing=Writing(),
        clock=clock,
        profiles=profiles,
        orders_seen=OrderNotes(database, profiles, clock).seen,
    )
    async with checkpoints.open_saver(str(folder / "checkpoints.db"), database.vault) as saver:
        yield World(
            database, clock, services, directory, turn.Turns(database, directory, services, saver), saver
        )


@dataclass(frozen=True)
class Knowledge:
    """The demo shop's articles, embedded once a session; each test gets a copy of the database they stand in."""

    template: Path
    index: MemoryIndex

    def base(self, database: Database, clock: Clock) -> KnowledgeBase:
        return KnowledgeBase(database, self.index, EMBEDDER, clock)


async def build_knowledge(folder: Path, vault: Vault, clock: Clock) -> Knowledge:
    template = folder / "template.db"
    database = Database(f"sqlite:///{template}", vault)
    await open_with_tables(database)
    bus = EmbeddedBus(database, clock)
    await bus.open()
    index = MemoryIndex()
    articles = Articles(database, bus, clock)
    ingestion = Ingestion(database, index, embedder=EMBEDDER, articles=articles, clock=clock)
    report = await ingestion.import_source(
        TENANT, MarkdownFolder(ROOT / "demo" / "shop" / "articles"), "test"
    )
    assert report.new > 80
    await bus.close()
    await database.close()
    return Knowledge(template, index)


@pytest.fixture(scope="session")
def shop_knowledge(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return asyncio.run(build_knowledge(tmp_path_factory.mktemp("knowledge"), Vault(KEY), StandingClock()))


@pytest.fixture
async def world(tmp_path: Path, clock: StandingClock, shop_knowledge: Knowledge) -> AsyncIterator[World]:
    """With the shop's order book in this process: the same code as the order server, without the second it takes to start."""
    async with _opened(tmp_path, clock, shop_knowledge, orders=Shop(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def served_world(
    tmp_path: Path, clock: StandingClock, shop_knowledge: Knowledge
) -> AsyncIterator[World]:
    """With the order server as a process of its own, over MCP on its pipes."""
    async with (
        order_server(tmp_path) as orders,
        _opened(tmp_path, clock, shop_knowledge, orders=orders) as opened,
    ):
        yield opened


@asynccontextmanager
async def _opened(
    folder: Path, clock: StandingClock, knowledge: Knowledge, *, orders: OrderSystem
) -> AsyncIterator[World]:
    shutil.copy(knowledge.template, folder / "huiliu.db")
    database = Database(f"sqlite:///{folder / 'huiliu.db'}", Vault(KEY))
    await database.open()
    async with open_world(
        database, clock, folder, orders=orders, knowledge=knowledge.base(database, clock)
    ) as opened:
        yield opened
    await database.close()


def today(clock: Clock) -> Any:
    moment: datetime = clock()
    return moment.date()
