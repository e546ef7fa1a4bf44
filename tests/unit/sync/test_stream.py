"""The event stream on the real brokers of this machine: everything once by its id, in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from foundation import conversations, errors
from foundation.clock import utc_now
from foundation.conversations import Draft
from foundation.messages import ConversationId, TenantId
from foundation.outward import outbox
from foundation.storage.database import Database
from service.sync import brokers, stream
from service.sync.brokers import headers_of, read_target
from service.sync.stream import Stream

pytest.importorskip("faststream")

DEMO = TenantId("demo")
BROKERS = {
    "nats": ("nats://{}", 4222),
    "redis": ("redis://{}/0", 6379),
    "rabbit": ("amqp://guest:guest@{}/", 5672),
}
Read = Callable[[str], Awaitable[list[tuple[str, dict[str, Any]]]]]
"""Name of a stream → the id in the header and the body, of everything that lies in it."""


@dataclass
class Gate:
    """A way to the broker that can be cut, as a restart or a network does."""

    port: int
    own_port: int = 0
    is_open: bool = True
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers += [writer, inner_writer]
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    def cut(self) -> None:
        self.is_open = False
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, OSError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def gate_to(port: int) -> AsyncIterator[Gate]:
    gate = Gate(port)
    server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
    gate.own_port = server.sockets[0].getsockname()[1]
    yield gate
    gate.cut()
    server.close()


async def read_nats(name: str) -> list[tuple[str, dict[str, Any]]]:
    import nats

    client = await nats.connect("nats://127.0.0.1:4222")
    streams = client.jetstream()
    count = (await streams.stream_info(name)).state.messages
    reader = await streams.subscribe(f"{name}.>", ordered_consumer=True)
    found = [await reader.next_msg(5) for _ in range(count)]
    await streams.delete_stream(name)
    await client.close()
    return [((one.headers or {})["Nats-Msg-Id"], json.loads(one.data)) for one in found]


async def read_redis(name: str) -> list[tuple[str, dict[str, Any]]]:
    import redis.asyncio

    client = redis.asyncio.Redis()
    found: Any = await client.xrange(f"{name}.demo")
    await client.delete(f"{name}.demo")
    await client.aclose()
    return [(fields[b"id"].decode(), json.loads(fields[b"body"])) for _, fields in found]


async def read_rabbit(name: str) -> list[tuple[str, dict[str, Any]]]:
    import aio_pika

    connection = await aio_pika.connect("amqp://guest:guest@127.0.0.1/")
    channel = await connection.channel()
    await channel.set_qos(100)
    queue = await channel.declare_queue(
        f"{name}.events", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "7D"}
    )
    found: list[tuple[str, dict[str, Any]]] = []
    async with queue.iterator(arguments={"x-stream-offset": "first"}, timeout=10) as messages:
        async for message in messages:
            if message.type == "end":
                break
            found.append((message.message_id or "", json.loads(message.body)))
            await message.ack()
    await queue.delete(if_unused=False, if_empty=False)
    await channel.exchange_delete(name)
    await connection.close()
    return found


async def end_rabbit(name: str) -> None:
    """A stream never says that it is over."""
    import aio_pika

    connection = await aio_pika.connect("amqp://guest:guest@127.0.0.1/")
    channel = await connection.channel()
    message = aio_pika.Message(b"{}", type="end")
    await channel.default_exchange.publish(message, routing_key=f"{name}.events")
    await connection.close()


READERS: dict[str, Read] = {"nats": read_nats, "redis": read_redis, "rabbit": read_rabbit}


@dataclass
class World:
    database: Database
    url: str
    kind: str
    name: str
    gate: Gate

    def build(self) -> Stream:
        """As a process does at its start."""
        url = self.url.format(f"127.0.0.1:{self.gate.own_port}") + f"?name={self.name}"
        found = stream.build(self.database, utc_now, url, frozenset())
        assert found is not None
        return found

    async def say(self, *lines: str) -> None:
        name = ConversationId("c1")

        def write(connection: sa.Connection) -> None:
            conversations.ensure(
                connection,
                name,
                tenant=DEMO,
                channel="web_chat",
                account="site",
                recipient="r",
                now=utc_now(),
            )
            for line in lines:
                draft = Draft(id=line, role="customer", text="?", sent_at=utc_now())
                conversations.append(connection, DEMO, name, draft)

        await self.database.write(write)
        await self.database.write(lambda c: outbox.number(c, DEMO))

    async def read(self) -> list[tuple[str, dict[str, Any]]]:
        if self.kind == "rabbit":
            await end_rabbit(self.name)
        return await READERS[self.kind](self.name)

    async def told(self) -> list[str]:
        return [one.id for one in await self.database.read(lambda c: outbox.read_after(c, DEMO, 0))]


@pytest.fixture(params=list(BROKERS))
async def world(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[World]:
    url, port = BROKERS[request.param]
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", port)):
            pytest.skip(f"no {request.param} at 127.0.0.1:{port}")
    async with gate_to(port) as gate:
        yield World(database, url, request.param, f"huiliu_test_{secrets.token_hex(4)}", gate)


async def test_stream_goes_on_where_it_stood_when_the_broker_was_away_and_the_process_was_new(
    world: World,
) -> None:
    first = world.build()
    await world.say("m1", "m2")
    assert await first.round(DEMO) == 3
    world.gate.cut()  # in the middle of a good connection
    await world.say("m3")
    assert (await first.round(DEMO), first.degraded) == (0, True)
    await first.close()
    await first.release(DEMO)
    world.gate.is_open = True
    second = world.build()
    assert (await second.round(DEMO), second.degraded) == (1, False)
    assert await second.round(DEMO) == 0
    await second.close()
    found = await world.read()
    assert [name for name, _ in found] == await world.told()
    assert [body["data"].get("message_id") for _, body in found] == [None, "m1", "m2", "m3"]
    assert [body["id"] for _, body in found] == [name for name, _ in found]


async def test_repeat_carries_the_same_id_when_the_process_died_before_its_cursor_moved(world: World) -> None:
    first = world.build()
    await world.say("m1")
    await first.round(DEMO)
    await world.database.write(lambda c: outbox.move(c, DEMO, first.receiver, 0))
    await first.round(DEMO)
    await first.close()
    names = [name for name, _ in await world.read()]
    told = await world.told()
    assert list(dict.fromkeys(names)) == told
    assert len(names) == len(told) * (1 if world.kind == "nats" else 2)  # JetStream drops the repeat itself


async def test_one_process_publishes_when_two_look(database: Database, world: World) -> None:
    first, second = world.build(), world.build()
    await world.say("m1", "m2")
    assert sorted([await first.round(DEMO), await second.round(DEMO)]) == [0, 3]
    await first.close()
    await second.close()
    assert [name for name, _ in await world.read()] == await world.told()


@pytest.mark.parametrize("url", ["mqtt://host", "nats:nothing", "https://example.com"])
def test_address_of_an_unknown_broker_stops_the_start(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="HUILIU_STREAM_URL"):
        read_target(url)


def test_what_the_address_says_is_taken_out_of_it() -> None:
    target = read_target("redis://u:p@h:1/2?ssl=1&name=ours&texts=yes")
    assert target == brokers.Target("redis", "redis://u:p@h:1/2?ssl=1", "ours", True)
    assert read_target("kafka://a:1,b:2").name == "huiliu"


async def test_kafka_gets_the_lane_as_key_and_the_id_as_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no Kafka here: what goes to the client is looked at, and that nobody answers is told."""
    from faststream.kafka import KafkaBroker

    sent: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    class Recorded(KafkaBroker):
        async def connect(self) -> Any:
            return None

        async def publish(self, *parts: Any, **more: Any) -> Any:
            sent.append((parts, more))

        async def stop(self, *_parts: Any) -> None:
            return None

    monkeypatch.setattr("faststream.kafka.KafkaBroker", Recorded)
    broker = brokers.open_broker(read_target("kafka://127.0.0.1:1"))
    await broker.open()
    told = outbox.Told(1, "evt_1", DEMO, utc_now(), "conversation.closed", 1, "c1", {"conversation_id": "c1"})
    await broker.publish(told, b"{}")
    await broker.close()
    [(parts, more)] = sent
    assert (parts, more["key"], more["headers"]) == ((b"{}", "huiliu.demo"), b"c1", headers_of(told))
    assert more["headers"]["id"] == "evt_1"


async def test_kafka_that_is_away_is_a_temporary_trouble() -> None:
    broker = brokers.open_broker(read_target("kafka://127.0.0.1:1"))
    with pytest.raises(errors.UpstreamUnavailable):
        await broker.open()
    await broker.close()
