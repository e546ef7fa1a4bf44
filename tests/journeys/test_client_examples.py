"""The client guide keeps its word: both examples run as they stand, against a real server, and so does its socket."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from customers import behaviour
from foundation.clock import utc_now
from foundation.messages import ConversationId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.app import phone as phone_app
from service.simulate.contract import DONE, Options
from tests.fakes.app_house import NEW_KEY, AppHouse, settings_of
from tests.fakes.web_chat_house import TENANT, ToyAgent, free_port, serving

CLIENTS = Path(__file__).parent.parent.parent / "docs" / "clients"
NODE = shutil.which("node")


@pytest.fixture
async def house(database: Database, vault: Vault, tmp_path: Path) -> AsyncIterator[AppHouse]:
    listener, port = free_port()
    built = AppHouse(
        database,
        vault,
        utc_now,
        tmp_path,
        public_url=f"http://127.0.0.1:{port}",
        answerer=ToyAgent(),
        settings=settings_of(push_after_seconds=0),
    )
    async with built.open(), serving(built.app, listener):
        yield built


async def run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def check(house: AppHouse, user: str, outcome: tuple[int, str, str]) -> None:
    """It was answered, the reply was acknowledged, and what the customer looked at is there."""
    assert outcome == (0, "bot: 您说的是：Where is my order?\n", "")
    await house.settle()
    async with httpx.AsyncClient(base_url=house.public_url) as client:
        phone = house.phone(client, user=user)
        await phone.open()
        talk = ConversationId(phone.session["conversation_id"])
        seen = await house.database.read(lambda c: behaviour.recent(c, TENANT, talk))
        assert [(one.type, one.title, one.product) for one in seen] == [
            ("page_view", "Blue running shoes", "1001")
        ]
        listed = await phone._call("GET", "/messages?after_seq=0")
        assert listed.json()["last_seq"] == 2
    assert await house.pusher.work() == 1, "a reply was put down to be pushed"
    assert house.push.calls == [], "and was on the screen"


async def test_python_example_runs(house: AppHouse) -> None:
    address = f"{house.public_url}/v1/app/main"
    script = str(CLIENTS / "python_client.py")
    keys = ("--key-id", "k2", "--secret", NEW_KEY, "--user", "lin")
    await check(house, "lin", await run(sys.executable, script, address, *keys, "Where is my order?"))
    code, _, said = await run(sys.executable, script, address, "--key-id", "k1", "--secret", NEW_KEY, "hello")
    assert code == 1
    assert "401" in said


@pytest.mark.skipif(NODE is None, reason="Node is not installed here")
async def test_javascript_example_runs(house: AppHouse) -> None:
    assert NODE is not None
    script, address = str(CLIENTS / "javascript_client.mjs"), f"{house.public_url}/v1/app/main"
    await check(house, "wu", await run(NODE, script, address, "k2", NEW_KEY, "wu", "Where is my order?"))
    code, _, said = await run(NODE, script, address, "k1", NEW_KEY, "wu", "hello")
    assert code == 1
    assert "user_token_invalid" in said


async def test_socket_of_the_app_shows_acknowledges_and_goes_on(house: AppHouse) -> None:
    async with httpx.AsyncClient(base_url=house.public_url) as client:
        phone = house.phone(client)
        await phone.open()
        await phone.register()
        hello = {"t": "hello", "v": 1, "token": phone.session["session_token"], "last_seq": 0}
        send = {"t": "send", "client_msg_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "text": "你好"}
        async with connect(phone.session["ws_url"], proxy=None) as socket, asyncio.timeout(20):
            for frame in (hello, send):
                await socket.send(json.dumps(frame))
            texts: list[str] = []
            while len(texts) < 2:
                frame = json.loads(await socket.recv())
                texts += [frame["text"]] if frame["t"] == "message" else []
            await socket.send(json.dumps({"t": "ack", "seq": 2}))
            await socket.send(json.dumps({"t": "ping"}))
            while json.loads(await socket.recv())["t"] != "pong":
                pass
        assert texts == ["你好", "您说的是：你好"]
        await house.settle()
        view = await phone.read()
        assert [one["text"] for one in view] == texts
    assert await house.pusher.work() == 1
    assert house.push.calls == []


async def test_simulated_phone_stays_open_when_there_is_no_push_service(
    database: Database, vault: Vault, tmp_path: Path
) -> None:
    listener, port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = settings_of(push_url="", push_secret="")
    built = AppHouse(
        database, vault, utc_now, tmp_path, public_url=address, answerer=ToyAgent(), settings=settings
    )
    lines: list[str] = []
    async with built.open(), serving(built.app, listener):
        options = Options(vault, url=address)
        code = await phone_app.play(["一", "二"], options, settings=settings, say=lines.append)
    assert code == DONE, lines
    assert [line for line in lines if "←" in line] == ["  ← 您说的是：一", "  ← 您说的是：二"]
    assert "no push service" in lines[-1]
