"""Ears and eyes over the wire: what a provider gets, what comes back, what it costs, how it fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from foundation import errors, settings
from foundation.language_models.contract import Line, Picture, Recording
from foundation.language_models.litellm_router import LitellmRouter
from foundation.language_models.litellm_speech import LitellmSpeech
from foundation.language_models.spending import PICTURE_TOKENS, Budget
from foundation.settings import ModelChoice
from foundation.telemetry import Metrics
from tests.conftest import StandingClock
from tests.fakes import model_server
from tests.fakes.model_server import INPUT_TOKENS, OUTPUT_TOKENS, ModelServer

VOICE = Recording("OggS|运费是多少".encode(), "audio/ogg", "voice.ogg")
PICTURE = Picture(b"\x89PNG\r\n\x1a\n" + b"p" * 100, "image/png")


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with model_server.running() as server:
        yield server


def choice(provider: ModelServer, name: str, price: float = 0.0) -> ModelChoice:
    return ModelChoice(
        model=f"openai/{name}", api_key=SecretStr("k"), base_url=provider.url, timeout_seconds=0.3 if name == "hang" else 5,
        input_price=price, output_price=price,
    )  # fmt: skip


def ears(
    provider: ModelServer, clock: StandingClock, name: str = "ears", *, price: float = 0.0, budget: Budget | None = None
) -> LitellmSpeech:  # fmt: skip
    return LitellmSpeech(
        choice(provider, name, price), budget=budget or Budget(0, clock), clock=clock, metrics=Metrics()
    )


async def test_recording_is_sent_as_a_file_and_its_words_come_back(
    provider: ModelServer, clock: StandingClock
) -> None:
    budget = Budget(0, clock)
    heard = await ears(provider, clock, price=1.0, budget=budget).transcribe(VOICE)
    assert heard.text == "运费是多少"
    assert (heard.usage.input_tokens, heard.usage.output_tokens, heard.usage.cost) == (14, 4, 18.0)
    assert budget.spent == 18.0
    assert (provider.requests[-1]["file"], provider.requests[-1]["content"]) == ("voice.ogg", VOICE.content)


async def test_service_that_counts_seconds_is_paid_by_the_second(
    provider: ModelServer, clock: StandingClock
) -> None:
    heard = await ears(provider, clock, "seconds", price=0.5).transcribe(VOICE)
    assert (heard.usage.input_tokens, heard.usage.cost) == (7, 3.5)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("500", errors.UpstreamUnavailable, "model_failed"),
        ("429", errors.UpstreamUnavailable, "model_busy"),
        ("401", errors.UpstreamRefused, "model_refused_key"),
        ("hang", errors.UpstreamUnavailable, "model_timeout"),
    ],
)
async def test_failures_of_the_service_are_named_and_cost_nothing(
    provider: ModelServer, clock: StandingClock, name: str, kind: type[errors.ServiceError], code: str
) -> None:
    budget = Budget(0, clock)
    with pytest.raises(kind) as failure:
        await ears(provider, clock, name, price=1.0, budget=budget).transcribe(VOICE)
    assert (failure.value.code, budget.spent) == (code, 0.0)


async def test_service_that_is_busy_is_left_alone_for_as_long_as_it_says(
    provider: ModelServer, clock: StandingClock
) -> None:
    service = ears(provider, clock, "429")
    before = provider.asked("429")
    for _ in range(3):
        with pytest.raises(errors.UpstreamUnavailable):
            await service.transcribe(VOICE)
    assert provider.asked("429") == before + 1
    clock.move(seconds=8)
    with pytest.raises(errors.UpstreamUnavailable):
        await service.transcribe(VOICE)
    assert provider.asked("429") == before + 2


async def test_format_that_the_service_does_not_take_is_refused(
    provider: ModelServer, clock: StandingClock
) -> None:
    with pytest.raises(errors.UpstreamRefused) as refused:
        await ears(provider, clock).transcribe(Recording(b"#!AMR|x", "audio/amr", "voice.amr"))
    assert refused.value.code == "model_refused"


async def test_ears_and_eyes_spend_from_one_budget(provider: ModelServer, clock: StandingClock) -> None:
    budget = Budget(20.0, clock)
    await ears(provider, clock, price=1.0, budget=budget).transcribe(VOICE)
    eyes = LitellmRouter([choice(provider, "eyes", 1.0)], budget=budget, clock=clock, metrics=Metrics())
    with pytest.raises(errors.Exhausted):
        await eyes.complete([Line("user", "", picture=PICTURE)], prompt="p")


async def test_picture_is_shown_as_a_data_url(provider: ModelServer, clock: StandingClock) -> None:
    budget = Budget(2.0 * PICTURE_TOKENS, clock)
    eyes = LitellmRouter([choice(provider, "eyes", 1.0)], budget=budget, clock=clock, metrics=Metrics())
    lines = [Line("system", "Say what it shows."), Line("user", "", picture=PICTURE)]
    seen = await eyes.complete(lines, prompt="p", max_tokens=50)
    assert seen.text == f"A picture of {len(PICTURE.content)} bytes."
    assert budget.spent == INPUT_TOKENS + OUTPUT_TOKENS
    assert provider.requests[-1]["messages"][0] == {"role": "system", "content": "Say what it shows."}


def test_bare_name_takes_key_and_address_of_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    models = '[{"model": "openai/gpt", "api_key": "k1", "base_url": "https://m.example/v1"}]'
    monkeypatch.setenv("HUILIU_MODELS", models)
    monkeypatch.setenv("HUILIU_SPEECH_MODEL", "openai/whisper-1")
    monkeypatch.setenv("HUILIU_VISION_MODEL", '{"model": "ollama/llava", "timeout_seconds": 30}')
    loaded = settings.load()
    speech, vision = loaded.speech_model, loaded.vision_model
    assert speech is not None
    assert vision is not None
    assert (speech.model, speech.api_key.get_secret_value(), speech.base_url) == (
        "openai/whisper-1", "k1", "https://m.example/v1",
    )  # fmt: skip
    assert (vision.model, vision.base_url, vision.timeout_seconds) == ("ollama/llava", "", 30)
    monkeypatch.setenv("HUILIU_SPEECH_MODEL", "")
    monkeypatch.setenv("HUILIU_VISION_MODEL", "{broken")
    with pytest.raises(errors.ConfigurationError, match="HUILIU_VISION_MODEL"):
        settings.load()
    monkeypatch.delenv("HUILIU_VISION_MODEL")
    assert (settings.load().speech_model, settings.load().vision_model) == (None, None)
