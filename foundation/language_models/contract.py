"""The promise of a language model: text, structured output or a stream, or a named error. Off by default.

The agent's `compose` and `understand` nodes are the callers. Errors: `UpstreamUnavailable` (all models of the ladder
failed for now), `UpstreamRefused` (no model will take this), `Exhausted` (the budget is used up); the caller then
takes the next rung of its own ladder and never lets the customer wait for a model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a model with eyes is shown."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Line:
    """One message to the model. Text of customers and documents is `user` text, never `system`; so are their pictures."""

    role: Literal["system", "user", "assistant"]
    text: str
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """What a model with ears is played. `name` ends as the format is called: services go by it."""

    content: bytes
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Usage:
    model: str
    input_tokens: int
    output_tokens: int
    cost: float
    """In the currency of the configured prices; 0.0 where none are configured."""


@dataclass(frozen=True, slots=True)
class Completion:
    text: str
    usage: Usage


class LanguageModel(Protocol):
    @property
    def name(self) -> str:
        """The first model of the ladder, for logs; `Usage.model` names the one that really answered."""
        ...

    async def complete(self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600) -> Completion:
        """`prompt` is the id@version#digest of the prompt file, for the log."""
        ...

    async def extract(self, lines: Sequence[Line], *, prompt: str, form: type[M]) -> tuple[M, Usage]:
        """Structured output, validated; one repair is asked for, then `UpstreamRefused`."""
        ...

    def stream(self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600) -> AsyncIterator[str]:
        """Pieces of text as they come. A failure in the middle raises; what came before may be kept or dropped."""
        ...


class SpeechModel(Protocol):
    """Errors as of `LanguageModel`."""

    @property
    def name(self) -> str: ...

    async def transcribe(self, recording: Recording) -> Completion:
        """The words in the language they were spoken in; "" for a recording without any."""
        ...
