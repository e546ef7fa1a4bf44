"""Runs what lies on the bus: takes turns, calls their handlers, finishes, retries or buries; and sends the replies.

Started by the HTTP process and by `huiliu work`, over either bus. The policy for failures stands here and nowhere
else: what is temporary or unknown is tried again after a growing pause, what is permanent is buried at once, and the
caller's `on_buried` says what follows (a person takes over). It is one of the four places that catch everything.

The surprise: a handler may run twice for one entry (its process died, its lease ended); only one of them commits.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from foundation import errors
from foundation.bus.contract import Bus, Entry, Outcome, Outgoing, Turn
from foundation.events import ReplyFailed
from foundation.security import random_token
from foundation.telemetry import Metrics

log = structlog.get_logger(__name__)

Handler = Callable[[Any, Turn], Awaitable[Outcome]]
"""Any: each handler names the one event it hears, and `handlers` pairs them."""

IDLE_SECONDS = 0.5
TROUBLE_SECONDS = 1.0
ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Pace:
    """`slots`: turns at once, and as many sends. `reply_attempts`: of temporary refusals, about a quarter of an hour,
    so that replies outlive a channel's outage; everything else gets `attempts`."""

    slots: int = 16
    attempts: int = 5
    reply_attempts: int = 30
    backoff_seconds: float = 0.5
    backoff_cap_seconds: float = 60.0
    turn_seconds: float = 120.0

    def pause_seconds(self, attempt: int, error: BaseException) -> float:
        """Exponential with full jitter, and never before the moment the other side named. Our own pacing is no trouble: it
        names the very moment."""
        if isinstance(error, errors.Overloaded) and error.retry_after_seconds is not None:
            return error.retry_after_seconds
        ceiling = min(self.backoff_cap_seconds, self.backoff_seconds * 2 ** min(attempt, 30))
        named = error.retry_after_seconds if isinstance(error, errors.ServiceError) else None
        return max(random.uniform(0, ceiling), named or 0.0)  # noqa: S311  # spreads retries; no secret


@dataclass(slots=True, eq=False)
class _Running:
    turn: Turn
    task: asyncio.Task[None] = field(init=False)
    settling: bool = False
    """Its commit is under way, so a lost lease is no longer news."""


