"""The only file that touches litellm: one question to one model, whole or as a stream, in our words and errors.

`litellm_router` decides whom to ask. Litellm costs two seconds and 165 MB to import, so it is imported at the first
call. Everything that would happen twice is switched off in it: its own retries, those of the openai client inside it,
fallbacks, cool-downs. It must not log, because its error texts may quote what a customer wrote.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation import errors
from foundation.language_models import spending
from foundation.language_models.contract import Line, Recording, Usage
from foundation.language_models.ladder import BUSY, REFUSED_KEY, Rung
from foundation.settings import ModelChoice

NO_KEY = "none"
"""Local servers want no key, the client insists on one."""
_OURS = {"num_retries": 0, "max_retries": 0, "disable_fallbacks": True, "drop_params": True}


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    usage: Usage


class Stream:
    """Pieces that still have to come. `usage` is exact once the provider reported it at the end, else an estimate."""

    def __init__(self, choice: ModelChoice, lines: Sequence[Line], source: Any) -> None:
        self._choice = choice
        self._source = source
        self._input_tokens = sum(spending.estimated_tokens(line.text) for line in lines)
        self._output_tokens = 0

    async def next_piece(self, seconds: float) -> str:
        """Empty at the end. Raises the errors of `translated`; waits at most `seconds` for a piece with text."""
        import openai

        try:
            async with asyncio.timeout(seconds):
                async for chunk in self._source:
                    if piece := self._read(chunk):
                        return piece
                return ""
        except (TimeoutError, openai.OpenAIError, ValueError) as error:
            raise translated(error) from error

    async def close(self) -> None:
        await self._source.aclose()

    @property
    def usage(self) -> Usage:
        return _usage(self._choice, self._input_tokens, self._output_tokens)

    def _read(self, chunk: Any) -> str:
        usage = getattr(chunk, "usage", None)
        if usage is not None and usage.prompt_tokens:
            self._input_tokens, self._output_tokens = usage.prompt_tokens, usage.completion_tokens
        piece = str(chunk.choices[0].delta.content or "") if chunk.choices else ""
        self._output_tokens += spending.estimated_tokens(piece)
        return piece


class Connection:
    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = rungs
        self._router: Any = None

    async def ask(
        self, rung: Rung, lines: Sequence[Line], *, max_tokens: int, response_format: dict[str, Any] | None
    ) -> Answer:
        extra = {} if response_format is None else {"response_format": response_format}
        response = await self._call(rung, lines, max_tokens=max_tokens, **extra)
        text = str(response.choices[0].message.content or "") if response.choices else ""
        if not text.strip():
            raise errors.UpstreamUnavailable("The language model gave an empty answer.", code="model_silent")
        usage = getattr(response, "usage", None)
        read = usage.prompt_tokens if usage else sum(spending.estimated_tokens(line.text) for line in lines)
        written = usage.completion_tokens if usage else spending.estimated_tokens(text)
        return Answer(text, _usage(rung.choice, read, written))

    async def open(self, rung: Rung, lines: Sequence[Line], *, max_tokens: int) -> Stream:
        source = await self._call(
            rung, lines, max_tokens=max_tokens, stream=True, stream_options={"include_usage": True}
        )
        return Stream(rung.choice, lines, source)

    async def _call(self, rung: Rung, lines: Sequence[Line], **parameters: Any) -> Any:
        router = self._loaded()
        import openai

        messages = [{"role": line.role, "content": _content(line)} for line in lines]
        try:
            async with asyncio.timeout(rung.choice.timeout_seconds):
                return await router.acompletion(model=rung.place, messages=messages, **parameters, **_OURS)
        except (TimeoutError, openai.OpenAIError, ValueError) as error:
            raise translated(error) from error

    async def transcribe(self, rung: Rung, recording: Recording) -> Answer:
        """Silence is an answer, too."""
        router = self._loaded()
        import openai

        file = (recording.name, recording.content, recording.media_type)
        try:
            async with asyncio.timeout(rung.choice.timeout_seconds):
                response = await router.atranscription(model=rung.place, file=file, **_OURS)
        except (TimeoutError, openai.OpenAIError, ValueError) as error:
            raise translated(error) from error
        read, written = _heard(getattr(response, "usage", None))
        return Answer(str(response.text or "").strip(), _usage(rung.choice, read, written))

    def _loaded(self) -> Any:
        if self._router is None:
            import litellm
            from litellm.router import Router

            litellm.suppress_debug_info = True
            for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._router = Router(
                model_list=[_deployment(rung) for rung in self._rungs],
                num_retries=0,
                max_fallbacks=0,
                disable_cooldowns=True,
            )
        return self._router


def translated(error: Exception) -> errors.UpstreamError:
    """Every error of litellm's tree is one of openai's with a status; a refused connection arrives as a 500."""
    from litellm.exceptions import ContextWindowExceededError, Timeout

    if isinstance(error, TimeoutError | Timeout):
        return errors.UpstreamUnavailable("The language model is too slow.", code="model_timeout")
    if isinstance(error, ContextWindowExceededError):
        return errors.UpstreamRefused("The text is too long for the language model.", code="model_context")
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return errors.UpstreamRefused("The language model's key is not accepted.", code=REFUSED_KEY)
    if status == 429:
        return errors.UpstreamUnavailable(
            "The language model is busy.", code=BUSY, retry_after_seconds=_retry_after(error)
        )
    if isinstance(status, int) and 400 <= status < 500 and status != 408:
        return errors.UpstreamRefused("The language model refuses the request.", code="model_refused")
    return errors.UpstreamUnavailable("The language model failed.", code="model_failed")


def _content(line: Line) -> str | list[dict[str, Any]]:
    if line.picture is None:
        return line.text
    data = base64.b64encode(line.picture.content).decode()
    address = {"url": f"data:{line.picture.media_type};base64,{data}"}
    words = [{"type": "text", "text": line.text}] if line.text else []
    return [*words, {"type": "image_url", "image_url": address}]


def _heard(usage: Any) -> tuple[int, int]:
    """Tokens in and out, or the seconds where the service counts those; it may say nothing."""
    told = usage if isinstance(usage, dict) else usage.model_dump() if hasattr(usage, "model_dump") else {}
    if told.get("type") == "duration":
        return math.ceil(float(told.get("seconds") or 0)), 0
    return int(told.get("input_tokens") or 0), int(told.get("output_tokens") or 0)


def _deployment(rung: Rung) -> dict[str, Any]:
    choice = rung.choice
    parameters: dict[str, Any] = {
        "model": choice.model,
        "api_key": choice.api_key.get_secret_value() or NO_KEY,
        "timeout": choice.timeout_seconds,
    }
    if choice.base_url:
        parameters["api_base"] = choice.base_url
    return {"model_name": rung.place, "litellm_params": parameters}


def _usage(choice: ModelChoice, read: int, written: int) -> Usage:
    return Usage(choice.model, read, written, spending.cost(choice, read, written))


def _retry_after(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
