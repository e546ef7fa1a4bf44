"""Many messages on twenty channels at once with two workers: nothing lost, nothing doubled, nothing out of order.

`python -m benchmarks.traffic [messages] [postgres-url]`. The platforms are those of `huiliu simulate`: they sign their calls,
send one in ten of them twice at once, and take the replies over HTTP. Each customer writes two messages in a row, waits
for both replies, and goes on. What counts is read twice: in the transcripts, and at the platforms. The same load on the web
chat alone, in the same run and with the same processes, is the measure. The turn is an echo (see `traffic_machines`); two
workers need Postgres, whose database is made for the run and dropped. DingTalk is left out: it takes 20 messages a minute from
a robot, which we and its simulator keep. It takes minutes, so `make bench` leaves it to `python -m benchmarks traffic`.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import re
import secrets
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import sqlalchemy as sa

from benchmarks import traffic_machines
from benchmarks.traffic_machines import MARK, TENANT, VAULT, Plan
from foundation import conversations
from foundation import settings as configuration
from foundation.clock import utc_now
from foundation.messages import ConversationId
from foundation.storage.database import Database
from service.simulate.contract import Call, Options, Platform, Shown
from service.simulate.registry import SIMULATORS
from service.simulate.stage import bind, serving
from service.simulate.wechat.wechat_oa_platform import WechatOaPlatform

CHANNELS = (
    "wechat_oa", "wechat_mini", "wecom_kf", "wecom_app", "weibo", "douyin", "feishu", "sms_aliyun",
    "sms_tencent", "sms_twilio", "sms_generic", "slack", "teams", "whatsapp", "messenger", "telegram", "line",
    "aligenie", "xiaoai", "dueros",
)  # fmt: skip
VOICES = ("aligenie", "xiaoai", "dueros")
GO_ON = "接着说"
MESSAGES = 50_000
ATTEMPTS = 8
RETRY_SECONDS = 0.25
"""Doubled each time, so that a call is tried for half a minute."""
EACH = 10
"""Messages of one customer; few enough for what platforms allow one customer in a minute."""
AT_ONCE = 12
"""Customers of one channel who write at the same time."""
IN_A_ROW = 2
ASKED_AGAIN = 20
WORKERS = 2
PATIENCE_SECONDS = 120.0
BASELINE_SHARE = 10
POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_REPLY = re.compile(r"r(\d{5})x")


@dataclass(slots=True)
class Customer:
    """`heard`: the numbers of the replies in the order in which they came."""

    user: str
    heard: list[int] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, text: str) -> None:
        found = [int(number) for number in _REPLY.findall(text)]
        if found:
            self.heard += found
            self.news.set()

    async def has_heard(self, count: int) -> None:
        """Goes on without what does not come; it is counted as lost in the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(self.heard) < count:
                    self.news.clear()
                    await self.news.wait()


@dataclass(slots=True)
class Tally:
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0

    def add(self, seen: Sequence[int], count: int) -> None:
        """What one customer saw, who wrote the numbers from 0 up to `count`."""
        self.messages += count
        once = list(dict.fromkeys(seen))
        self.lost += count - len(set(once) & set(range(count)))
        self.doubled += len(seen) - len(once)
        self.out_of_order += sum(later < earlier for earlier, later in itertools.pairwise(once))

    def __str__(self) -> str:
        return f"{self.messages} messages: {self.lost} lost, {self.doubled} doubled, {self.out_of_order} out of order"


@dataclass(frozen=True, slots=True)
class Result:
    at_platforms: Tally
    in_transcripts: Tally
    at_web_chat: Tally
    not_sent: Counter[str]
    """Replies whose state is not "sent", by channel, state and code."""
    repeated_calls: int
    per_second: float
    web_chat_per_second: float