class Worker:
    def __init__(
        self,
        bus: Bus,
        handlers: Mapping[str, Handler],
        *,
        deliver: Callable[[Outgoing], Awaitable[str]],
        on_buried: Callable[[Turn], Outcome],
        metrics: Metrics,
        pace: Pace = Pace(),
    ) -> None:
        """`deliver` returns the provider's id, "" where there is none."""
        self._bus = bus
        self._handlers = handlers
        self._deliver = deliver
        self._on_buried = on_buried
        self._metrics = metrics
        self._pace = pace
        self._send_seconds = bus.lease_seconds * 0.6  # a send that outlives its lease would be sent by two
        self._turns: set[_Running] = set()
        self._sends: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._idle: asyncio.Future[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._heart: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._loop = asyncio.create_task(self._run())
        self._heart = asyncio.create_task(self._beat())

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Takes nothing new; what runs may finish within the grace, the rest goes back to the bus at once."""
        if self._loop is None or self._heart is None:
            return
        self._stopping.set()
        if self._idle is not None:
            self._idle.cancel()
        await asyncio.wait({self._loop}, timeout=max(grace_seconds, TROUBLE_SECONDS))
        unfinished = {running.task for running in self._turns} | self._sends
        if unfinished:
            await asyncio.wait(unfinished, timeout=grace_seconds)
        await self._give_back()
        self._heart.cancel()
        self._loop.cancel()
        await asyncio.gather(self._heart, self._loop, return_exceptions=True)
        self._loop = self._heart = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                took = sum(await asyncio.gather(self._take_turns(), self._take_replies()))
            except Exception:  # the fence: the loop outlives every trouble of the bus
                log.exception("the bus gives no work")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), TROUBLE_SECONDS)
                continue
            if not took and not self._stopping.is_set():
                self._idle = asyncio.ensure_future(self._bus.changed(IDLE_SECONDS))
                await asyncio.wait({self._idle})

    async def _take_turns(self) -> int:
        free = self._pace.slots - len(self._turns)
        turns = await self._bus.take(free) if free > 0 else []
        for turn in turns:
            running = _Running(turn)
            running.task = asyncio.create_task(self._work(running))
            self._turns.add(running)
        return len(turns)

    async def _take_replies(self) -> int:
        free = self._pace.slots - len(self._sends)
        replies = await self._bus.take_replies(free) if free > 0 else []
        for reply in replies:
            task = asyncio.create_task(self._send(reply))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)
        return len(replies)

    async def _beat(self) -> None:
        """Renews leases; a turn that is lost belongs to somebody else, so its handler stops."""
        while True:
            await asyncio.sleep(self._bus.lease_seconds / 3)
            held = list(self._turns)
            try:
                lost = await self._bus.extend([running.turn for running in held]) if held else set()
            except Exception:  # the fence: the next beat may succeed before the leases end
                log.exception("leases were not renewed")
                continue
            for running in held:
                if running.turn.entry.lane in lost and not running.settling and running.task.cancel():
                    log.warning("a turn was lost", lane=running.turn.entry.lane, seq=running.turn.seq)
                    self._count(running.turn, "lost")

    async def _work(self, running: _Running) -> None:
        turn = running.turn
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(
            trace=turn.entry.trace, tenant=turn.entry.tenant, lane=turn.entry.lane
        )
        try:
            self._count(turn, await self._attempt(running))
        finally:
            self._turns.discard(running)
        self._metrics.turn_seconds.labels(turn.entry.event.name).observe(time.perf_counter() - started)

    async def _attempt(self, running: _Running) -> str:
        turn = running.turn
        try:
            if turn.attempt > self._pace.attempts:
                raise errors.UpstreamRefused("Every process that worked on this died over it.", code="deadly")
            handler = self._handlers.get(turn.entry.event.name)
            if handler is None:
                raise errors.NotFound(f"Nobody hears {turn.entry.event.name}.", code="no_handler")
            async with asyncio.timeout(self._pace.turn_seconds):
                outcome = await handler(turn.entry.event, turn)
            running.settling = True
            return "done" if await self._bus.finish(turn, outcome) else "lost"
        except Exception as error:  # the fence: the policy decides
            running.settling = True
            return await self._failed(turn, error)

    async def _failed(self, turn: Turn, error: Exception) -> str:
        final = turn.attempt >= self._pace.attempts or _is_permanent(error)
        _report("a turn failed", error, attempt=turn.attempt, event_name=turn.entry.event.name, final=final)
        try:
            if final:
                return "buried" if await self._bury(turn, _describe(error)) else "lost"
            pause = self._pace.pause_seconds(turn.attempt, error)
            return "retried" if await self._bus.retry(turn, pause, _describe(error)) else "lost"
        except Exception:  # the fence: the lease will end, and the turn is taken again
            log.exception("a failed turn could not be settled")
            return "unsettled"

    async def _bury(self, turn: Turn, error: str) -> bool:
        try:
            return await self._bus.bury(turn, error, self._on_buried(turn))
        except Exception:  # the fence: better buried alone than tried for ever
            log.exception("a turn is buried without what should follow")
            return await self._bus.bury(turn, error)

    async def _send(self, outgoing: Outgoing) -> None:
        structlog.contextvars.bind_contextvars(trace=outgoing.trace, lane=outgoing.lane)
        try:
            async with asyncio.timeout(self._send_seconds):
                provider_id = await self._deliver(outgoing)
        except Exception as error:  # the fence: the policy decides
            result = await self._refused(outgoing, error)
        else:
            result = await self._delivered(outgoing, provider_id)
        self._metrics.replies.labels(outgoing.message.channel, result).inc()

    async def _delivered(self, outgoing: Outgoing, provider_id: str) -> str:
        try:
            await self._bus.sent(outgoing, provider_id)
        except Exception:  # the fence: it will be sent again, with the same key
            log.exception("a sent reply could not be marked")
            return "unsettled"
        return "sent"

    async def _refused(self, outgoing: Outgoing, error: Exception) -> str:
        attempts = self._pace.reply_attempts if errors.is_temporary(error) else self._pace.attempts
        used_up = outgoing.attempt >= attempts and not isinstance(error, errors.Overloaded)
        final = used_up or _is_permanent(error)
        _report("a reply was not sent", error, attempt=outgoing.attempt, final=final)
        try:
            if final:
                await self._bus.bury_reply(outgoing, _describe(error), [_failure(outgoing, error)])
                return "buried"
            pause = self._pace.pause_seconds(outgoing.attempt, error)
            await self._bus.retry_reply(outgoing, pause, _describe(error))
        except Exception:  # the fence: the lease will end, and the reply is sent again
            log.exception("a refused reply could not be settled")
            return "unsettled"
        return "retried"

    async def _give_back(self) -> None:
        left = [running for running in self._turns if not running.settling]
        tasks = [running.task for running in left] + list(self._sends)
        for task in tasks:
            task.cancel()
        settling = [running.task for running in self._turns if running.settling]
        await asyncio.gather(*tasks, *settling, return_exceptions=True)
        for running in left:
            with suppress(errors.ServiceError):  # the bus is gone too; the lease will end
                await self._bus.release(running.turn)

    def _count(self, turn: Turn, result: str) -> None:
        self._metrics.turns.labels(turn.entry.event.name, result).inc()


def _is_permanent(error: Exception) -> bool:
    """Errors outside our tree are unknown, and unknown ones are tried again."""
    return isinstance(error, errors.ServiceError) and not errors.is_temporary(error)


def _report(what: str, error: Exception, **facts: object) -> None:
    """Named errors are a line; unknown ones are bugs and bring their traceback."""
    if isinstance(error, errors.ServiceError) or errors.is_temporary(error):
        log.warning(what, error=type(error).__name__, code=getattr(error, "code", ""), **facts)
    else:
        log.error(what, exc_info=error, **facts)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]


def _failure(outgoing: Outgoing, error: Exception) -> Entry:
    message = outgoing.message
    event = ReplyFailed(
        tenant=message.tenant,
        conversation_id=message.conversation_id,
        message_id=message.message_id,
        code=error.code if isinstance(error, errors.ServiceError) else "internal",
    )
    # The key is new each time, because a redriven reply may fail again and the desk must hear of it again.
    key = f"{outgoing.idempotency_key}/{random_token(6)}"
    return Entry(message.tenant, "worker", key, outgoing.lane, event)
