"""The company's own bus as the stream writes to it: one contract, four brokers, one client library (FastStream, extra `stream`).

`stream.py` opens a broker from `HUILIU_STREAM_URL` and publishes event after event; each `publish` returns when the broker has
the event safely. Every fault of a client becomes `UpstreamUnavailable`, and the whole connection is made anew after it: what
clients do to come back by themselves differs, and half of it is found out only in trouble.

What would surprise you: to Redis the entry is written by the library's own connection, because FastStream would wrap the body
in a form of its own that other systems cannot read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from foundation import errors
from foundation.outward.outbox import Told

TIMEOUT_SECONDS = 10.0
NAME = "huiliu"
KEPT_FOR = timedelta(days=7)
MOST_ENTRIES = 1_000_000
"""Of a stream in Redis, which keeps everything in memory."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the URL says: `?name=` is the stream's name, `?texts=yes` asks for texts of messages."""

    scheme: str
    url: str
    name: str
    with_texts: bool


class Broker(Protocol):
    """Raises `UpstreamUnavailable` from every method but `close`."""

    async def open(self) -> None:
        """Connects and makes what the stream needs where it is missing. Repeatable after `close`."""
        ...

    async def publish(self, told: Told, body: bytes) -> None:
        """Returns when the broker has it."""
        ...

    async def close(self) -> None: ...


def read_target(url: str) -> Target:
    """Raises `ConfigurationError`."""
    parts = urlsplit(url)
    if parts.scheme not in BROKERS or not parts.netloc:
        raise errors.ConfigurationError(
            f"HUILIU_STREAM_URL begins with one of {', '.join(f'{name}://' for name in BROKERS)}, then the address."
        )
    options = dict(parse_qsl(parts.query))
    rest = "&".join(f"{name}={value}" for name, value in options.items() if name not in ("name", "texts"))
    plain = urlunsplit(parts._replace(query=rest))
    return Target(parts.scheme, plain, options.get("name") or NAME, options.get("texts") == "yes")


def open_broker(target: Target) -> Broker:
    """Connects to nothing. Raises `ConfigurationError` where the extra is missing."""
    try:
        import faststream  # noqa: F401  # only to see whether it is there
    except ImportError as error:
        raise errors.ConfigurationError(
            "HUILIU_STREAM_URL needs the extra: pip install 'huiliu[stream]'."
        ) from error
    return BROKERS[target.scheme](target)


def headers_of(told: Told) -> dict[str, str]:
    return {"id": told.id, "type": told.type, "tenant": told.tenant, "lane": told.lane}


class NatsStream:
    """JetStream: subject `<name>.<tenant>.<type>`; the server drops a repeat of an id for ten minutes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._broker: Any = None

    async def open(self) -> None:
        from faststream.nats import NatsBroker
        from nats.js.api import StreamConfig
        from nats.js.errors import NotFoundError

        name = self._target.name
        async with translated():
            self._broker = NatsBroker(self._target.url, allow_reconnect=False, connect_timeout=5, logger=None)
            connection = await self._broker.connect()
            streams = connection.jetstream()
            try:
                await streams.stream_info(name)
            except NotFoundError:
                await streams.add_stream(
                    StreamConfig(
                        name=name, subjects=[f"{name}.>"], max_age=KEPT_FOR.total_seconds(), duplicate_window=600
                    )
                )  # fmt: skip

    async def publish(self, told: Told, body: bytes) -> None:
        name = self._target.name
        async with translated():
            await self._broker.publish(
                body, f"{name}.{told.tenant}.{told.type}", stream=name, timeout=TIMEOUT_SECONDS,
                headers={"Nats-Msg-Id": told.id, **headers_of(told)}, correlation_id=told.id,
            )  # fmt: skip

    async def close(self) -> None:
        broker, self._broker = self._broker, None
        await _stop(broker)


class RedisStream:
    """One stream a tenant, `<name>.<tenant>`, with the fields `id`, `type`, `body`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._broker: Any = None
        self._client: Any = None

    async def open(self) -> None:
        from faststream.redis import RedisBroker

        async with translated():
            self._broker = RedisBroker(self._target.url, socket_timeout=TIMEOUT_SECONDS)
            self._client = await self._broker.connect()
            await self._client.ping()

    async def publish(self, told: Told, body: bytes) -> None:
        fields = {"id": told.id, "type": told.type, "body": body}
        async with translated():
            await self._client.xadd(
                f"{self._target.name}.{told.tenant}", fields, maxlen=MOST_ENTRIES, approximate=True
            )

    async def close(self) -> None:
        broker, self._broker = self._broker, None
        await _stop(broker)


