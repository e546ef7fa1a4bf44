"""Webhooks accepted over HTTP against the same transaction without HTTP, 64 at a time, both on the embedded database.

The requests are signed WeChat messages, each new, sent over keep-alive connections by a client in a process of its own.
"Without HTTP" is the same `Intake.receive` for the same signed requests, 64 at a time in this process: verification, reading,
and one transaction that is durable when it returns.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from channels.adapters.wechat_oa.settings import WechatOaSettings, demo_settings
from channels.contract import Webhook
from channels.families.wechat import codec as wechat_codec
from foundation import telemetry
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.settings import load
from service import http, keys, wiring
from service.simulate.contract import Call
from service.simulate.wechat.wechat_callback import openid_of, render_call, text_fields

CONCURRENCY = 64
MESSAGES = 3_000
WARM_UP = 300
TENANT = TenantId("demo")


def calls(settings: WechatOaSettings, count: int) -> list[Call]:
    now = datetime.now(UTC)
    return [
        render_call(
            settings,
            wechat_codec.render_xml(text_fields(settings, openid_of(str(number % 500)), "运费多少", now)),
            mode="plain",
            at=now,
        )
        for number in range(count)
    ]


async def main() -> None:
    telemetry.configure("error", "console")
    with tempfile.TemporaryDirectory() as name:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = load(data_dir=Path(name), channels=["wechat_oa"], port=port)
        system = wiring.build(settings)
        server = uvicorn.Server(
            uvicorn.Config(
                http.application(system, work=False), port=port, log_level="error", access_log=False
            )
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn tells by a flag only
            await asyncio.sleep(0.05)
        channel = demo_settings(Vault(keys.master_key(settings)))
        await _bare(system, calls(channel, WARM_UP))
        bare = await _bare(system, calls(channel, MESSAGES))
        over_http = await _over_http(port, calls(channel, MESSAGES))
        print(f"{MESSAGES} new messages, {CONCURRENCY} at a time")
        print(f"  transaction alone      {bare:7.0f} accepted/s")
        print(f"  webhook over HTTP      {over_http:7.0f} accepted/s")
        print(f"  ratio                  {over_http / bare:7.2f}")
        server.should_exit = True
        await serving


async def _bare(system: wiring.System, messages: list[Call]) -> float:
    channel = system.channels[TENANT, "wechat_oa"]
    waiting = iter(messages)

    async def sender() -> None:
        for call in waiting:
            await system.intake.receive(
                TENANT,
                channel,
                Webhook(
                    method="POST",
                    query=dict(call.query),
                    headers={},
                    body=call.body,
                    received_at=system.clock(),
                ),
            )

    started = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(CONCURRENCY)))
    return len(messages) / (time.perf_counter() - started)


async def _over_http(port: int, messages: list[Call]) -> float:
    """The client is another process, as a platform's is."""
    requests = [_request(call) for call in messages]
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    client = context.Process(target=_client, args=(port, requests, sender))
    client.start()
    rate = await asyncio.to_thread(receiver.recv)
    await asyncio.to_thread(client.join)
    return float(rate)


def _request(call: Call) -> bytes:
    head = f"POST /v1/hooks/demo/wechat_oa?{urlencode(call.query)} HTTP/1.1\r\nHost: bench\r\nContent-Type: text/xml\r\n"
    return f"{head}Content-Length: {len(call.body)}\r\n\r\n".encode() + call.body


def _client(port: int, requests: list[bytes], result: Connection) -> None:
    result.send(asyncio.run(_send_all(port, requests)))


async def _send_all(port: int, requests: list[bytes]) -> float:
    waiting = iter(requests)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONCURRENCY)))
    return len(requests) / (time.perf_counter() - started)


if __name__ == "__main__":
    asyncio.run(main())