class Crowd:
    """All platforms with their customers, and the client that posts for them."""

    def __init__(self, url: str, names: Sequence[str]) -> None:
        self.url = url
        self.names = names
        self.people: dict[str, dict[str, Customer]] = {name: {} for name in names}
        self.platforms: dict[str, Platform] = {}
        self.repeated = 0

    def cast(self) -> None:
        options = Options(VAULT, url=self.url)
        for simulator in SIMULATORS:
            factory = WechatOaPlatform if simulator.name == "wechat_oa" else simulator.platform
            if simulator.name not in self.names or factory is None:
                continue
            people = self.people[simulator.name]

            def show(seen: Shown, people: dict[str, Customer] = people) -> None:
                people[seen.user].hear(seen.text)

            settings = configuration.channel(simulator.name, simulator.settings)
            self.platforms[simulator.name] = factory(settings, options, utc_now, show)

    async def write(self, each: int, customers: int) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=400)
        async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
            await asyncio.gather(*(self._channel(client, name, each, customers) for name in self.names))

    async def _channel(self, client: httpx.AsyncClient, name: str, each: int, customers: int) -> None:
        waiting = iter(range(customers))

        async def one_after_the_other() -> None:
            for number in waiting:
                customer = self.people[name].setdefault(f"c{number}", Customer(f"c{number}"))
                await self._customer(client, name, customer, each)

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))

    async def _customer(self, client: httpx.AsyncClient, name: str, customer: Customer, each: int) -> None:
        for number in range(each):
            call = self.platforms[name].say(f"第 m{number:05d}x 条", user=customer.user)
            await self._post(client, name, customer, call, twice=number == len(customer.user))
            if name in VOICES:
                await self._go_on(client, name, customer, number + 1)
            if number % IN_A_ROW == IN_A_ROW - 1:
                await customer.has_heard(number + 1)

    async def _go_on(self, client: httpx.AsyncClient, name: str, customer: Customer, count: int) -> None:
        """The customer was told to ask for what was not ready; some patience, then it is lost."""
        for _ in range(ASKED_AGAIN):
            if len(customer.heard) >= count:
                return
            await self._post(client, name, customer, self.platforms[name].say(GO_ON, user=customer.user))

    async def _post(
        self, client: httpx.AsyncClient, name: str, customer: Customer, call: Call, *, twice: bool = False
    ) -> None:
        """A call that comes twice is answered twice on a voice channel; the customer hears one of the answers, the one that
        does not put them off."""
        platform = self.platforms[name]
        self.repeated += twice
        answers = await asyncio.gather(*(self._send(client, name, call) for _ in range(1 + twice)))
        found = [platform.hear(answer, user=customer.user) for answer in answers]
        for seen in max(found, key=lambda shown: sum(len(_REPLY.findall(one.text)) for one in shown)):
            customer.hear(seen.text)

    async def _send(self, client: httpx.AsyncClient, name: str, call: Call) -> httpx.Response:
        """Sent again when it is not taken, as platforms do."""
        problem = ""
        for attempt in range(ATTEMPTS):
            try:
                answer = await client.request(
                    call.method, f"{self.url}/v1/hooks/demo/{name}{call.path}", params=dict(call.query) or None,
                    content=call.body, headers=dict(call.headers),
                )  # fmt: skip
            except httpx.TransportError as error:
                problem = type(error).__name__
            else:
                if answer.is_success:
                    return answer
                problem = f"{answer.status_code} {answer.text[:200]}"
            await asyncio.sleep(RETRY_SECONDS * 2**attempt)
        raise RuntimeError(f"{name}: {problem}")


