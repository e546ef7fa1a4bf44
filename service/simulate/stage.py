"""Plays any platform and one of its customers: texts in, called as the platform calls; what the customer sees is said.

Behind `huiliu simulate NAME`. A `Platform` of `service.simulate` knows one provider's documents; what they have in common
is here: patience, attempts, doubled and forged calls, and its API on the local port that the settings' `api_base` names.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import uvicorn
from pydantic import BaseModel
from starlette.types import ASGIApp

from foundation.clock import utc_now
from service.simulate.contract import (
    DONE,
    NOT_ANSWERED,
    NOT_POSSIBLE,
    Call,
    Options,
    Platform,
    PlatformFactory,
    Say,
    Shown,
)

ATTEMPTS = 3
FOLLOW_UPS = 20
"""Calls that the platform makes by itself before the customer says the next thing."""
_LOCAL = ("127.0.0.1", "localhost")

S = TypeVar("S")
Outcome = Literal["taken", "refused", "unreachable"]


async def play(
    name: str, factory: PlatformFactory, texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say
) -> int:  # fmt: skip
    """Ends at the first text that is not answered."""
    shown: asyncio.Queue[Shown] = asyncio.Queue()
    platform = factory(settings, options, utc_now, shown.put_nowait)
    address = urlsplit(platform.address)
    if address.hostname not in _LOCAL or address.port is None:
        say(f"The server replies to {platform.address}, where nobody can look on.")
        say(f"Set HUILIU_{name.upper()}_API_BASE=http://127.0.0.1:8765 for both, and start the server again.")
        return NOT_POSSIBLE
    try:
        listener = bind(address.port)
    except OSError:
        say(f"Port {address.port} is taken: another simulation is running. Wait for it, or stop it.")
        return NOT_POSSIBLE
    async with serving(platform.application(), listener), httpx.AsyncClient(trust_env=False) as client:
        customer = _Customer(name, platform, options, client=client, shown=shown, say=say)
        for text in texts:
            result = await customer.write(text)
            if result != DONE:
                return result
    return DONE


class _Customer:
    def __init__(
        self, name: str, platform: Platform, options: Options, *, client: httpx.AsyncClient,
        shown: asyncio.Queue[Shown], say: Say,
    ) -> None:  # fmt: skip
        self._name = name
        self._platform = platform
        self._options = options
        self._client = client
        self._shown = shown
        self._say = say

    async def write(self, text: str) -> int:
        self._say(f"{self._options.user} → {text}")
        call = self._platform.say(text, user=self._options.user)
        outcome = await self._post(self._platform.forge(call) if self._options.forge else call)
        if outcome == "unreachable":
            return NOT_POSSIBLE
        if self._options.forge:
            if outcome == "taken":
                self._say("The server took a message with a wrong signature.")
            return DONE if outcome == "refused" else NOT_ANSWERED
        return NOT_ANSWERED if outcome == "refused" else await self._look()

    async def _post(self, call: Call) -> Outcome:
        for attempt in range(1, ATTEMPTS + 1):
            answers = await asyncio.gather(*(self._send(call) for _ in range(self._options.duplicate)))
            outcome = self._judge(answers)
            if outcome == "taken":
                await self._follow(next(a for a in answers if isinstance(a, httpx.Response) and a.is_success))
            if outcome is not None:
                return outcome
            self._say(
                f"  attempt {attempt} of {ATTEMPTS}: no acknowledgement within {self._platform.patience_seconds:.0f} s"
            )
        self._say("  The platform gives up.")
        return "refused"

    async def _follow(self, answer: httpx.Response) -> None:
        """What stands in the answer itself, and the calls that the platform makes because of it."""
        for _ in range(FOLLOW_UPS):
            for seen in self._platform.hear(answer, user=self._options.user):
                self._shown.put_nowait(seen)
            call = self._platform.follow_up(answer, user=self._options.user)
            if call is None:
                return
            following = await self._send(call)
            if not isinstance(following, httpx.Response) or not following.is_success:
                return
            answer = following

    async def _send(self, call: Call) -> httpx.Response | httpx.HTTPError:
        address = f"{self._options.url.rstrip('/')}/v1/hooks/{self._options.tenant}/{self._name}{call.path}"
        try:
            return await self._client.request(
                call.method, address, params=dict(call.query) or None, content=call.body, headers=dict(call.headers),
                timeout=self._platform.patience_seconds,
            )  # fmt: skip
        except httpx.HTTPError as error:
            return error

    def _judge(self, answers: Sequence[httpx.Response | httpx.HTTPError]) -> Outcome | None:
        """None: worth another attempt."""
        if any(isinstance(answer, httpx.ConnectError) for answer in answers):
            self._say(f"Nobody answers at {self._options.url}. Start the server with: huiliu serve")
            return "unreachable"
        responses = [answer for answer in answers if isinstance(answer, httpx.Response)]
        taken = [response for response in responses if response.is_success]
        refused = [response for response in responses if 400 <= response.status_code < 500]
        if len(answers) > 1:
            self._say(f"  sent {len(answers)} times at once: {len(taken)} acknowledged")
        if taken:
            return "taken"
        if refused:
            self._say(f"  refused: {reason(refused[0])}")
            return "refused"
        return None

    async def _look(self) -> int:
        """Waits for the first reply, then until nothing more comes."""
        count, patience = 0, self._options.wait_seconds
        while (seen := await next_shown(self._shown, patience)) is not None:
            if seen.user != self._options.user:
                self._say("  (a reply to another customer)")
                continue
            self._say_seen(seen)
            if seen.kind != "typing":
                count, patience = count + 1, self._options.quiet_seconds
        if not count:
            self._say(
                f"  No reply within {patience:.0f} s. Is a worker running, and is it free? A conversation that a"
            )
            self._say(
                "  person holds, or that waits for one, gets no reply from the bot: take another --user."
            )
        return DONE if count else NOT_ANSWERED

    def _say_seen(self, seen: Shown) -> None:
        if seen.kind == "typing":
            self._say("  … is typing")
            return
        self._say(f"  ← {seen.text}")
        if seen.url:
            self._say(f"    <{seen.url}>")
        for _, label in seen.choices:
            self._say(f"    [{label}]")


async def next_shown(shown: asyncio.Queue[S], patience: float) -> S | None:
    try:
        return await asyncio.wait_for(shown.get(), patience)
    except TimeoutError:
        return None


def reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return f"{response.status_code} {error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return str(response.status_code)


def bind(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOCAL[0], port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to the command, so that Ctrl-C ends it at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    server = _Server(uvicorn.Config(app, log_level="error", lifespan="off", access_log=False))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running
        listener.close()
