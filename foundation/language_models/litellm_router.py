"""The language model of a deployment: the configured ladder behind the contract, over any provider litellm knows.

Made by the wiring when models are configured. A call asks the models in order until one answers: a hiccup is tried
once more, everything else moves on at once, because a customer is waiting. A stream may change the model until
its first piece; afterwards a failure is raised, since half an answer of one model does not continue another's.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from pydantic import BaseModel
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from foundation import errors
from foundation.clock import Clock
from foundation.language_models import spending, structured
from foundation.language_models.contract import Completion, Line, Usage
from foundation.language_models.ladder import Ladder, Rung, verdict
from foundation.language_models.litellm_connection import Answer, Connection, Stream
from foundation.settings import ModelChoice
from foundation.telemetry import Metrics

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

ATTEMPTS = 2
EXTRACT_TOKENS = 400
IDLE_SECONDS = 10.0
"""The longest pause inside a stream."""
STREAM_SECONDS = 120.0
"""The longest stream: one that drips is given up even if it never pauses."""

log = structlog.get_logger(__name__)


class LitellmRouter:
    """`budget` is shared with whoever else spends on models."""

    def __init__(
        self,
        models: Sequence[ModelChoice],
        *,
        budget: spending.Budget,
        clock: Clock,
        metrics: Metrics,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._ladder = Ladder(models, clock)
        self._connection = Connection(self._ladder.rungs)
        self._budget = budget
        self._metrics = metrics
        self._idle_seconds = idle_seconds

    @property
    def name(self) -> str:
        return self._ladder.rungs[0].choice.model

    async def complete(self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600) -> Completion:
        answer = await self._ask(lines, prompt=prompt, max_tokens=max_tokens)
        return Completion(answer.text, answer.usage)

    async def extract(self, lines: Sequence[Line], *, prompt: str, form: type[M]) -> tuple[M, Usage]:
        first = await self._ask(lines, prompt=prompt, max_tokens=EXTRACT_TOKENS, form=form)
        try:
            return structured.parse(first.text, form), first.usage
        except structured.NotTheForm as fault:
            repair = structured.with_repair(lines, first.text, fault.faults)
        second = await self._ask(repair, prompt=prompt, max_tokens=EXTRACT_TOKENS, form=form)
        try:
            return structured.parse(second.text, form), _sum(first.usage, second.usage)
        except structured.NotTheForm as fault:
            raise structured.refused() from fault

    async def stream(
        self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600
    ) -> AsyncIterator[str]:
        async def start(rung: Rung) -> tuple[Stream, str]:
            stream = await self._connection.open(rung, lines, max_tokens=max_tokens)
            return stream, await self._first_piece(stream, rung)

        rung, reserve, (stream, piece) = await self._climb(lines, prompt, max_tokens, start)
        result, pieces = "left", 0
        end = time.monotonic() + STREAM_SECONDS
        try:
            while piece:
                yield piece
                pieces += 1
                if pieces > max_tokens:
                    raise errors.UpstreamUnavailable(
                        "The language model does not stop.", code="model_endless"
                    )
                piece = await stream.next_piece(min(self._idle_seconds, end - time.monotonic()))
            result = "ok"
            self._ladder.worked(rung)
        except errors.UpstreamError as failure:
            result = failure.code
            self._ladder.failed(rung, failure)
            raise
        finally:
            await stream.close()
            reserve.settle(stream.usage.cost)
            self._note(prompt, stream.usage, result)

    async def _ask(
        self, lines: Sequence[Line], *, prompt: str, max_tokens: int, form: type[BaseModel] | None = None
    ) -> Answer:
        wanted = None if form is None else structured.response_format(form)

        async def ask(rung: Rung) -> Answer:
            return await self._connection.ask(rung, lines, max_tokens=max_tokens, response_format=wanted)

        rung, reserve, answer = await self._climb(lines, prompt, max_tokens, ask)
        reserve.settle(answer.usage.cost)
        self._ladder.worked(rung)
        self._note(prompt, answer.usage, "ok")
        return answer

    async def _climb(
        self, lines: Sequence[Line], prompt: str, max_tokens: int, attempt: Callable[[Rung], Awaitable[T]]
    ) -> tuple[Rung, spending.Reserve, T]:
        """The first model that answers, with the money set aside for it. Raises what the whole ladder means."""
        failures: list[errors.UpstreamError] = []
        over_budget: errors.Exhausted | None = None
        for rung in self._ladder.rungs:
            if self._ladder.is_out(rung):
                assert rung.last_failure is not None
                failures.append(rung.last_failure)
                continue
            try:
                reserve = self._budget.set_aside(spending.most(rung.choice, lines, max_tokens))
            except errors.Exhausted as exhausted:
                over_budget = exhausted
                continue
            try:
                return rung, reserve, await _with_a_second_try(attempt, rung)
            except errors.UpstreamError as failure:
                reserve.settle(0.0)
                failures.append(failure)
                self._ladder.failed(rung, failure)
                self._note(prompt, Usage(rung.choice.model, 0, 0, 0.0), failure.code)
            except BaseException:
                reserve.settle(0.0)
                raise
        raise verdict(failures, over_budget, retry_after_seconds=self._ladder.seconds_until_next())

    async def _first_piece(self, stream: Stream, rung: Rung) -> str:
        try:
            piece = await stream.next_piece(rung.choice.timeout_seconds)
        except BaseException:
            await stream.close()
            raise
        if not piece:
            await stream.close()
            raise errors.UpstreamUnavailable("The language model gave an empty answer.", code="model_silent")
        return piece

    def _note(self, prompt: str, usage: Usage, result: str) -> None:
        """Never a text of the conversation. Keys with "token" in them are hidden by the log, hence read and written."""
        self._metrics.model_calls.labels(usage.model, result).inc()
        log.info(
            "model_call",
            prompt=prompt,
            model=usage.model,
            read=usage.input_tokens,
            written=usage.output_tokens,
            cost=round(usage.cost, 6),
            result=result,
        )


async def _with_a_second_try(attempt: Callable[[Rung], Awaitable[T]], rung: Rung) -> T:
    async for retry in AsyncRetrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.05, max=0.4),
        retry=retry_if_exception(_is_hiccup),
        reraise=True,
    ):
        with retry:
            return await attempt(rung)
    raise AssertionError("tenacity re-raises the last failure")


def _is_hiccup(error: BaseException) -> bool:
    """A slow or busy model is not asked again: that would double the wait or the load."""
    return isinstance(error, errors.UpstreamUnavailable) and error.code == "model_failed"


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(
        second.model,
        first.input_tokens + second.input_tokens,
        first.output_tokens + second.output_tokens,
        first.cost + second.cost,
    )
