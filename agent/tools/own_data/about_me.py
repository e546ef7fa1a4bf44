"""What do you know about me? A short summary of what this session may see of its own customer, and what it may see after a proof.

Nothing is asked and nothing is changed. What stands in the answer is decided where it is read, by what the conversation has
proven; no judgement about the customer is ever in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agent.tools.contract import Arguments, Check, Option, Slot, ToolContext, ToolResult, Values


class AboutArguments(Arguments):
    """Nothing has to be known."""


class AboutMe:
    name = "about_me"
    arguments = AboutArguments
    effect: Literal["read", "write"] = "read"
    does = "own_conversation"
    slots: tuple[Slot, ...] = ()

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return []

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        return Check("about_me", {})

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        return ToolResult(True, "told", "about_me", data=await context.own_data().about(context.language))
