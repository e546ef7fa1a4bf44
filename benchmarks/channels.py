"""What a channel costs at the door: verifying and reading one message, in microseconds, for every platform that posts.

Each simulated platform signs its own calls; the clock runs only while the adapter verifies the raw bytes and reads them.
The plain JSON decoding of the same bytes, in the same run, is the measure: the ratio is what can be compared between
machines. Channels that fetch their messages, and those that must ask a certificate server first, are left out by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import structlog

from channels.contract import Channel, Surroundings, Webhook
from channels.registry import CHANNELS
from foundation import telemetry
from foundation.clock import utc_now
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage import database as databases
from service.simulate.contract import Call, Options, Simulator
from service.simulate.registry import SIMULATORS

MESSAGES = 400
URL = "http://127.0.0.1:8080"
LEFT_OUT = {
    "alexa": "asks a certificate server",
    "dueros": "asks a certificate server",
    "wecom_kf": "its webhook is only a bell",
}


def calls_of(simulator: Simulator, options: Options) -> list[Call]:
    assert simulator.platform is not None
    platform = simulator.platform(simulator.settings(), options, utc_now, lambda _shown: None)
    return [platform.say(f"我的订单 {number} 到哪了？", user="guest") for number in range(MESSAGES)]


def webhook_of(call: Call, name: str) -> Webhook:
    headers = {"host": urlsplit(URL).netloc, **{key.lower(): value for key, value in call.headers.items()}}
    return Webhook(
        call.method, dict(call.query), headers, call.body, utc_now(), call.path.strip("/"),
        f"/v1/hooks/demo/{name}{call.path}", urlencode(call.query),
    )  # fmt: skip


def cost(channel: Channel, webhooks: list[Webhook]) -> float:
    """Microseconds at the median."""
    spent = []
    for webhook in webhooks:
        started = time.perf_counter()
        channel.verify(webhook)
        found = channel.read(webhook)
        spent.append((time.perf_counter() - started) * 1e6)
        assert len(found) >= 1
    return statistics.median(spent)


def decoding(webhooks: list[Webhook]) -> float:
    """Microseconds for turning the same bytes into text and, where they are JSON, into values."""
    spent = []
    for webhook in webhooks:
        started = time.perf_counter()
        text = webhook.body.decode()
        with contextlib.suppress(ValueError):
            json.loads(text)
        spent.append((time.perf_counter() - started) * 1e6)
    return statistics.median(spent)


async def main() -> None:
    telemetry.configure("error", "console")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    vault = Vault(b"benchmark benchmark benchmark 00")
    options = Options(vault=vault, url=URL)
    specs = {spec.name: spec for spec in CHANNELS}
    print(f"{MESSAGES} messages a channel, median microseconds a message")
    print(f"  {'channel':<14} {'verify + read':>13} {'decode':>8} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        database = databases.Database(f"sqlite:///{Path(folder) / 'x.db'}", vault)
        surroundings = Surroundings(TenantId("demo"), URL, database, vault, Hub(), utc_now)
        for simulator in SIMULATORS:
            name = simulator.name
            if simulator.platform is None or name in LEFT_OUT:
                continue
            channel = specs[name].build(specs[name].settings(), surroundings)
            webhooks = [webhook_of(call, name) for call in calls_of(simulator, options)]
            ours, bare = cost(channel, webhooks), decoding(webhooks)
            print(f"  {name:<14} {ours:>13.0f} {bare:>8.1f} {ours / bare:>7.1f}")
    for name, reason in LEFT_OUT.items():
        print(f"  {name:<14} left out: {reason}")


if __name__ == "__main__":
    asyncio.run(main())