class Visitors:
    """The same customers on the web chat: they post by its REST interface and wait for news there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tally = Tally()

    async def write(self, each: int, visitors: int, at_once: int) -> None:
        waiting = iter(range(visitors))
        await asyncio.gather(*(self._some(waiting, each, source) for source in range(at_once)))

    async def _some(self, waiting: Iterator[int], each: int, source: int) -> None:
        """From an address of their own each, as the web chat counts new sessions by address."""
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.1.{source + 1}")
        async with httpx.AsyncClient(transport=transport, timeout=60, base_url=self.url) as client:
            for _ in waiting:
                await self._visitor(client, each)

    async def _visitor(self, client: httpx.AsyncClient, each: int) -> None:
        client.cookies.clear()
        started = await client.post(
            "/v1/widget/sessions", json={"keep": "storage"}, headers={"origin": self.url}
        )
        session = started.raise_for_status().json()
        headers = {"authorization": f"Bearer {session['visitor_token']}"}
        address = f"/v1/conversations/{session['conversation_id']}/messages"
        customer, reached = Customer("visitor"), 0
        for number in range(each):
            body = {"client_msg_id": str(uuid.uuid4()), "text": f"第 m{number:05d}x 条"}
            (await client.post(address, json=body, headers=headers)).raise_for_status()
            while number % IN_A_ROW == IN_A_ROW - 1 and len(customer.heard) <= number:
                asked = {"after_seq": reached, "wait": 20}
                news = (await client.get(address, params=asked, headers=headers)).raise_for_status().json()
                for line in news["messages"]:
                    reached = max(reached, line["seq"])
                    customer.hear(line["text"])
        self.tally.add(customer.heard, each)


async def measure(messages: int, postgres: str, names: Sequence[str] = CHANNELS) -> Result:
    customers = max(1, messages // len(names) // EACH)
    async with AsyncExitStack() as stack:
        database = stack.enter_context(_fresh_database(postgres))
        port, listeners = stack.enter_context(_addresses(names))
        crowd, visitors = Crowd(f"http://127.0.0.1:{port}", names), Visitors(f"http://127.0.0.1:{port}")
        crowd.cast()
        for name, listener in listeners.items():
            await stack.enter_async_context(serving(crowd.platforms[name].application(), listener))
        await stack.enter_async_context(_running(Plan(database, port, (*names, "web_chat"))))
        alone = max(AT_ONCE, customers * len(names) // BASELINE_SHARE)
        web_chat = await _rate(visitors.write(EACH, alone, AT_ONCE * len(names)), alone * EACH)
        rate = await _rate(crowd.write(EACH, customers), customers * len(names) * EACH)
        in_transcripts, not_sent = await _read_transcripts(database, names, customers)
    at_platforms = Tally()
    for people in crowd.people.values():
        for customer in people.values():
            at_platforms.add(customer.heard, EACH)
    return Result(at_platforms, in_transcripts, visitors.tally, not_sent, crowd.repeated, rate, web_chat)


async def _rate(work: Coroutine[Any, Any, None], count: int) -> float:
    started = time.perf_counter()
    await work
    return count / (time.perf_counter() - started)


async def _read_transcripts(url: str, names: Sequence[str], customers: int) -> tuple[Tally, Counter[str]]:
    """Both halves of every conversation: what the customer wrote, and what was answered."""
    database = Database(url, VAULT)
    await database.open()
    tally, table = Tally(), conversations.conversation_table.c

    def read(connection: sa.Connection) -> list[tuple[str, list[conversations.Message]]]:
        query = sa.select(table.id, table.channel).where(table.tenant == TENANT, table.channel.in_(names))
        return [
            (row.channel, conversations.read(connection, TENANT, ConversationId(row.id)))
            for row in connection.execute(query)
        ]

    found = await database.read(read)
    await database.close()
    not_sent: Counter[str] = Counter()
    for channel, lines in found:
        not_sent.update(
            f"{channel} {line.state} {line.error or ''}".strip()
            for line in lines
            if line.role == "bot" and line.state not in ("sent", "delivered", "read")
        )
        said = [
            (line.role, mark)
            for line in lines
            if (mark := MARK.search(line.text) or _REPLY.search(line.text))
        ]
        for role in ("customer", "bot"):
            tally.add([int(mark[1]) for who, mark in said if who == role], EACH)
    missing = customers * len(names) - len(found)
    tally.lost += max(0, missing) * EACH * 2
    return tally, not_sent


@asynccontextmanager
async def _running(plan: Plan) -> AsyncIterator[None]:
    """The door and the workers as processes of their own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    targets = [traffic_machines.door, *([traffic_machines.worker] * WORKERS)]
    ready = [context.Event() for _ in targets]
    processes = [
        context.Process(target=target, args=(plan, event, stop), daemon=True)
        for target, event in zip(targets, ready, strict=True)
    ]
    for process in processes:
        process.start()
    try:
        for event in ready:
            if not await asyncio.to_thread(event.wait, PATIENCE_SECONDS):
                raise RuntimeError("a process did not start")
        yield
    finally:
        stop.set()
        for process in processes:
            await asyncio.to_thread(process.join, PATIENCE_SECONDS)


@contextmanager
def _addresses(names: Sequence[str]) -> Iterator[tuple[int, dict[str, socket.socket]]]:
    """A port for the door, and one for each platform with an API, named in the environment that the processes inherit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    listeners, changed = {}, {}
    for simulator in SIMULATORS:
        if simulator.name in names and "api_base" in simulator.settings.model_fields:
            listeners[simulator.name] = bind(0)
            tail = "/messages" if simulator.name == "sms_generic" else ""
            address = f"http://127.0.0.1:{listeners[simulator.name].getsockname()[1]}{tail}"
            changed[f"HUILIU_{simulator.name.upper()}_API_BASE"] = address
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield port, listeners
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _fresh_database(server: str) -> Iterator[str]:
    name = f"huiliu_traffic_{secrets.token_hex(4)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        engine.dispose()


def main(arguments: Sequence[str]) -> None:
    messages = int(arguments[0]) if arguments else MESSAGES
    postgres = arguments[1] if len(arguments) > 1 else os.environ.get("HUILIU_BENCH_POSTGRES", POSTGRES)
    result = asyncio.run(measure(messages, postgres))
    print(
        f"{len(CHANNELS)} channels at once, {WORKERS} workers and the door as processes, Postgres; the turn is an echo"
    )
    print(f"  at the platforms     {result.at_platforms}")
    print(f"  in the transcripts   {result.in_transcripts} (what was asked, and what was answered)")
    print(f"  web chat alone       {result.at_web_chat}")
    print(f"  calls sent twice     {result.repeated_calls}")
    for what, count in sorted(result.not_sent.items()):
        print(f"  not sent             {count} of {what}")
    print(f"  all channels         {result.per_second:7.1f} messages/s, asked and answered")
    print(f"  web chat alone       {result.web_chat_per_second:7.1f} messages/s, asked and answered")
    print(f"  ratio                {result.per_second / result.web_chat_per_second:7.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
