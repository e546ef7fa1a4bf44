"""The promise of a simulator: send these texts as a customer of that platform, say what the customer would see.

`huiliu simulate` calls `registry.run`; one module per platform keeps the promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel

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


class Play(Protocol):
    async def __call__(
        self, texts: Sequence[str], options: Options, *, settings: BaseModel, say: Say
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Simulator:
    """`settings` is the channel's model: the simulator reads what the server reads."""

    name: str
    settings: type[BaseModel]
    play: Play
