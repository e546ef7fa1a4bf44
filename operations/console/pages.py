"""Puts the console on the application: logging in, and one page an address.

Called once by the service's HTTP layer. A page's state lives in this process, so the console runs where its sockets end;
everything else may run elsewhere. NiceGUI has one registry of pages a process, so its pages are told by the request
which console they belong to: several applications in one process show each their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
from operations.console.desk import DeskPage
from operations.console.entrance import Entrance
from operations.console.reading import DeskReading
from operations.console.webhooks import WebhooksPage
from operations.desk import Desk
from operations.identities.parts import Identities
from operations.staff import Member
from operations.webhooks.desk import WebhookDesk
from prompts.library import Library
from retrieval.articles import Articles
from retrieval.search import KnowledgeBase

ADDRESSES = (
    "/", "/knowledge", "/prompts", "/channels", "/webhooks", "/customers", "/customers/{name}", "/reviews",
)  # fmt: skip
RECONNECT_SECONDS = 60.0
"""A page whose connection breaks for less than this goes on with everything that was written in it."""

_SCOPE_KEY = "huiliu.console"
_CUSTOMER = re.compile(r"/customers(?:/([^/]+))?$")


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
    identities: Identities

    def mount(self, app: FastAPI) -> None:
        """The entrance's routes come first: they lie under the address that NiceGUI takes."""
        app.router.routes.extend(self.entrance.routes())
        app.add_middleware(_Belonging, console=self)
        for address in ADDRESSES:
            ui.page(address)(_show)
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
        if address.endswith("/knowledge") and member.may("knowledge.edit"):
            await KnowledgePage(
                visit, articles=self.articles, knowledge=self.knowledge, database=self.database, hub=self.hub,
                clock=self.clock,
            ).draw()  # fmt: skip
        elif address.endswith("/prompts") and member.may("prompts.edit"):
            await PromptsPage(visit, library=self.library, database=self.database, clock=self.clock).draw()
        elif address.endswith("/channels") and member.may("channels.manage"):
            await ChannelsPage(visit, self.channel_desk, hub=self.hub, clock=self.clock).draw()
        elif address.endswith("/reviews") and member.may("customers.edit"):
            await ReviewsPage(visit, self.identities, self.reading).draw()
        elif (named := _CUSTOMER.search(address)) is not None:
            await CustomersPage(
                visit,
                self.identities,
                self.reading,
                database=self.database,
                hub=self.hub,
                name=named[1] or "",
            ).draw()
        elif address.endswith("/webhooks") and member.may("webhooks.manage"):
            await WebhooksPage(visit, self.webhook_desk, hub=self.hub, clock=self.clock).draw()
        else:
            opening = request.query_params.get("conversation", "")
            await DeskPage(
                visit,
                self.desk,
                self.reading,
                self.hub,
                fetch_again=self.fetch_again,
                parts=self.identities,
                opening=opening,
            ).draw()
        return None

    async def _counts(self, member: Member) -> dict[str, int]:
        if not member.may("customers.edit"):
            return {}
        return {"reviews": await self.identities.reviews.count(member.tenant)}


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
