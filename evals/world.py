"""What is evaluated, as the suites see it: something that understands, something that finds, a shop with customers.

The kinds ask a `Stage` for what they need. `rehearsed.RehearsedStage` puts the assembled product there; a test puts
something simple there, to see that a perfect subject scores 1 and a broken one 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evals.graders.seen import Rows
from foundation.embedders.contract import Embedder

Status = str
"""sure, unsure or out_of_scope."""


@dataclass(frozen=True, slots=True)
class Understood:
    """`likeliest` is named even when the status says that it should not be acted on."""

    likeliest: str
    status: Status
    confidence: float
    out_of_scope: float
    language: str
    emotion: str
    valence: float
    anger: float
    """Probability of anger."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`articles` best first; `refused` when the product would not answer from them."""

    articles: tuple[str, ...]
    answerable: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one step of a conversation showed."""

    reply: str
    intent: str = ""
    language: str = ""
    emotion: str = ""
    citations: tuple[Mapping[str, Any], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    handoff: str | None = None
    choices: tuple[str, ...] = ()
    model: str = ""


class Mind(Protocol):
    @property
    def embedder(self) -> Embedder: ...

    async def understand(self, text: str) -> Understood: ...


class Trainer(Protocol):
    """Learns a suite's own labels, the way the product lets a user bring intents."""

    def prepare(self, text: str) -> str:
        """The form in which texts are embedded; the caller embeds them beforehand to show progress."""
        ...

    async def learn(self, examples: Sequence[tuple[str, str | None]], embedder: Embedder) -> Classifier:
        """None is the label of a text that belongs to none."""
        ...


class Classifier(Protocol):
    async def understand(self, text: str) -> Understood: ...


class Shelf(Protocol):
    async def search(self, question: str, *, language: str) -> Retrieved: ...


class World(Protocol):
    """One customer's conversation in a shop that was opened for it alone."""

    async def say(self, text: str) -> Spoken: ...

    async def sign_in(self, account: str) -> Spoken: ...

    async def decide(self, *, approve: bool, note: str) -> Spoken:
        """A member of staff decides about what waits. Raises `NotFound` when nothing does."""
        ...

    async def state(self) -> Rows:
        """The shop's database."""
        ...


class Stage(Protocol):
    def mind(self) -> AbstractAsyncContextManager[Mind]: ...

    def trainer(self) -> Trainer: ...

    def shelf(self, articles: Path) -> AbstractAsyncContextManager[Shelf]: ...

    def world(self, *, account: str, channel: str) -> AbstractAsyncContextManager[World]: ...

    async def about(self) -> Mapping[str, Any]:
        """For the record: language models, prompts' digests, embedding engine."""
        ...