class RabbitStream:
    """A topic exchange `<name>`, routing key `<tenant>.<type>`. A queue of the type stream, `<name>.events`, keeps a week, so
    that nothing is lost while nobody has bound a queue of their own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._broker: Any = None
        self._exchange: Any = None

    async def open(self) -> None:
        from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
        from faststream.rabbit.schemas.queue import QueueType

        name, days = self._target.name, KEPT_FOR.days
        url = self._target.url.replace("rabbitmq://", "amqp://", 1)
        async with translated():
            self._broker = RabbitBroker(url, timeout=5, logger=None)
            await self._broker.connect()
            self._exchange = RabbitExchange(name, type=ExchangeType.TOPIC, durable=True)
            exchange = await self._broker.declare_exchange(self._exchange)
            kept = RabbitQueue(
                f"{name}.events", queue_type=QueueType.STREAM, arguments={"x-max-age": f"{days}D"}
            )
            queue = await self._broker.declare_queue(kept)
            await queue.bind(exchange, routing_key="#")

    async def publish(self, told: Told, body: bytes) -> None:
        async with translated():
            await self._broker.publish(
                body, exchange=self._exchange, routing_key=f"{told.tenant}.{told.type}", persist=True,
                message_id=told.id, message_type=told.type, headers=headers_of(told), correlation_id=told.id,
                content_type="application/json", timestamp=told.at, timeout=TIMEOUT_SECONDS,
            )  # fmt: skip

    async def close(self) -> None:
        broker, self._broker = self._broker, None
        await _stop(broker)


class KafkaStream:
    """One topic a tenant, `<name>.<tenant>`, keyed by lane so that its order holds; an idempotent producer."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._broker: Any = None

    async def open(self) -> None:
        from faststream.kafka import KafkaBroker

        servers = urlsplit(self._target.url).netloc.split(",")
        async with translated():
            self._broker = KafkaBroker(servers, enable_idempotence=True, logger=None)
            await self._broker.connect()

    async def publish(self, told: Told, body: bytes) -> None:
        async with translated():
            await self._broker.publish(
                body, f"{self._target.name}.{told.tenant}", key=told.lane.encode(), headers=headers_of(told),
                timestamp_ms=round(told.at.timestamp() * 1000), correlation_id=told.id,
            )  # fmt: skip

    async def close(self) -> None:
        broker, self._broker = self._broker, None
        await _stop(broker)


BROKERS: Mapping[str, Callable[[Target], Broker]] = {
    "nats": NatsStream, "redis": RedisStream, "rediss": RedisStream, "amqp": RabbitStream, "amqps": RabbitStream,
    "kafka": KafkaStream,
}  # fmt: skip


def client_faults() -> tuple[type[BaseException], ...]:
    """What the clients raise when a broker is away, refuses, or is too slow; aiormq says of a channel or a connection that
    has ended that it is a RuntimeError."""
    import aiokafka.errors
    import aiormq.exceptions
    import nats.errors
    import redis.exceptions
    from faststream.exceptions import FastStreamException

    return (
        nats.errors.Error, redis.exceptions.RedisError, aiormq.exceptions.AMQPError, aiokafka.errors.KafkaError,
        FastStreamException, OSError, TimeoutError, EOFError, RuntimeError,
    )  # fmt: skip


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raises `UpstreamUnavailable` for every fault of a client, and after too long."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            yield
    except client_faults() as error:
        raise errors.UpstreamUnavailable(
            "The event stream's broker does not take events.", code="stream_away"
        ) from error


async def _stop(broker: Any) -> None:
    if broker is None:
        return
    with suppress(*client_faults()):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await broker.stop()
