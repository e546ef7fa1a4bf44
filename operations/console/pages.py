"""Puts the console on the application: logging in, and one page an address.

Called once by the service's HTTP layer. A page's state lives in this process, so the console runs where its sockets end;
everything else may run elsewhere. NiceGUI has one registry of pages a process, so its pages are told by the request
which console they belong to: several applications in one process show each their own.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import nicegui
from fastapi import FastAPI
from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from foundation.clock import Clock
from foundation.live import Hub
from foundation.storage.database import Database
from operations.channel_desk import ChannelDesk
from operations.console import entrance, frame
from operations.console.attachments import FetchAgain
from operations.console.channels import ChannelsPage
from operations.console.content.knowledge import KnowledgePage
from operations.console.content.prompts import PromptsPage
from operations.console.customer.page import CustomersPage
from operations.console.customer.reviews import ReviewsPage
from operations.console.data.page import DataPage
from operations.console.desk import DeskPage
from operations.console.entrance import Entrance
from operations.console.privacy.card import Card
from operations.console.privacy.consenting import ConsentCard
from operations.console.privacy.copying import CopyCard
from operations.console.privacy.erasing import ErasureCard
from operations.console.privacy.page import PrivacyPage
from operations.console.reading import DeskReading
from operations.console.webhooks import WebhooksPage
from operations.customer_data.desk import ImportDesk
from operations.desk import Desk
from operations.identities.parts import Identities
from operations.privacy.consenting import ConsentDesk
from operations.privacy.copying import CopyDesk
from operations.privacy.desk import ErasureDesk
from operations.staff import Member, Permission
from operations.webhooks.desk import WebhookDesk
from prompts.library import Library
from retrieval.articles import Articles
from retrieval.search import KnowledgeBase

RECONNECT_SECONDS = 60.0
"""A page whose connection breaks for less than this goes on with everything that was written in it."""

ANSWER_SECONDS = 20.0
"""A page whose facts take longer than this to read is answered with an error."""

_SCOPE_KEY = "huiliu.console"


@dataclass(frozen=True, slots=True)
class CustomerDesks:
    """What the pages about customers work with."""

    identities: Identities
    erasures: ErasureDesk
    imports: ImportDesk
    consenting: ConsentDesk
    copying: CopyDesk


@dataclass(frozen=True, slots=True)
class Console:
    entrance: Entrance
    desk: Desk
    reading: DeskReading
    articles: Articles
    knowledge: KnowledgeBase
    library: Library
    channel_desk: ChannelDesk
    webhook_desk: WebhookDesk
    database: Database
    hub: Hub
    clock: Clock
    fetch_again: FetchAgain
    customers: CustomerDesks

    def mount(self, app: FastAPI) -> None:
        """The entrance's routes come first: they lie under the address that NiceGUI takes."""
        app.router.routes.extend(self.entrance.routes())
        app.add_middleware(_Belonging, console=self)
        for address in ("/", *(page.pattern for page in PAGES)):
            ui.page(address, response_timeout=ANSWER_SECONDS)(_show)
        # Its middleware cannot be added twice, nor once it has served for an earlier application of this process.
        nicegui.app.middleware_stack = None
        nicegui.app.user_middleware.clear()
        ui.run_with(
            app, mount_path=entrance.HOME, title="Huiliu", favicon=entrance.ICON, dark=None,
            reconnect_timeout=RECONNECT_SECONDS, show_welcome_message=False,
        )  # fmt: skip

    async def show(self, request: Request, address: str) -> RedirectResponse | None:
        member = await self.entrance.member_of(request)
        if member is None:
            return RedirectResponse(f"{entrance.HOME}/login?next={quote(address)}", 303)

        async def is_welcome() -> bool:
            return await self.entrance.member_of(request) == member

        visit = frame.Visit(
            member, self.entrance.words_for(request), self.entrance.theme_for(request), is_welcome,
            await self._counts(member),
        )  # fmt: skip
        for page in PAGES:
            if page.address.fullmatch(address) and member.may(page.permission):
                await page.draw(self, visit, request)
                break
        else:
            await _desk(self, visit, request)
        return None

    async def _counts(self, member: Member) -> dict[str, int]:
        if not member.may("customers.edit"):
            return {}
        return {"reviews": await self.customers.identities.reviews.count(member.tenant)}


