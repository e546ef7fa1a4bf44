"""The whole product with every channel open, and every platform played beside it, all over real sockets.

The platforms stand in a thread of their own, as they are processes of their own: a server that fetches a certificate waits
for them. A `Person` is one customer on one of them: writes as the platform calls, and hears what reaches a customer.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from channels.adapters.email.settings import EmailSettings
from foundation import settings as configuration
from foundation.clock import utc_now
from foundation.security import Vault
from service import keys
from service.simulate.contract import Call, Options, Platform, Shown
from service.simulate.mail import email as mail
from service.simulate.mail.mail_servers import ImapServer, Post, SmtpServer
from service.simulate.mail.mail_servers import serving as serving_mail
from service.simulate.registry import SIMULATORS
from service.simulate.stage import FOLLOW_UPS, bind
from service.simulate.wechat.wechat_oa_platform import WechatOaPlatform
from tests.fakes.web_chat_house import serving
from tests.journeys.conftest import VECTORS, Product, few_articles, opened

PATIENCE_SECONDS = 30.0
INVITED = {"请说“接着说”": "接着说", 'say "go on"': "go on"}
LINK = re.compile(r"/sign-in\?token=([\w.-]+)")
NAMES = tuple(simulator.name for simulator in SIMULATORS if simulator.name != "app")
"""The app has no platform to play; its customers are lived in `test_app_product`."""


@dataclass
class Person:
    """One customer on one channel. `heard` is everything since the last `write`."""

    world: World
    channel: str
    user: str
    heard: list[Shown] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, seen: Shown) -> None:
        if seen.kind != "typing":
            self.heard.append(seen)
            self.changed.set()

    @property
    def text(self) -> str:
        return "\n".join(seen.text for seen in self.heard)

    async def write(self, text: str) -> None:
        self.heard.clear()
        await self.call(self.world.platforms[self.channel].say(text, user=self.user))

    async def call(self, call: Call) -> None:
        """One call of the platform, and those that follow from the answers to it."""
        platform, following = self.world.platforms[self.channel], 0
        while following < FOLLOW_UPS:
            answer = await self.world.post(self.channel, call)
            assert answer.is_success, f"{self.channel}: {answer.status_code} {answer.text}"
            for seen in platform.hear(answer, user=self.user):
                self.show(seen)
            after = platform.follow_up(answer, user=self.user)
            if after is None:
                return
            call, following = after, following + 1

    async def hears(self, *words: str) -> str:
        """Everything since the last `write`, as soon as one of these words is in it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(word in self.text for word in words):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"{self.channel}: none of {words} in {self.text!r}") from None
        return self.text

    async def ask(self, text: str, *words: str) -> str:
        """What a voice has to fetch first, because the machine was slow, is asked for."""
        await self.write(text)
        for _ in range(FOLLOW_UPS):
            if any(word in self.text for word in words) or not (said := self._invited()):
                break
            await self.write(said)
        return await self.hears(*words)

    def _invited(self) -> str:
        """What the customer was told to say for the reply that is not ready; "" mostly."""
        return next((said for invitation, said in INVITED.items() if invitation in self.text.lower()), "")


@dataclass
class MailPerson(Person):
    """Writes mails, each a reply to the last one that came."""

    def __post_init__(self) -> None:
        settings, options = (
            self.world.mailbox.settings,
            Options(self.world.product.system.vault, user=self.user),
        )
        inbox: asyncio.Queue[mail.Received] = asyncio.Queue()
        self.client = mail.Customer(
            settings, options, post=self.world.mailbox.post, inbox=inbox, say=lambda _line: None
        )

    async def write(self, text: str) -> None:
        self.heard.clear()
        await self.world.mailbox.post.deliver(self.client.compose(text, utc_now()))

    def receive(self, raw: bytes) -> None:
        found = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        self.client.keep(found)
        self.show(Shown(self.user, text=mail.text_of(found)))


@dataclass
class Mailbox:
    settings: EmailSettings
    post: Post


