"""The web chat's socket and event stream, on a real server: nothing lost, nothing twice, nobody held up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from channels.families.live_chat.sockets import Timing
from foundation import conversations
from foundation.events import MessageReceived
from foundation.live import Signal
from foundation.messages import ConversationId, Reply
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.fakes.web_chat_house import GUEST, SERVER_KEY, TENANT, House, ToyAgent, free_port, serving

TIMING = Timing(hello_seconds=0.6, ping_seconds=25, tick_seconds=0.05, sockets=12)
SUBPROTOCOLS: Any = ["chat.v1"]


@pytest.fixture
async def house(
    database: Database, vault: Vault, clock: StandingClock, tmp_path: Path
) -> AsyncIterator[House]:
    listener, port = free_port()
    agent = ToyAgent()
    built = House(
        database, vault, clock, tmp_path, public_url=f"http://127.0.0.1:{port}", timing=TIMING, answerer=agent
    )
    agent.house = built
    async with built.open(), serving(built.app, listener):
        yield built


class Browser:
    def __init__(self, house: House, session: dict[str, Any]) -> None:
        self.house = house
        self.session = session
        self.conversation_id = ConversationId(session["conversation_id"])

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.session['visitor_token']}"}

    @asynccontextmanager
    async def socket(self, last_seq: int = 0, **hello: Any) -> AsyncIterator[Tab]:
        async with connect(
            self.session["ws_url"], subprotocols=SUBPROTOCOLS, origin=self.house.public_url, proxy=None  # type: ignore[arg-type]
        ) as opened:  # fmt: skip
            tab = Tab(opened)
            first = {"t": "hello", "v": 1, "token": self.session["visitor_token"], "conversation_id": self.conversation_id, "last_seq": last_seq}  # fmt: skip
            with contextlib.suppress(ConnectionClosed):
                await tab.send({**first, **hello})
            yield tab

    async def post(self, path: str, form: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.house.public_url, headers=self.headers) as client:
            return await client.post(f"/v1/conversations/{self.conversation_id}/{path}", json=form)


class Tab:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []

    async def send(self, frame: dict[str, Any] | str) -> None:
        await self.connection.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def say(self, text: str, client_id: str = "") -> str:
        client_id = client_id or str(uuid4())
        await self.send({"t": "send", "client_msg_id": client_id, "text": text})
        return client_id

    async def until(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """The next frame of this kind with these fields; what came before stays in `frames`."""
        async with asyncio.timeout(10):
            while True:
                frame: dict[str, Any] = json.loads(await self.connection.recv())
                self.frames.append(frame)
                if frame["t"] == kind and fields.items() <= frame.items():
                    return frame

    async def closed(self) -> int:
        """The code with which the server closes; reads away what still comes."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self.frames.append(json.loads(await self.connection.recv()))
        return self.connection.close_code or 0

    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.frames if frame["t"] == "message"]


async def begin(house: House, **form: Any) -> Browser:
    async with httpx.AsyncClient(base_url=house.public_url, headers={"origin": house.public_url}) as client:
        answer = await client.post("/v1/widget/sessions", json={"keep": "storage", **form})
        return Browser(house, answer.json())


# ---- conversation ----------------------------------------------------------------------------------------------------


