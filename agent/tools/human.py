"""Asks for a person. Needs no proof and no confirmation: whoever wants a person gets one.

The tool only says that a person is wanted; the turn puts the conversation into the queue, in its own transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agent.tools.contract import Arguments, Check, Option, Slot, ToolContext, ToolResult, Values


class HumanArguments(Arguments):
    """Nothing has to be known."""


class Human:
    name = "human"
    arguments = HumanArguments
    effect: Literal["read", "write"] = "read"
    does = "reach_a_person"
    slots: tuple[Slot, ...] = ()

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return []

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        return Check("handoff", {})

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        return ToolResult(True, "human_wanted", "handoff", data={"reason": "wants_human"})