class _Belonging:
    """Writes on each request which application's console it is for."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app = app
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, _SCOPE_KEY: self._console}, receive, send)


async def _show(request: Request) -> RedirectResponse | None:
    console: Console = request.scope[_SCOPE_KEY]
    return await console.show(request, request.scope["path"].rstrip("/"))


@dataclass(frozen=True, slots=True)
class Page:
    """One line of `PAGES`. `pattern` is NiceGUI's address of it, below the console's own."""

    pattern: str
    permission: Permission
    draw: Callable[[Console, frame.Visit, Request], Awaitable[None]]

    @property
    def address(self) -> re.Pattern[str]:
        return re.compile(r".*" + re.sub(r"\{\w+\}", "[^/]+", self.pattern))


async def _desk(console: Console, visit: frame.Visit, request: Request) -> None:
    await DeskPage(
        visit, console.desk, console.reading, console.hub, fetch_again=console.fetch_again, parts=console.customers.identities,
        opening=request.query_params.get("conversation", ""),
    ).draw()  # fmt: skip


async def _knowledge(console: Console, visit: frame.Visit, request: Request) -> None:
    await KnowledgePage(
        visit, articles=console.articles, knowledge=console.knowledge, database=console.database, hub=console.hub,
        clock=console.clock,
    ).draw()  # fmt: skip


async def _prompts(console: Console, visit: frame.Visit, request: Request) -> None:
    await PromptsPage(visit, library=console.library, database=console.database, clock=console.clock).draw()


async def _channels(console: Console, visit: frame.Visit, request: Request) -> None:
    await ChannelsPage(visit, console.channel_desk, hub=console.hub, clock=console.clock).draw()


async def _webhooks(console: Console, visit: frame.Visit, request: Request) -> None:
    await WebhooksPage(visit, console.webhook_desk, hub=console.hub, clock=console.clock).draw()


async def _customers(console: Console, visit: frame.Visit, request: Request) -> None:
    await CustomersPage(
        visit, console.customers.identities, console.reading, database=console.database, hub=console.hub,
        name=request.path_params.get("name", ""),
    ).draw()  # fmt: skip


async def _reviews(console: Console, visit: frame.Visit, request: Request) -> None:
    await ReviewsPage(visit, console.customers.identities, console.reading).draw()


async def _data(console: Console, visit: frame.Visit, request: Request) -> None:
    await DataPage(visit, console.customers.imports, hub=console.hub, clock=console.clock).draw()


async def _privacy(console: Console, visit: frame.Visit, request: Request) -> None:
    staff = await console.reading.colleagues(visit.member.tenant)
    cards: list[Card[Any]] = [
        ConsentCard(visit, console.customers.consenting, staff),
        CopyCard(visit, console.customers.copying, staff),
        ErasureCard(visit, console.customers.erasures, staff),
    ]
    await PrivacyPage(visit, console.customers.identities.names, cards, hub=console.hub).draw()


PAGES = (
    Page("/knowledge", "knowledge.edit", _knowledge),
    Page("/prompts", "prompts.edit", _prompts),
    Page("/channels", "channels.manage", _channels),
    Page("/webhooks", "webhooks.manage", _webhooks),
    Page("/customers", "desk.read", _customers),
    Page("/customers/{name}", "desk.read", _customers),
    Page("/reviews", "customers.edit", _reviews),
    Page("/data", "customers.edit", _data),
    Page("/privacy", "privacy.erase", _privacy),
)
"""Everything but the desk, which is shown to whoever may not see a page."""