async def test_message_is_echoed_streamed_answered_and_ticked(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        ready = await tab.until("ready")
        assert (ready["last_seq"], ready["ping_s"]) == (0, 25)
        client_id = await tab.say("please stream")
        echo = await tab.until("message", role="customer")
        assert (echo["seq"], echo["client_msg_id"]) == (1, client_id)
        answer = await tab.until("message", role="bot")
        assert (await tab.until("message_done"))["seq"] == answer["seq"] == 2
        await tab.until("receipt", kind="read", by="service", upto_seq=1)
    kinds = [frame["t"] for frame in tab.frames]
    assert kinds.index("typing") < kinds.index("delta") < kinds.index("message_done")
    deltas = [frame for frame in tab.frames if frame["t"] == "delta"]
    assert all(before["next"] == after["i"] for before, after in itertools.pairwise(deltas))
    delivered = next(i for i, f in enumerate(tab.frames) if f["t"] == "receipt" and f["kind"] == "delivered")
    assert delivered < kinds.index("delta")


async def test_gap_is_replayed_when_the_browser_comes_back(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.say("你好")
        await tab.until("message", seq=2)
    for number in range(5):
        await house.say(browser.conversation_id, f"unterwegs {number}", number=number)
    async with browser.socket(last_seq=2) as again:
        await again.until("message", seq=7)
        assert again.seqs() == [3, 4, 5, 6, 7]


async def test_nothing_falls_between_history_and_live(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.say("你好")
        await tab.until("message", seq=2)

    async def write() -> None:
        for number in range(60):
            await house.say(browser.conversation_id, "x", number=number)

    for _ in range(3):
        writing = asyncio.create_task(write()) if _ == 0 else None
        async with browser.socket() as reader:
            await reader.until("message", seq=62)
            assert reader.seqs() == list(range(1, 63))
        if writing is not None:
            await writing


async def test_resync_is_told_when_too_much_was_missed(house: House) -> None:
    browser = await begin(house)
    await browser.post("messages", {"client_msg_id": str(uuid4()), "text": "你好"})
    for number in range(205):
        await house.say(browser.conversation_id, "x", number=number)
    async with browser.socket() as tab:
        assert (await tab.until("resync"))["last_seq"] >= 206
        assert tab.seqs() == []


async def test_tabs_see_each_other_and_repeats_are_confirmed(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as one, browser.socket() as other:
        await one.until("ready")
        await other.until("ready")
        client_id = await one.say("你好")
        assert (await other.until("message", role="customer"))["client_msg_id"] == client_id
        await one.until("message", role="bot")
        await one.say("你好", client_id)
        assert (await one.until("message", role="customer"))["seq"] == 1
        await one.say("另一个内容", client_id)
        refused = await one.until("error", client_msg_id=client_id)
        assert refused["code"] == "client_msg_id_reused"
        await one.send({"t": "read", "seq": 2})
        assert (await other.until("receipt", by="customer"))["upto_seq"] == 2


async def test_receipts_out_of_order_never_go_back(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.say("你好")
        await tab.until("message", role="bot")
        for frame in ({"t": "read", "seq": 2}, {"t": "ack", "seq": 1}, {"t": "read", "seq": 1}, {"t": "ack", "seq": 500}):  # fmt: skip
            await tab.send(frame)
        await tab.send({"t": "ping"})
        await tab.until("pong")
        found = await house.database.read(lambda c: conversations.get(c, TENANT, browser.conversation_id))
        assert (found.customer_read_seq, found.customer_delivered_seq) == (2, 2)
    upto = [f["upto_seq"] for f in tab.frames if f["t"] == "receipt" and f["by"] == "customer"]
    assert upto == sorted(upto)


async def test_running_reply_is_a_snapshot_when_somebody_joins_in_its_middle(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as first:
        await first.until("ready")
        for index, piece in enumerate(("Once ", "upon ", "a ")):
            house.hub.tell(
                Signal("delta", browser.conversation_id, message_id="m-1", index=index, text=piece)
            )
        await first.until("delta", next=3)
        async with browser.socket() as second:
            snapshot = await second.until("delta")
            assert (snapshot["text"], snapshot["next"], snapshot["snapshot"]) == ("Once upon a ", 3, True)
            await browser.post("messages", {"client_msg_id": str(uuid4()), "text": "x"})
            await house.say(browser.conversation_id, "Once upon a time", number=1)
            assert (await second.until("message_done", message_id="m-1"))["seq"]


async def test_pieces_end_when_the_customer_stops_them(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        house.hub.tell(Signal("delta", browser.conversation_id, message_id="m-1", index=0, text="a"))
        await tab.until("delta")
        await tab.send({"t": "stop", "message_id": "m-1"})
        await tab.send({"t": "ping"})
        await tab.until("pong")
        house.hub.tell(Signal("delta", browser.conversation_id, message_id="m-1", index=1, text="b"))
        house.hub.tell(Signal("typing", browser.conversation_id, who="bot"))
        await tab.until("typing")
    assert [frame["i"] for frame in tab.frames if frame["t"] == "delta"] == [0]


async def test_customer_sees_the_queue_and_the_person(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        assert (await tab.until("status"))["state"] == "bot"
        await tab.say("转人工")
        assert await tab.until("status", state="queued") == {"t": "status", "state": "queued", "position": 1}
        now = house.clock()
        await house.database.write(
            lambda c: conversations.take_over(c, TENANT, browser.conversation_id, staff="li", now=now)
        )
        assert (await tab.until("status", state="human"))["agent"] == "li"


async def test_rows_of_another_process_arrive_without_a_signal(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.say("你好")
        await tab.until("message", seq=2)

        def write(connection: Any) -> None:
            draft = conversations.Draft(id="far", role="agent", text="远方", sent_at=house.clock())
            conversations.append(connection, TENANT, browser.conversation_id, draft)

        await house.database.write(write)
        assert (await tab.until("message", seq=3))["text"] == "远方"


# ---- the gate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", f"{GUEST}.evil.example"])
async def test_handshake_is_refused_when_the_origin_is_wrong(house: House, origin: str | None) -> None:
    browser = await begin(house)
    with pytest.raises(InvalidStatus) as refused:
        async with connect(browser.session["ws_url"], origin=origin, proxy=None):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403


async def test_server_without_origin_enters_with_its_key_and_a_subprotocol_token(house: House) -> None:
    browser = await begin(house)
    protocols: Any = ["chat.v1", f"bearer.{browser.session['visitor_token']}"]
    async with connect(
        browser.session["ws_url"], additional_headers={"x-server-key": SERVER_KEY}, subprotocols=protocols, proxy=None
    ) as opened:  # fmt: skip
        assert opened.subprotocol == "chat.v1"
        tab = Tab(opened)
        await tab.send({"t": "hello", "v": 1})
        await tab.until("ready")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"token": "wrong"}, 4401), ({"token": ""}, 4401), ({"conversation_id": "other"}, 4404),
        ({"v": 2}, 4400), ({"t": "send"}, 4400), ({"last_seq": -1}, 4400), ({"more": 1}, 4400),
    ],
)  # fmt: skip
async def test_socket_is_closed_when_the_hello_is_wrong(
    house: House, first: dict[str, Any], code: int
) -> None:
    browser = await begin(house)
    async with browser.socket(**first) as tab:
        assert await tab.closed() == code


async def test_socket_is_closed_when_nobody_says_hello(house: House) -> None:
    browser = await begin(house)
    async with connect(browser.session["ws_url"], origin=house.public_url, proxy=None) as opened:  # type: ignore[arg-type]
        assert await Tab(opened).closed() == 4401


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", 4400), ("[]", 4400), ('{"t":"dance"}', 4400), ('{"t":"read","seq":"2"}', 4400), ('{"t":"send","text":"x"}', 4400),
        (json.dumps({"t": "send", "client_msg_id": str(uuid4()), "text": "x" * 102_400}), 1009), ("{" * 31_000, 4400),
    ],
)  # fmt: skip
async def test_bad_frame_closes_the_socket(house: House, frame: str, code: int) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.send(frame)
        assert await tab.closed() == code


async def test_binary_frame_closes_the_socket(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.connection.send(b"\xff\xfe")
        assert await tab.closed() == 4400


async def test_token_is_renewed_or_the_socket_ends(house: House, clock: StandingClock) -> None:
    browser = await begin(house)
    async with browser.socket() as renewing, browser.socket() as silent:
        await renewing.until("ready")
        await silent.until("ready")
        clock.move(minutes=14, seconds=10)
        assert (await renewing.until("token_expiring"))["seconds"] == 50
        fresh = await begin(house, refresh_token=browser.session["refresh_token"])
        await renewing.send({"t": "auth", "token": fresh.session["visitor_token"]})
        await renewing.send({"t": "ping"})
        await renewing.until("pong")
        clock.move(minutes=2)
        assert await silent.closed() == 4401
        await renewing.say("还在")
        await renewing.until("message", text="还在")


async def test_token_of_somebody_else_ends_the_socket(house: House) -> None:
    browser, other = await begin(house), await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await tab.send({"t": "auth", "token": other.session["visitor_token"]})
        assert await tab.closed() == 4404


async def test_haste_is_refused_and_then_ends_the_socket(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        for number in range(13):
            await tab.say(f"{number}")
        refused = await tab.until("error")
        assert refused["code"] == "rate_limited"
        assert refused["retry_after"] > 0
        assert await tab.closed() == 4429


async def test_sixth_socket_replaces_the_first_and_the_house_has_a_limit(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as first:
        await first.until("ready")
        async with browser.socket() as b, browser.socket() as c, browser.socket() as d, browser.socket() as e:
            for tab in (b, c, d, e):
                await tab.until("ready")
            async with browser.socket() as sixth:
                await sixth.until("ready")
                assert await first.closed() == 4409
                others = [await begin(house) for _ in range(8)]
                opened = [other.socket() for other in others]
                tabs = [await one.__aenter__() for one in opened]
                codes = [await tab.closed() for tab in tabs[7:]]
                assert codes == [1013]
                for one in opened:
                    await one.__aexit__(None, None, None)


async def test_slow_reader_is_let_go_and_holds_nobody_up(house: House) -> None:
    browser = await begin(house)
    await browser.post("messages", {"client_msg_id": str(uuid4()), "text": "你好"})
    port = int(house.public_url.rsplit(":", 1)[1])
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", port))
    async with connect(
        browser.session["ws_url"], sock=slow, origin=house.public_url, subprotocols=SUBPROTOCOLS, proxy=None,  # type: ignore[arg-type]
        max_queue=1, compression=None, close_timeout=5,
    ) as opened:  # fmt: skip
        tab = Tab(opened)
        await tab.send({"t": "hello", "v": 1, "token": browser.session["visitor_token"], "last_seq": 0})
        await tab.until("ready")
        async with browser.socket() as quick:
            await quick.until("ready")
            for number in range(120):
                seq = await house.say(browser.conversation_id, "长" * 40_000, number=number)
                await quick.until("message", seq=seq)
            assert quick.seqs()[-120:] == list(range(seq - 119, seq + 1))
        # 1006 where the reader took so long that even the word of parting was no longer waited for.
        assert await tab.closed() in (4408, 1006)
        assert len(tab.seqs()) < 120
    async with browser.socket(last_seq=seq - 3) as again:
        await again.until("message", seq=seq)
        assert again.seqs() == [seq - 2, seq - 1, seq]


# ---- without a socket ------------------------------------------------------------------------------------------------


async def test_event_stream_goes_on_after_the_last_event(house: House) -> None:
    browser = await begin(house)
    await browser.post("messages", {"client_msg_id": str(uuid4()), "text": "一"})
    headers = {**browser.headers, "last-event-id": "1"}
    url = f"{house.public_url}/v1/conversations/{browser.conversation_id}/stream?after_seq=0"
    lines: list[str] = []
    async with httpx.AsyncClient() as client, client.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        async for line in answer.aiter_lines():
            lines.append(line)
            if "您说的是" in line:
                break
    assert "id: 2" in lines
    assert "id: 1" not in lines


async def test_long_poll_answers_when_something_comes(house: House) -> None:
    browser = await begin(house)
    await browser.post("messages", {"client_msg_id": str(uuid4()), "text": "一"})
    url = f"{house.public_url}/v1/conversations/{browser.conversation_id}/messages?wait=20&after_seq="
    async with httpx.AsyncClient(headers=browser.headers, timeout=30) as client:
        answer = await client.get(f"{url}1")
        assert [one["text"] for one in answer.json()["messages"]] == ["您说的是：一"]
        asking = asyncio.create_task(client.get(f"{url}2"))
        await house.say(browser.conversation_id, "二", number=1)
        assert [one["text"] for one in (await asking).json()["messages"]] == ["二"]


async def test_server_goes_away_with_a_word(house: House) -> None:
    browser = await begin(house)
    async with browser.socket() as tab:
        await tab.until("ready")
        await house.channel.close()
        assert await tab.closed() == 1001


async def test_answer_comes_once_when_the_server_restarts_in_its_middle(
    database: Database, vault: Vault, clock: StandingClock, tmp_path: Path
) -> None:
    started = asyncio.Event()

    async def stuck(event: MessageReceived) -> Reply | None:
        hub.tell(Signal("delta", event.conversation_id, message_id="half", index=0, text="Your par"))
        started.set()
        await asyncio.Event().wait()
        return None

    listener, port = free_port()
    url = f"http://127.0.0.1:{port}"
    first = House(database, vault, clock, tmp_path, public_url=url, timing=TIMING, answerer=stuck)
    hub = first.hub
    async with first.open(), serving(first.app, listener):
        browser = await begin(first)
        async with browser.socket() as tab:
            await tab.until("ready")
            await tab.say("where is my parcel")
            await tab.until("delta", text="Your par")
            await started.wait()
    clock.move(minutes=2)
    listener, port = free_port()
    url = f"http://127.0.0.1:{port}"
    agent = ToyAgent()
    second = House(database, vault, clock, tmp_path, public_url=url, timing=TIMING, answerer=agent)
    async with second.open(), serving(second.app, listener):
        back = Browser(second, {**browser.session, "ws_url": f"ws://127.0.0.1:{port}/v1/widget/socket"})
        async with back.socket(last_seq=1) as tab:
            await tab.until("message", role="bot")
            await tab.send({"t": "ping"})
            await tab.until("pong")
            assert tab.seqs() == [2]
    assert len(agent.heard) == 1
