"""Fourth node: does what the plan says, and decides what there is to say. The only node with effects.

Here stands the fence of the tool loop: whatever a tool raises becomes a sentence for the customer and a handoff, never
an error page. A form's question is always the last thing said, whatever else a message brought up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import structlog
from langgraph.runtime import Runtime

from agent.context import AgentContext
from agent.state import ANSWER, Approval, Dialogue, Part, TurnState, is_fresh
from agent.tools import conduct, forms, verification
from agent.tools.contract import Heard, Tool
from customers.proof.levels import Level, NeedsLevel, decide
from foundation import errors

TURN_SECONDS = 25.0
"""All calls of one turn together; each call has its own, shorter limit."""
PARKED = 2
"""Forms that wait for another one to end; the oldest is forgotten."""
LONG_TEXT = 2_000
"""Characters that are read; understanding stops at as many, and the customer is told."""

T = TypeVar("T")
_log = structlog.get_logger(__name__)


async def act(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context = runtime.context
    if state.get("decision") is not None:
        return await _decided(state, context)
    plan, dialogue = state["plan"], state["dialogue"]
    match plan["route"]:
        case "task":
            changes = await _task(state, context)
        case "answer":
            changes = {"parts": [_part(ANSWER, **_notice_values(state)), *_open_question(dialogue)]}
        case "repeat":
            changes = {"parts": [_part("repeat", text=_last_said(state)), *_open_question(dialogue)]}
        case "hand_over":
            changes = {"parts": [], "handoff": plan["reason"]}
        case "small_talk" | "notice":
            again = _open_question(dialogue) if plan["ask_again"] else []
            changes = {"parts": [_part(plan["reply"], **_notice_values(state)), *again]}
        case _:
            changes = {"parts": _open_question(dialogue) if is_fresh(dialogue) else []}
    after: Dialogue = changes.get("dialogue", dialogue)
    lead = [_part("signed_in", by_code=not context.standing.account)] if state["cause"] == "proof" else []
    if len(state["message"]["text"]) > LONG_TEXT:
        lead.append(_part("long_text"))
    if is_fresh(dialogue) and not changes.get("handoff"):
        lead.append(_part("carried_over", tool=_begun(dialogue), channel=dialogue["carried"]["channel"]))
    return {**changes, "parts": [*lead, *changes["parts"]], "dialogue": _asked_here(after)}


async def _task(state: TurnState, context: AgentContext) -> dict[str, Any]:
    plan = state["plan"]
    tool = context.services.tools[plan["tool"]]
    dialogue, said = _make_room(state["dialogue"], plan)
    if tool.name == verification.NAME:
        return await _verify(state, context, dialogue=dialogue, said=said)
    allowed = decide(tool.does, context.standing)
    if isinstance(allowed, NeedsLevel):
        return await _ask_to_prove(state, context, allowed, dialogue=dialogue, said=said)
    if _asks_about_decision(state, context):
        return {"parts": [*said, _waiting(tool, dialogue), *_open_question(dialogue)], "dialogue": dialogue}
    form = dialogue.get("form") or forms.begin(tool.name, intent=str(state["understood"]["intent"] or ""))
    if is_fresh(dialogue):
        form = forms.begin_again(form)
    words = context.services.words
    for_tool = context.for_tool(tool, state["language"], intent=form["intent"])

    async def work() -> conduct.Conducted:
        return await conduct.conduct(tool, form, Heard.of(state["heard"]), words=words, context=for_tool)

    done, fault = await _fenced(tool, work)
    if done is None:
        if fault == "sign_in":
            signed = NeedsLevel(Level.ACCOUNT, "")
            return await _ask_to_prove(state, context, signed, dialogue=dialogue, said=said)
        return _tool_down(tool, {**dialogue, "form": form})
    if done.needs is not None and done.form is not None:
        kept: Dialogue = {**dialogue, "form": forms.begin_again(done.form)}
        return await _ask_to_prove(state, context, done.needs, dialogue=kept, said=said)
    return _told(state, context, tool=tool, done=done, dialogue=dialogue, said=said)


async def _verify(
    state: TurnState, context: AgentContext, *, dialogue: Dialogue, said: list[Part]
) -> dict[str, Any]:
    """What is proven comes back as an event of its own, which goes on with the task; here nothing else is asked meanwhile."""
    tool = cast("verification.Verification", context.services.tools[verification.NAME])
    form = dialogue.get("form")
    if form is None:  # it was begun by nobody: what is to be proven is not known
        return {"parts": said, "dialogue": dialogue}

    async def work() -> conduct.Conducted:
        return await verification.conduct(
            tool, form, Heard.of(state["heard"]), words=context.services.words,
            codes=context.codes(state["language"], state["message"].get("network", "")),
        )  # fmt: skip

    done, _fault = await _fenced(tool, work)
    if done is None:
        return _tool_down(tool, {**dialogue, "form": None})
    parts = [*said, *(_from_question(question) for question in done.parts)]
    if state["plan"]["also_answer"]:
        parts.insert(len(parts) - 1 if done.end == "open" else len(parts), _part(ANSWER))
    after: Dialogue = {**dialogue, "form": done.form, "misunderstood": 0}
    handoff = "form_misses" if done.end == "gave_up" else ""
    return {"parts": parts, "tools": [_used(tool, done)], "facts": [], "dialogue": after, "handoff": handoff}


def _told(
    state: TurnState, context: AgentContext, *, tool: Tool, done: conduct.Conducted, dialogue: Dialogue, said: list[Part],
) -> dict[str, Any]:  # fmt: skip
    parts = [*said, *(_from_question(question) for question in done.parts)]
    changes: dict[str, Any] = {"tools": [_used(tool, done)], "facts": _facts(parts)}
    after: Dialogue = {**dialogue, "form": done.form, "misunderstood": 0}
    order_no = _order_of(done)
    if order_no:
        after["last_order"] = order_no
    if done.end == "open" and any(
        one["order_no"] == order_no for one in after.get("approvals", []) if order_no
    ):
        return {**changes, "parts": [*said, _waiting(tool, after)], "dialogue": {**after, "form": None}}
    if state["plan"]["also_answer"]:
        parts.insert(len(parts) - 1 if done.end == "open" else len(parts), _part(ANSWER))
    if done.end == "gave_up":
        return {**changes, "parts": parts, "dialogue": after, "handoff": "form_misses"}
    if done.end == "approval":
        approval = _approval(context, tool, done)
        after["form"] = None
        waiting = {"id": approval["id"], "tool": tool.name, "order_no": approval["order_no"]}
        after["approvals"] = [*after.get("approvals", []), waiting]
        parts.append(_part("approval_asked", tool=tool.name, reason=approval["reason"]))
        changes["approval"] = approval
    if tool.name == "human" and done.end == "done":
        return {**changes, "parts": [], "dialogue": {**after, "form": None}, "handoff": "wants_human"}
    if after.get("form") is None:
        after, resumed = _resume(after)
        parts += resumed
    return {**changes, "parts": parts, "dialogue": after}


def _asks_about_decision(state: TurnState, context: AgentContext) -> bool:
    """ "What about my request?" while a person still decides is no new request."""
    waiting = [one for one in state["dialogue"].get("approvals", []) if one["tool"] == state["plan"]["tool"]]
    return bool(waiting) and bool(context.services.words.decision.search(state["heard"]["plain"]))


def _waiting(tool: Tool, dialogue: Dialogue) -> Part:
    orders = [one["order_no"] for one in dialogue.get("approvals", []) if one["tool"] == tool.name]
    return _part("approval_waiting", tool=tool.name, orders=orders)


async def _decided(state: TurnState, context: AgentContext) -> dict[str, Any]:
    """A person has decided about the request that this turn, or an earlier run of it, had suspended."""
    approval, decision = state["approval"], state["decision"]
    assert approval is not None
    assert decision is not None
    tool = context.services.tools[approval["tool"]]
    if not decision["approved"]:
        part = _part("approval_refused", tool=tool.name, order_no=approval["order_no"], note=decision["note"])
        return {"parts": [part], "handoff": "", "facts": [], "tools": []}
    for_tool = context.for_tool(tool, state["language"], approved_by=decision["by"])
    result, _fault = await _fenced(tool, lambda: conduct.finish_approved(tool, approval["values"], for_tool))
    if result is None:
        return _tool_down(tool, state["dialogue"])
    parts = [_part("approval_granted", tool=tool.name)] if result.ok else []
    parts.append(_part(result.reply, **result.data))
    used = {"name": tool.name, "ok": result.ok, "code": result.code}
    return {"parts": parts, "tools": [used], "facts": _facts(parts), "handoff": ""}


async def _fenced(tool: Tool, work: Callable[[], Awaitable[T]]) -> tuple[T | None, str]:
    """The result, or None and what to tell: "sign_in" or the code of the fault."""
    try:
        async with asyncio.timeout(TURN_SECONDS):
            return await work(), ""
    except errors.NotPermitted:
        return None, "sign_in"
    except errors.ServiceError as error:
        _log.warning("a tool is not available", tool=tool.name, code=error.code)
        return None, error.code
    except Exception:  # the fence of the tool loop: a bug in a tool must not silence the conversation
        _log.exception("a tool broke", tool=tool.name)
        return None, "tool_fault"


def _tool_down(tool: Tool, dialogue: Dialogue) -> dict[str, Any]:
    return {
        "parts": [_part("tool_down", tool=tool.name)],
        "tools": [{"name": tool.name, "ok": False, "code": "down"}],
        "dialogue": dialogue,
        "handoff": "tool_down",
        "facts": [],
    }


async def _ask_to_prove(
    state: TurnState, context: AgentContext, needs: NeedsLevel, *, dialogue: Dialogue, said: list[Part]
) -> dict[str, Any]:
    """Shows and confirms nothing; what was asked goes on by itself after the proof. A code is offered where it is enough
    and anybody could be sent one; signing in always is."""
    services, tool = context.services, state["plan"]["tool"]
    address = (
        await services.sign_in_link(context.tenant, context.conversation_id) if services.sign_in_link else ""
    )
    by_code = (
        needs.level == Level.CODE
        and services.proves is not None
        and await services.proves.is_possible(context.tenant, context.conversation_id)
    )
    part = _part("sign_in", tool=tool, link=address, by_code=by_code)
    extra = [_part(ANSWER)] if state["plan"]["also_answer"] else []
    pending = {"text": state["message"]["text"], "tool": tool}
    after: Dialogue = {**dialogue, "pending": pending, "misunderstood": 0}
    if not by_code:
        return {"parts": [*said, *extra, part], "dialogue": after}
    asking: Dialogue = {**_put_aside(after), "form": verification.begin(needs.purpose)}
    if verification.gives_contact(Heard.of(state["heard"])):
        done = await _verify(state, context, dialogue=asking, said=[])
        return {**done, "parts": [*said, *extra, part, *done["parts"]]}
    return {"parts": [*said, *extra, part, _part("ask_contact")], "dialogue": asking}


def _begun(dialogue: Dialogue) -> str:
    form = dialogue.get("form") or dialogue["parked"][-1]
    return str(form["tool"])


def _asked_here(dialogue: Dialogue) -> Dialogue:
    """What came over from another conversation is an open task like any other now; or it has ended."""
    if "carried" not in dialogue:
        return dialogue
    if not dialogue.get("form") and not dialogue.get("parked"):
        return cast("Dialogue", {name: value for name, value in dialogue.items() if name != "carried"})
    return {**dialogue, "carried": {**dialogue["carried"], "fresh": False}}


def _make_room(dialogue: Dialogue, plan: dict[str, Any]) -> tuple[Dialogue, list[Part]]:
    form = dialogue.get("form")
    if not form or form["tool"] == plan["tool"]:
        return dialogue, []
    if plan["drop_form"]:
        return {**dialogue, "form": None}, [_part("form_cancelled", tool=form["tool"])]
    parked = [other for other in dialogue.get("parked", []) if other["tool"] != plan["tool"]]
    before = next((other for other in dialogue.get("parked", []) if other["tool"] == plan["tool"]), None)
    return {**dialogue, "form": before, "parked": [*parked, form][-PARKED:]}, []


def _put_aside(dialogue: Dialogue) -> Dialogue:
    """The form that waits for a proof, on top of the others; a question for a code is none of them."""
    form = dialogue.get("form")
    mine = [form] if form and form["tool"] != verification.NAME else []
    skipped = {verification.NAME, *(one["tool"] for one in mine)}
    others = [one for one in dialogue.get("parked", []) if one["tool"] not in skipped]
    return {**dialogue, "form": None, "parked": [*others, *mine][-PARKED:]}


def _resume(dialogue: Dialogue) -> tuple[Dialogue, list[Part]]:
    """Back to the task that was left for this one, if there is one."""
    parked = dialogue.get("parked") or []
    if not parked:
        return dialogue, []
    after: Dialogue = {**dialogue, "form": parked[-1], "parked": parked[:-1]}
    return after, _open_question(after)


def _open_question(dialogue: Dialogue) -> list[Part]:
    form = dialogue.get("form")
    if not form or not form["question"]:
        return []
    return [_part("back_to_form", tool=form["tool"]), _from_question(form["question"])]


def _approval(context: AgentContext, tool: Tool, done: conduct.Conducted) -> Approval:
    assert done.form is not None
    return Approval(
        id=f"{context.conversation_id}-{context.key}",
        tool=tool.name,
        values=dict(done.form["values"]),
        reason=done.form["needs_approval"],
        amount=done.form["amount"],
        order_no=_order_of(done),
    )


def _order_of(done: conduct.Conducted) -> str:
    if done.result is not None and done.result.order_no:
        return done.result.order_no
    return str(done.form["values"].get("order_no", "")) if done.form is not None else ""


def _used(tool: Tool, done: conduct.Conducted) -> dict[str, Any]:
    result = done.result
    return {"name": tool.name, "ok": result is None or result.ok, "code": result.code if result else done.end}


def _facts(parts: list[Part]) -> list[str]:
    """What tools have said in this turn: the other source of the guard."""
    return [str(value) for part in parts for value in part["values"].values() if value]


def _notice_values(state: TurnState) -> dict[str, Any]:
    if state["plan"]["reply"] != "unreadable_kind":
        return {}
    return {"kind": state["message"]["kind"], "problem": state["message"].get("problem", "")}


def _last_said(state: TurnState) -> str:
    return next((line["text"] for line in reversed(state["recent"]) if line["role"] != "customer"), "")


def _from_question(question: Any) -> Part:
    return Part(reply=question["reply"], values=question["values"], options=question["options"])


def _part(reply: str, **values: Any) -> Part:
    return Part(reply=reply, values=values, options=[])
