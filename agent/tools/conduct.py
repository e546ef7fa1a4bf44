"""Leads one form through one message: hears, looks up, asks, reads back, carries out. Called by `nodes/act.py`.

All I/O is the tool's; all decisions about the form are `forms`'. What comes back are parts to say (reply ids with
values), the form if it is still open, and what was done. Faults of the order system are not caught here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent.tools import forms
from agent.tools.contract import Heard, Option, Question, Slot, Tool, ToolContext, ToolResult
from agent.tools.forms import Form
from agent.tools.words import Words
from customers.proof.levels import NeedsLevel

ROUNDS = 24
"""More look-ups and questions than the longest form has in one message; a tool that exceeds it is wrong."""

End = Literal["open", "done", "refused", "cancelled", "gave_up", "approval", "needs_level"]


@dataclass(frozen=True, slots=True)
class Conducted:
    end: End
    parts: tuple[Question, ...]
    form: Form | None = None
    result: ToolResult | None = None
    arguments: Mapping[str, Any] | None = None
    needs: NeedsLevel | None = None
    """What has to be proven first, at the end that is called so."""


async def conduct(tool: Tool, form: Form, heard: Heard, *, words: Words, context: ToolContext) -> Conducted:
    reaction = forms.react(form, tool.slots, heard, words=words)
    match reaction.verdict:
        case "cancelled":
            return Conducted("cancelled", (_part("form_cancelled", {"tool": tool.name}),))
        case "gave_up":
            return Conducted("gave_up", (), form=reaction.form)
        case "which":
            return Conducted("open", (_part("form_what_to_change", {"tool": tool.name}),), form=reaction.form)
        case "missed":
            return Conducted("open", _ask_again(reaction.form), form=reaction.form)
        case "confirmed":
            return await _carry_out(tool, reaction.form, context)
        case "go_on":
            return await _go_on(tool, reaction.form, words=words, context=context)


async def finish_approved(tool: Tool, values: Mapping[str, Any], context: ToolContext) -> ToolResult:
    """After a person agreed; `context.approved_by` says who."""
    return await tool.run(values, context)


async def _go_on(tool: Tool, form: Form, *, words: Words, context: ToolContext) -> Conducted:
    for _ in range(ROUNDS):
        step = forms.next_step(form, tool.slots)
        if step.kind == "check":
            return await _check(tool, form, words=words, context=context)
        slot = next(slot for slot in tool.slots if slot.name == step.slot)
        if step.kind == "ask":
            hopeless = await tool.admits(form["values"], context)
            return _ask(tool, form, slot) if hopeless is None else _refused(tool, form, hopeless)
        options = await tool.options(slot.name, form["values"], context)
        if isinstance(options, ToolResult):
            return _refused(tool, form, options)
        form = forms.offer(form, slot, options, words=words)
    raise RuntimeError(f"the form of {tool.name} does not come to an end")


async def _check(tool: Tool, form: Form, *, words: Words, context: ToolContext) -> Conducted:
    if tool.effect == "read":
        return await _carry_out(tool, form, context)
    checked = await tool.check(form["values"], context)
    if isinstance(checked, ToolResult):
        return _refused(tool, form, checked)
    question = _part(checked.reply, checked.data, words.confirmation)
    allowed = context.decide(checked.amount)
    if isinstance(allowed, NeedsLevel):
        return Conducted("needs_level", (), form=form, needs=allowed)
    form = forms.confirm(form, question, needs_approval=checked.needs_approval, amount=checked.amount)
    return Conducted("open", (question,), form=form)


async def _carry_out(tool: Tool, form: Form, context: ToolContext) -> Conducted:
    allowed = context.decide(form["amount"])
    if isinstance(allowed, NeedsLevel):
        return Conducted("needs_level", (), form=form, needs=allowed)
    if form["needs_approval"] and not context.approved_by:
        return Conducted("approval", (), form=form, arguments=form["values"])
    result = await tool.run(form["values"], context)
    if not result.ok:
        return _refused(tool, form, result)
    return Conducted("done", (_part(result.reply, result.data, result.options),), result=result)


def _refused(tool: Tool, form: Form, result: ToolResult) -> Conducted:
    """Says why. Where one value is to blame, the form stays open and asks for it again."""
    said = _part(result.reply, result.data, result.options)
    slot = next((slot for slot in tool.slots if slot.name == result.again), None)
    if slot is None:
        return Conducted("refused", (said,), result=result)
    again = _ask(tool, forms.forget(form, slot.name, tool.slots), slot)
    return Conducted("open", (said, *again.parts), form=again.form, result=result)


def _ask(tool: Tool, form: Form, slot: Slot) -> Conducted:
    question = _part(slot.ask, {}, form["options"].get(slot.name, []))
    return Conducted("open", (question,), form=forms.ask(form, slot.name, question))


def _ask_again(form: Form) -> tuple[Question, ...]:
    question = form["question"]
    lead = _part("form_not_understood", {"confirming": form["stage"] == "confirming"})
    return (lead, question) if question is not None else (lead,)


def _part(reply: str, values: Mapping[str, Any], options: Sequence[Option] = ()) -> Question:
    return Question(reply=reply, values=dict(values), options=list(options))