@dataclass
class World:
    product: Product
    url: str
    client: httpx.AsyncClient
    platforms: dict[str, Platform]
    mailbox: Mailbox
    people: dict[tuple[str, str], Person] = field(default_factory=dict)

    def person(self, channel: str, user: str) -> Person:
        kind = MailPerson if channel == "email" else Person
        return self.people.setdefault((channel, user), kind(self, channel, user))

    def tell(self, channel: str, seen: Shown) -> None:
        if (found := self.people.get((channel, seen.user))) is not None:
            found.show(seen)

    def tell_mail(self, address: str, raw: bytes) -> None:
        for person in self.people.values():
            if isinstance(person, MailPerson) and person.client.address == address:
                person.receive(raw)

    async def post(self, channel: str, call: Call) -> httpx.Response:
        return await self.client.request(
            call.method, f"{self.url}/v1/hooks/demo/{channel}{call.path}", params=dict(call.query) or None,
            content=call.body, headers=dict(call.headers),
        )  # fmt: skip

    async def staff(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.client.request(
            method, f"{self.url}{path}", json=body, headers=self.product.operator
        )
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def sign_in(self, text: str, account: str = "demo1") -> None:
        """What the page behind the link in `text` does when the customer signs in there."""
        found = LINK.search(text)
        assert found is not None, text
        body = {"token": found[1], "identity_jwt": await self.identity_token(account)}
        assert (await self.client.post(f"{self.url}/v1/sign-in", json=body)).status_code == 200

    async def identity_token(self, account: str) -> str:
        given = await self.client.post(f"{self.url}/demo/sign-in", json={"account": account})
        return str(given.json()["identity_jwt"])


class Theatre(threading.Thread):
    """All platforms' APIs, each on the port that its channel's settings name."""

    def __init__(self, stages: Mapping[int, ASGIApp], listeners: Sequence[socket.socket]) -> None:
        super().__init__(name="platforms", daemon=True)
        self._stages = stages
        self._listeners = list(listeners)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._dispatch, log_level="error", lifespan="off", access_log=False, interface="asgi3"
            )
        )

    def run(self) -> None:
        asyncio.run(self._server.serve(sockets=self._listeners))

    def close(self) -> None:
        self._server.should_exit = True
        self.join()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._stages[scope["server"][1]](scope, receive, send)


def _environment(listeners: Mapping[str, socket.socket]) -> dict[str, str]:
    """The settings by which every channel finds its platform here."""
    found = {}
    for simulator in SIMULATORS:
        if "api_base" in simulator.settings.model_fields:
            tail = "/messages" if simulator.name == "sms_generic" else ""
            port = listeners[simulator.name].getsockname()[1]
            found[f"HUILIU_{simulator.name.upper()}_API_BASE"] = f"http://127.0.0.1:{port}{tail}"
    for side in ("imap", "smtp"):
        found[f"HUILIU_EMAIL_{side.upper()}_PORT"] = str(listeners[side].getsockname()[1])
    return found


@asynccontextmanager
async def open_world(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[World]:
    """`settings`: further ones of channels, by their names in the environment."""
    listeners = {name: bind(0) for name in (*NAMES, "imap", "smtp", "product")}
    port = listeners["product"].getsockname()[1]
    VECTORS.parent.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", {**_environment(listeners), **(settings or {})}))
        articles = few_articles(folder / "articles")
        chosen = configuration.load(data_dir=folder / "var", articles=articles, port=port)
        vault, worlds = Vault(keys.master_key(chosen)), list[World]()
        stage = _Stage(Options(vault, url=f"http://127.0.0.1:{port}"), worlds)
        mailbox = await stage.open_mail(stack, listeners["imap"], listeners["smtp"])
        theatre = Theatre(stage.cast(), [listeners[name] for name in NAMES])
        theatre.start()
        stack.push_async_callback(asyncio.to_thread, theatre.close)
        product = await stack.enter_async_context(opened(chosen, served=True))
        client = httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS)
        await stack.enter_async_context(client)
        worlds.append(World(product, chosen.address, client, stage.platforms, mailbox))
        await stack.enter_async_context(serving(product.app, listeners["product"]))
        yield worlds[0]


class _Stage:
    """Builds the platforms. `worlds` gets the one world as soon as there is one."""

    def __init__(self, options: Options, worlds: list[World]) -> None:
        self._options = options
        self._worlds = worlds
        self._loop = asyncio.get_running_loop()
        self.platforms: dict[str, Platform] = {}

    def cast(self) -> dict[int, ASGIApp]:
        """The platforms' APIs by port."""
        found: dict[int, ASGIApp] = {}
        for simulator in SIMULATORS:
            factory = WechatOaPlatform if simulator.name == "wechat_oa" else simulator.platform
            if factory is None:
                continue
            settings = configuration.channel(simulator.name, simulator.settings)
            show = partial(self._show, simulator.name)
            platform = self.platforms[simulator.name] = factory(settings, self._options, utc_now, show)
            if (port := httpx.URL(platform.address).port) is not None:
                found[port] = platform.application()
        return found

    async def open_mail(self, stack: AsyncExitStack, imap: socket.socket, smtp: socket.socket) -> Mailbox:
        settings = configuration.channel("email", EmailSettings).or_demo(self._options.vault)
        post = Post(settings.login, settings.password.get_secret_value())
        postman = SmtpServer(
            settings.login, post.password, lambda _, to, raw: self._worlds[0].tell_mail(to, raw)
        )
        await stack.enter_async_context(serving_mail(ImapServer(post).handle, imap))
        await stack.enter_async_context(serving_mail(postman.handle, smtp))
        return Mailbox(settings, post)

    def _show(self, channel: str, seen: Shown) -> None:
        """Called in the platforms' thread, or in ours by a platform that shows what is in an answer."""
        self._loop.call_soon_threadsafe(self._worlds[0].tell, channel, seen)
