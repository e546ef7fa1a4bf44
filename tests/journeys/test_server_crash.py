"""`kill -9` of the whole server between acknowledge and reply, 200 messages in flight, on both buses.

The server is a real process, WeChat is played over real sockets: signed webhooks in, custom/send out. What was acknowledged
must be answered after the restart, once and in order; a raw re-send of the sends in flight at the crash is what the
platform's missing idempotency key allows, and nothing more.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa

from channels.adapters.wechat_oa.settings import demo_settings
from channels.families.wechat import codec as wechat_codec
from foundation import conversations
from foundation.clock import utc_now
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.contract import Call
from service.simulate.wechat.wechat_api import Shown, WechatApi
from service.simulate.wechat.wechat_callback import openid_of, render_call, text_fields
from tests.fakes.web_chat_house import serving
from tests.journeys.conftest import ROOT, few_articles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "a master key for the crash journey, 32+"
CUSTOMERS, MESSAGES_EACH, SLOTS = 50, 4, 16
"""WeChat takes five replies after a customer's last message: four, and the one that may be sent again."""
TENANT = TenantId("demo")


class Server:
    """`huiliu serve` as a child process."""

    def __init__(self, folder: Path, port: int, *, api_base: str, database_url: str) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            "HUILIU_DATA_DIR": str(folder / "var"),
            "HUILIU_ARTICLES": str(folder / "articles"),
            "HUILIU_PORT": str(port),
            "HUILIU_MASTER_KEY": KEY,
            "HUILIU_DATABASE_URL": database_url,
            "HUILIU_CHANNELS": '["wechat_oa"]',
            "HUILIU_WECHAT_OA_API_BASE": api_base,
            "HUILIU_SLOTS": str(SLOTS),
            "HUILIU_LOG_LEVEL": "error",
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service.commands", "serve", cwd=ROOT, env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            line = b""
            while b"ready" not in line:
                line = await self.process.stdout.readline()
                assert line, "the server ended before it was ready"

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        await self.process.wait()


class Platform:
    """WeChat: remembers what reached whom, and tells when something did."""

    def __init__(self) -> None:
        self.settings = demo_settings(Vault(KEY.encode()))
        self.shown: list[Shown] = []
        self.news = asyncio.Event()
        secret = self.settings.app_secret.get_secret_value()
        self.api = WechatApi(self.settings.app_id, secret, utc_now, self._show)

    def _show(self, shown: Shown) -> None:
        if shown.kind != "typing":
            self.shown.append(shown)
            self.news.set()

    def call(self, openid: str, number: int) -> Call:
        self.api.note_action(openid)
        text = f"运费多少钱 {number}"
        return render_call(
            self.settings,
            wechat_codec.render_xml(text_fields(self.settings, openid, text, utc_now())),
            mode="secure",
            at=utc_now(),
        )

    async def wait_for(self, count: int) -> None:
        """Until each of the customers has got at least as many replies as they sent messages."""
        while not self._is_complete(count):
            self.news.clear()
            async with asyncio.timeout(90):
                await self.news.wait()

    def _is_complete(self, count: int) -> bool:
        seen = Counter(shown.openid for shown in self.shown)
        return len(seen) == CUSTOMERS and min(seen.values()) >= count


@asynccontextmanager
async def platform_online() -> AsyncIterator[tuple[Platform, str]]:
    platform = Platform()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    async with serving(platform.api.application(), listener):
        yield platform, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_every_acknowledged_message_is_answered_once_and_in_order_when_the_server_is_killed(
    engine: str, tmp_path: Path, free_port: int, request: pytest.FixtureRequest
) -> None:
    url = "" if engine == "sqlite" else request.getfixturevalue("postgres_url")
    few_articles(tmp_path / "articles")
    async with platform_online() as (platform, api_base):
        server = Server(tmp_path, free_port, api_base=api_base, database_url=url)
        await server.start()
        await _send_all(server, platform)
        answered_before = len(platform.shown)
        await server.kill()
        await server.start()
        await platform.wait_for(MESSAGES_EACH)
        await server.stop()
    assert answered_before < CUSTOMERS * MESSAGES_EACH, "the kill came too late to prove anything"
    resent = len(platform.shown) - CUSTOMERS * MESSAGES_EACH
    assert 0 <= resent <= SLOTS
    await _check_transcripts(url or f"sqlite:///{tmp_path / 'var' / 'huiliu.db'}")


async def _send_all(server: Server, platform: Platform) -> None:
    """Each customer sends one message after the other, all customers at once; every one is acknowledged."""

    async def customer(client: httpx.AsyncClient, name: str) -> None:
        for number in range(MESSAGES_EACH):
            call = platform.call(openid_of(name), number)
            answer = await client.post("/v1/hooks/demo/wechat_oa", params=dict(call.query), content=call.body)
            assert answer.text == "success"

    async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
        await asyncio.gather(*(customer(client, str(number)) for number in range(CUSTOMERS)))


async def _check_transcripts(url: str) -> None:
    """The bot's reply to message n is `bot-<place of n>`: one for each, in the order of the messages."""
    database = Database(url, Vault(KEY.encode()))
    await database.open()
    try:
        transcripts = await database.read(_transcripts)
    finally:
        await database.close()
    assert len(transcripts) == CUSTOMERS
    for lines in transcripts:
        asked = [line for line in lines if line.role == "customer"]
        replied = [line for line in lines if line.role == "bot"]
        assert [line.text for line in asked] == [f"运费多少钱 {number}" for number in range(MESSAGES_EACH)]
        assert [line.id for line in replied] == [f"bot-{line.seq}" for line in asked]
        assert {line.state for line in replied} == {"sent"}


def _transcripts(connection: sa.Connection) -> list[list[conversations.Message]]:
    ids = connection.scalars(sa.select(conversations.conversation_table.c.id)).all()
    return [conversations.read(connection, TENANT, one, limit=1000) for one in ids]
