"""Takes back or gives a use of one's own data: which use, read back, one confirmation.

Refusing needs little proof, because it takes nothing from anybody; agreeing for somebody needs more. The table of levels knows
the two as preferences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agent.tools.contract import (
    Arguments,
    Check,
    Heard,
    Option,
    Slot,
    ToolContext,
    ToolResult,
    Values,
)
from agent.tools.words import Words


class ConsentArguments(Arguments):
    purpose: str


class ConsentChange:
    """One tool for each of the two, because they need different proofs."""

    arguments = ConsentArguments
    effect: Literal["read", "write"] = "write"

    def __init__(self, words: Words, *, agrees: bool) -> None:
        self.name = "consent_give" if agrees else "consent_refuse"
        self.does = "preferences" if agrees else "preferences_here"
        self._state = "granted" if agrees else "refused"
        self._options = words.purpose_options

        def read(heard: Heard) -> str | None:
            return words.first(words.purposes, heard.plain)

        self.slots = (Slot("purpose", "ask_purpose", read=read, offered=True),)

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return self._options

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        wanted = ConsentArguments.model_validate(dict(values))
        return Check("confirm_consent", {"purpose": wanted.purpose, "agrees": self._state == "granted"})

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        wanted = ConsentArguments.model_validate(dict(values))
        holds = await context.own_data().state(wanted.purpose, self._state)
        data = {"purpose": wanted.purpose, "agrees": self._state == "granted", "holds": holds}
        return ToolResult(True, self._state, "consent_done", data=data)
