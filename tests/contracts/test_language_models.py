"""What every language model promises, over a scripted one, the router on a fake provider, and a real small model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest
from pydantic import BaseModel, SecretStr

from foundation import errors
from foundation.clock import utc_now
from foundation.language_models.contract import LanguageModel, Line
from foundation.language_models.litellm_router import LitellmRouter
from foundation.language_models.scripted import ScriptedModel
from foundation.language_models.spending import Budget
from foundation.settings import ModelChoice
from foundation.telemetry import Metrics
from tests.fakes import model_server, real_model_server

LINES = (Line("system", "Answer in one short sentence."), Line("user", "Where is my parcel?"))
PROMPT = "agent/compose@1#abc"


class Trip(BaseModel):
    city: str
    nights: int


Make = Callable[[str], LanguageModel]
"""A model that behaves as told: ok, wrong_then_right, always_wrong, down, cut."""


@pytest.fixture(scope="module")
def provider() -> Iterator[model_server.ModelServer]:
    with model_server.running() as server:
        yield server


def _router(provider: model_server.ModelServer) -> Make:
    names = {"down": "500"}

    def make(behaviour: str) -> LanguageModel:
        provider.requests.clear()
        choice = ModelChoice(
            model=f"openai/{names.get(behaviour, behaviour)}",
            api_key=SecretStr("k"),
            base_url=provider.url,
            timeout_seconds=5,
        )
        return LitellmRouter([choice], budget=Budget(0, utc_now), clock=utc_now, metrics=Metrics())

    return make


def _scripted() -> Make:
    right, wrong = Trip.model_validate(model_server.RIGHT).model_dump_json(), '{"city": "Hangzhou"}'
    scripts: dict[str, list[str | errors.ServiceError]] = {
        "ok": [right],
        "wrong_then_right": [wrong, right],
        "always_wrong": [wrong, wrong],
        "down": [errors.UpstreamUnavailable("down")],
    }
    return lambda behaviour: ScriptedModel(scripts[behaviour])


@pytest.fixture(params=["scripted", "router"])
def make(request: pytest.FixtureRequest, provider: model_server.ModelServer) -> Make:
    return _scripted() if request.param == "scripted" else _router(provider)


async def test_text_and_usage_come_back_when_a_model_answers(make: Make) -> None:
    model = make("ok")
    completion = await model.complete(LINES, prompt=PROMPT)
    assert completion.text.strip()
    assert completion.usage.model == model.name
    assert completion.usage.input_tokens > 0
    assert completion.usage.output_tokens > 0


async def test_form_is_filled_when_structured_output_is_asked(make: Make) -> None:
    trip, _usage = await make("ok").extract(LINES, prompt=PROMPT, form=Trip)
    assert trip == Trip(city="Hangzhou", nights=3)


async def test_form_is_repaired_once_when_first_output_is_wrong(make: Make) -> None:
    trip, _usage = await make("wrong_then_right").extract(LINES, prompt=PROMPT, form=Trip)
    assert trip.nights == 3


async def test_output_is_refused_when_repair_is_wrong_too(make: Make) -> None:
    with pytest.raises(errors.UpstreamRefused) as caught:
        await make("always_wrong").extract(LINES, prompt=PROMPT, form=Trip)
    assert caught.value.code == "model_output_invalid"


async def test_pieces_join_to_the_whole_when_streamed(make: Make) -> None:
    pieces = [piece async for piece in make("ok").stream(LINES, prompt=PROMPT)]
    assert len(pieces) > 1
    assert all(pieces)
    whole = "".join(pieces)
    assert whole in (model_server.ANSWER, Trip.model_validate(model_server.RIGHT).model_dump_json())


async def test_unavailable_is_raised_when_no_model_answers(make: Make) -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await make("down").complete(LINES, prompt=PROMPT)
    with pytest.raises(errors.UpstreamUnavailable):
        await make("down").extract(LINES, prompt=PROMPT, form=Trip)
    with pytest.raises(errors.UpstreamUnavailable):
        await _drain(make("down").stream(LINES, prompt=PROMPT))


@pytest.fixture(scope="module")
def real_model() -> Iterator[LanguageModel]:
    if reason := real_model_server.missing():
        pytest.skip(reason)
    with real_model_server.running() as url:
        choice = ModelChoice(model=f"openai/{real_model_server.MODEL}", base_url=url, timeout_seconds=60)
        yield LitellmRouter([choice], budget=Budget(0, utc_now), clock=utc_now, metrics=Metrics())


async def test_real_model_writes_text_when_asked(real_model: LanguageModel) -> None:
    completion = await real_model.complete(LINES, prompt=PROMPT, max_tokens=24)
    assert completion.text.strip()
    assert 0 < completion.usage.output_tokens <= 24
    assert completion.usage.input_tokens > 5


async def test_real_model_streams_several_pieces_when_asked(real_model: LanguageModel) -> None:
    pieces = [piece async for piece in real_model.stream(LINES, prompt=PROMPT, max_tokens=24)]
    assert 2 < len(pieces) <= 24


async def test_real_model_fills_the_form_when_structured_output_is_asked(real_model: LanguageModel) -> None:
    lines = (Line("user", "A trip to Paris for two nights. Give city and nights."),)
    trip, usage = await real_model.extract(lines, prompt=PROMPT, form=Trip)
    assert trip.city
    assert usage.output_tokens > 0


async def test_real_model_answers_the_next_call_when_a_call_was_cancelled(real_model: LanguageModel) -> None:
    first = asyncio.Event()

    async def read_on() -> None:
        async for _piece in real_model.stream(LINES, prompt=PROMPT, max_tokens=600):
            first.set()

    reading = asyncio.create_task(read_on())
    waiting = asyncio.create_task(first.wait())
    await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert first.is_set(), reading
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await real_model.complete(LINES, prompt=PROMPT, max_tokens=8)).text


async def test_real_model_answers_the_next_call_when_a_stream_was_left(real_model: LanguageModel) -> None:
    async with aclosing(real_model.stream(LINES, prompt=PROMPT, max_tokens=600)) as pieces:  # type: ignore[type-var]  # ours are generators
        async for _piece in pieces:
            break
    assert (await real_model.complete(LINES, prompt=PROMPT, max_tokens=8)).text


async def _drain(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]
