"""The router against a provider that fails in every way: who is asked, how often, what is raised, what it costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
from pydantic import BaseModel, SecretStr

from foundation import errors
from foundation.language_models.contract import Line
from foundation.language_models.litellm_router import ATTEMPTS, LitellmRouter
from foundation.language_models.spending import Budget
from foundation.settings import ModelChoice
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.fakes import model_server
from tests.fakes.model_server import ModelServer

SECRET = "my-secret-phone-13912345678"
LINES = (Line("user", f"Where is my parcel? {SECRET}"),)
PROMPT = "agent/compose@2#f00d"
Make = Callable[..., LitellmRouter]


@pytest.fixture(scope="module")
def running_provider() -> Iterator[ModelServer]:
    with model_server.running() as server:
        yield server


@pytest.fixture
def provider(running_provider: ModelServer) -> ModelServer:
    running_provider.requests.clear()
    running_provider.closed_streams.clear()
    running_provider.stream_left.clear()
    return running_provider


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(provider: ModelServer, clock: StandingClock, metrics: Metrics) -> Make:
    def made(*names: str, budget: float = 0.0, price: float = 0.0, timeout: float = 5.0) -> LitellmRouter:
        choices = [
            ModelChoice(
                model=f"openai/{name}",
                api_key=SecretStr("k"),
                base_url=model_server.unused_address() if name == "absent" else provider.url,
                timeout_seconds=0.3 if name in ("hang", "silence") else timeout,
                input_price=price,
                output_price=price,
            )
            for name in names
        ]
        return LitellmRouter(
            choices, budget=Budget(budget, clock), clock=clock, metrics=metrics, idle_seconds=0.3
        )

    return made


async def drain(pieces: AsyncIterator[str]) -> tuple[list[str], errors.ServiceError | None]:
    got = []
    try:
        async for piece in pieces:
            got.append(piece)
    except errors.ServiceError as error:
        return got, error
    return got, None


@pytest.mark.parametrize(
    "first", ["500", "429", "401", "404", "too_long", "hang", "rubbish", "no_choices", "absent"]
)
async def test_next_model_answers_when_the_first_fails(make: Make, first: str) -> None:
    completion = await make(first, "ok").complete(LINES, prompt=PROMPT)
    assert completion.text == model_server.ANSWER
    assert completion.usage.model == "openai/ok"


@pytest.mark.parametrize(
    "first", ["500", "429", "401", "404", "too_long", "hang", "silence", "rubbish", "empty", "absent"]
)
async def test_next_model_streams_when_the_first_fails_before_a_piece(make: Make, first: str) -> None:
    pieces, error = await drain(make(first, "ok").stream(LINES, prompt=PROMPT))
    assert (tuple(pieces), error) == (model_server.PIECES, None)


@pytest.mark.parametrize(
    ("mode", "kind", "code"),
    [
        ("500", errors.UpstreamUnavailable, "models_unavailable"),
        ("429", errors.UpstreamUnavailable, "models_unavailable"),
        ("hang", errors.UpstreamUnavailable, "models_unavailable"),
        ("absent", errors.UpstreamUnavailable, "models_unavailable"),
        ("rubbish", errors.UpstreamUnavailable, "models_unavailable"),
        ("401", errors.UpstreamRefused, "model_refused_key"),
        ("too_long", errors.UpstreamRefused, "model_context"),
        ("404", errors.UpstreamRefused, "model_refused"),
    ],
)
async def test_error_is_translated_when_no_model_answers(
    make: Make, mode: str, kind: type[errors.ServiceError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        await make(mode).complete(LINES, prompt=PROMPT)
    assert caught.value.code == code
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", ["turns_rubbish", "cut", "stalls"])
async def test_failure_is_raised_after_what_came_when_a_stream_breaks(make: Make, mode: str) -> None:
    pieces, error = await drain(make(mode, "ok").stream(LINES, prompt=PROMPT))
    assert tuple(pieces) == model_server.PIECES[:2]
    assert isinstance(error, errors.UpstreamUnavailable)


async def test_stream_is_given_up_when_it_never_ends(make: Make, provider: ModelServer) -> None:
    pieces, error = await drain(make("endless").stream(LINES, prompt=PROMPT, max_tokens=50))
    assert len(pieces) == 51
    assert isinstance(error, errors.UpstreamUnavailable)
    assert await asyncio.to_thread(provider.stream_left.wait, 10)


@pytest.mark.parametrize("mode", ["500", "absent"])
async def test_retries_do_not_stack_when_a_model_hiccups(
    make: Make, provider: ModelServer, mode: str
) -> None:
    router = make("500", "ok")
    await router.complete(LINES, prompt=PROMPT)
    assert provider.asked("500") == ATTEMPTS


@pytest.mark.parametrize("mode", ["429", "401", "404", "too_long", "hang"])
async def test_model_is_asked_once_when_repeating_cannot_help(
    make: Make, provider: ModelServer, mode: str
) -> None:
    await make(mode, "ok").complete(LINES, prompt=PROMPT)
    assert provider.asked(mode) == 1


async def test_answer_comes_from_the_same_model_when_it_fails_once(make: Make, provider: ModelServer) -> None:
    completion = await make("fails_once", "ok").complete(LINES, prompt=PROMPT)
    assert completion.usage.model == "openai/fails_once"
    assert provider.asked("ok") == 0


async def test_model_is_left_out_for_a_while_when_it_failed_twice(
    make: Make, provider: ModelServer, clock: StandingClock
) -> None:
    router = make("500", "ok")
    for _ in range(5):
        await router.complete(LINES, prompt=PROMPT)
    assert provider.asked("500") == 2 * ATTEMPTS
    clock.move(seconds=31)
    await router.complete(LINES, prompt=PROMPT)
    assert provider.asked("500") == 3 * ATTEMPTS


async def test_model_is_left_out_as_long_as_asked_when_it_is_busy(
    make: Make, provider: ModelServer, clock: StandingClock
) -> None:
    router = make("429")
    with pytest.raises(errors.UpstreamUnavailable) as caught:
        await router.complete(LINES, prompt=PROMPT)
    assert caught.value.retry_after_seconds == 7
    clock.move(seconds=6)
    with pytest.raises(errors.UpstreamUnavailable):
        await router.complete(LINES, prompt=PROMPT)
    assert provider.asked("429") == 1
    clock.move(seconds=2)
    with pytest.raises(errors.UpstreamUnavailable):
        await router.complete(LINES, prompt=PROMPT)
    assert provider.asked("429") == 2


async def test_wrong_key_stays_refused_without_asking_when_it_was_refused(
    make: Make, provider: ModelServer, clock: StandingClock
) -> None:
    router = make("401")
    for _ in range(3):
        with pytest.raises(errors.UpstreamRefused) as caught:
            await router.complete(LINES, prompt=PROMPT)
        assert caught.value.code == "model_refused_key"
    assert provider.asked("401") == 1


async def test_cost_follows_the_configured_prices_when_a_model_answers(make: Make) -> None:
    completion = await make("ok", price=0.01).complete(LINES, prompt=PROMPT)
    tokens = model_server.INPUT_TOKENS + model_server.OUTPUT_TOKENS
    assert completion.usage.cost == pytest.approx(tokens * 0.01)


async def test_budget_is_never_exceeded_when_calls_come_at_once(make: Make, provider: ModelServer) -> None:
    router = make("ok", price=0.01, budget=5.0, timeout=10)
    done = await asyncio.gather(
        *(router.complete(LINES, prompt=PROMPT, max_tokens=100) for _ in range(40)), return_exceptions=True
    )
    refused = [error for error in done if isinstance(error, errors.Exhausted)]
    spent = sum(item.usage.cost for item in done if not isinstance(item, BaseException))
    assert refused
    assert spent <= 5.0
    assert len(refused) + provider.asked("ok") == 40


async def test_calls_go_through_again_when_the_next_day_comes(make: Make, clock: StandingClock) -> None:
    router = make("ok", price=0.01, budget=2.0)
    await router.complete(LINES, prompt=PROMPT, max_tokens=100)
    with pytest.raises(errors.Exhausted) as caught:
        await router.complete(LINES, prompt=PROMPT, max_tokens=199)
    assert caught.value.retry_after_seconds == 15 * 3600
    clock.move(hours=15)
    assert (await router.complete(LINES, prompt=PROMPT, max_tokens=100)).text


async def test_stream_is_paid_when_it_was_left_in_the_middle(make: Make, provider: ModelServer) -> None:
    router = make("ok", price=0.01, budget=2.0)
    pieces = router.stream(LINES, prompt=PROMPT, max_tokens=100)
    assert await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert 0 < router._budget.spent < 1.0


async def test_connection_is_closed_when_a_call_is_cancelled(make: Make, provider: ModelServer) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async for _piece in make("stalls").stream(LINES, prompt=PROMPT):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(provider.stream_left.wait, 10)


async def test_faults_go_back_to_the_model_when_its_form_is_wrong(make: Make, provider: ModelServer) -> None:
    class Trip(BaseModel):
        city: str
        nights: int

    trip, usage = await make("wrong_then_right", price=1).extract(LINES, prompt=PROMPT, form=Trip)
    assert trip.nights == 3
    assert usage.cost == 2 * (model_server.INPUT_TOKENS + model_server.OUTPUT_TOKENS)
    repair = provider.requests[-1]["messages"]
    assert [line["role"] for line in repair] == ["user", "assistant", "user"]
    assert "nights" in repair[-1]["content"]
    assert provider.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["city", "nights"]


async def test_log_names_prompt_model_and_cost_but_no_text_when_a_model_is_asked(
    make: Make, caplog: pytest.LogCaptureFixture, metrics: Metrics
) -> None:
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.DEBUG):
        await make("rubbish", "ok", price=0.01).complete(LINES, prompt=PROMPT)
    assert [(entry["model"], entry["result"], entry["prompt"]) for entry in logs] == [
        ("openai/rubbish", "model_failed", PROMPT),
        ("openai/ok", "ok", PROMPT),
    ]
    assert logs[-1]["cost"] == 0.25
    assert SECRET not in str(logs)
    assert (
        metrics.registry.get_sample_value("huiliu_model_calls_total", {"model": "openai/ok", "result": "ok"})
        == 1
    )


def test_start_is_refused_when_no_model_is_named(clock: StandingClock, metrics: Metrics) -> None:
    with pytest.raises(errors.ConfigurationError):
        LitellmRouter([], budget=Budget(0, clock), clock=clock, metrics=metrics)
