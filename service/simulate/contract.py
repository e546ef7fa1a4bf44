"""The promise of a simulator: a provider played by its documents, so that texts of a customer become its calls.

`huiliu simulate` calls `registry.run`, which puts the platform on the `stage`; one module per platform keeps the promise.
Tests put the same platforms behind the channels' connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx
from pydantic import BaseModel
from starlette.types import ASGIApp

from foundation.clock import Clock
from foundation.security import Vault

DONE = 0
NOT_ANSWERED = 1
"""The server refused the message, took a forged one, or sent no reply in time."""
NOT_POSSIBLE = 2
"""There is nothing to play against, or the simulator's own address is taken."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """`vault` is the server's own (same master key): demo credentials are derived from it."""

    vault: Vault
    url: str = "http://127.0.0.1:8080"
    tenant: str = "demo"
    user: str = "guest"
    mode: Literal["plain", "secure"] = "secure"
    duplicate: int = 1
    """How many times each delivery is sent at once; the customer must see one reply all the same."""
    forge: bool = False
    wait_seconds: float = 30.0
    quiet_seconds: float = 1.5
    """A reply of several parts is complete when nothing more has come for this long."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the platform to our hook. `path` stands behind the hook's address, "" or "/…"."""

    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    method: Literal["GET", "POST"] = "POST"
    path: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a customer sees or hears."""

    user: str
    kind: Literal["text", "typing", "media"] = "text"
    text: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label) of each button."""
    url: str = ""


class Platform(Protocol):
    """One account of a provider. It enforces what its documents say: signatures on its calls, tokens, windows, quotas,
    limits, and the documented errors for whoever breaks them."""

    @property
    def address(self) -> str:
        """Where its API stands: the settings' `api_base`."""
        ...

    @property
    def patience_seconds(self) -> float:
        """So long it waits for the answer of a webhook."""
        ...

    def application(self) -> ASGIApp:
        """Its API. What reaches a customer is told through the factory's `show`."""
        ...

    def say(self, text: str, *, user: str) -> Call:
        """The customer writes, or taps the button with this label: the call that follows."""
        ...

    def forge(self, call: Call) -> Call:
        """The same, from somebody who does not know the secret."""
        ...

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        """What the customer gets from the answer to a webhook itself; nothing on most platforms."""
        ...

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        """The call that the platform makes because of this answer, e.g. a redirect."""
        ...


class PlatformFactory(Protocol):
    def __call__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> Platform: ...


class Play(Protocol):
    async def __call__(
        self, texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Simulator:
    """`settings` is the channel's model: the simulator reads what the server reads. `play` is for what the stage cannot."""

    name: str
    settings: type[BaseModel]
    platform: PlatformFactory | None = None
    play: Play | None = None
