"""What a session has proven, and whether that is enough for what it wants: `levels.yaml`, and one decision. Pure.

`Directory` says what a conversation has proven (`Standing`), the agent asks `decide` before a tool looks at anything, and
again when the amount is known. A code opens the actions of one purpose only. The answer is a value, never a text: whoever
leads the dialogue decides how to ask for the missing proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "levels.yaml"
NEVER = "never"


class Level(IntEnum):
    """In the order of the table; the names are its keys."""

    ANONYMOUS = 0
    CHANNEL = 1
    CODE = 2
    ACCOUNT = 3
    ACCOUNT_AND_CODE = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """All that one conversation has proven now. `purposes`: for which a code was shown. `just_signed`: an account was
    proven within the lifetime of the highest level."""

    channel: bool = False
    account: bool = False
    just_signed: bool = False
    purposes: frozenset[str] = frozenset()

    @property
    def highest(self) -> Level:
        """For people to see; what it opens depends on the purpose."""
        return max([self.level_for(one) for one in self.purposes], default=self.level_for(""))

    def level_for(self, purpose: str) -> Level:
        if self.account:
            both = self.just_signed and purpose in self.purposes
            return Level.ACCOUNT_AND_CODE if both else Level.ACCOUNT
        if purpose in self.purposes:
            return Level.CODE
        return Level.CHANNEL if self.channel else Level.ANONYMOUS


@dataclass(frozen=True, slots=True)
class Action:
    """`level` None: at no level. More than `up_to` needs `beyond`."""

    name: str
    level: Level | None
    purpose: str
    up_to: Decimal | None = None
    beyond: Level | None = None

    def needs(self, amount: Decimal | None = None) -> Level | None:
        if self.up_to is not None and amount is not None and amount > self.up_to:
            return self.beyond
        return self.level


@dataclass(frozen=True, slots=True)
class Allowed:
    pass


@dataclass(frozen=True, slots=True)
class NeedsLevel:
    """`level` None: it is for no customer's conversation, whatever they prove."""

    level: Level | None
    purpose: str


Decision = Allowed | NeedsLevel


def decide(action: str, standing: Standing, amount: Decimal | None = None) -> Decision:
    """Raises `KeyError` for an action that is not in the table."""
    wanted = actions()[action]
    needed = wanted.needs(amount)
    if needed is not None and standing.level_for(wanted.purpose) >= needed:
        return Allowed()
    return NeedsLevel(needed, wanted.purpose)


@cache
def actions() -> Mapping[str, Action]:
    return {name: _action(name, raw) for name, raw in _table()["actions"].items()}


@cache
def purposes_of_codes() -> tuple[str, ...]:
    """For which a code is enough to do something more."""
    return tuple(sorted({one.purpose for one in actions().values() if one.level == Level.CODE}))


@cache
def seconds(level: Level) -> int | None:
    """How long a proof of this level lasts; None for what is no proof."""
    found = _table()["levels"][level.name.lower()]["seconds"]
    return None if found is None else int(found)


def _action(name: str, raw: Mapping[str, Any]) -> Action:
    return Action(
        name,
        None if raw["level"] == NEVER else Level(raw["level"]),
        raw["purpose"],
        Decimal(raw["up_to"]) if "up_to" in raw else None,
        Level(raw["beyond"]) if "beyond" in raw else None,
    )


@cache
def _table() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded
