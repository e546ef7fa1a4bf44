"""Second node: sets the message beside what the conversation remembers, and lets the policy say where it leads.

The remembered form is asked whether the message is about it, before anything is decided; nothing is changed here but
the counters of anger and misunderstanding.
"""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from agent import policy
from agent.context import AgentContext
from agent.state import Dialogue, TurnState, is_fresh
from agent.tools import forms
from agent.tools.contract import Heard


async def recall(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    services = runtime.context.services
    dialogue = state["dialogue"]
    wish = services.words.first(services.words.wishes, state["heard"]["plain"])
    view = _view(
        state, _about_form(state, runtime.context), offered_fills=_fills_offer(state, runtime.context), wish=wish or ""
    )  # fmt: skip
    plan = policy.plan(view, services.rules)
    angry = policy.is_angry(view, services.rules)
    changed: Dialogue = {
        **dialogue,
        "angry": dialogue.get("angry", 0) + 1 if angry else 0,
        "choices": [],
        "offered": "",
    }
    return {"plan": dict(plan), "dialogue": changed}


def _about_form(state: TurnState, context: AgentContext) -> forms.About:
    form = state["dialogue"].get("form")
    if not form or state["message"]["kind"] != "text":
        return forms.About(False, False, False)
    tool = context.services.tools[form["tool"]]
    if is_fresh(state["dialogue"]):
        form = forms.begin_again(form)
    return forms.about(form, tool.slots, Heard.of(state["heard"]), words=context.services.words)


def _fills_offer(state: TurnState, context: AgentContext) -> bool:
    offered = state["dialogue"].get("offered", "")
    if not offered or state["message"]["kind"] != "text":
        return False
    slots = context.services.tools[offered].slots
    return forms.begins(offered, slots, Heard.of(state["heard"]), words=context.services.words)


def _view(state: TurnState, about_form: forms.About, *, offered_fills: bool, wish: str) -> policy.View:
    """A bare number says nothing by itself, whatever a classifier reads into it."""
    understood, dialogue, heard = state["understood"], state["dialogue"], state["heard"]
    form = dialogue.get("form") or {}
    is_number = heard["plain"].strip(" .。").isdecimal()
    return policy.View(
        kind=state["message"]["kind"],
        event=state["message"]["event"],
        plain=heard["plain"],
        intent="" if is_number else understood["intent"] or "",
        intents=[] if is_number else [(one["intent"], one["score"]) for one in understood["intents"]],
        status="unsure" if is_number else understood["status"],
        confidence=understood["confidence"],
        emotion=understood["emotion"]["label"],
        valence=understood["emotion"]["valence"],
        wants_human=understood["wants_human"],
        acts=frozenset(heard["acts"]),
        signals=frozenset(understood["signals"]),
        question=heard["question"],
        has_order_no=bool(heard["entities"].get("order_no")),
        angry_before=dialogue.get("angry", 0),
        misunderstood_before=dialogue.get("misunderstood", 0),
        form_tool=form.get("tool", ""),
        form_fills=about_form.fills,
        form_answers=about_form.answers,
        form_exact=about_form.exact,
        offered=dialogue.get("offered", ""),
        offered_fills=offered_fills,
        wish=wish,
        seen=bool(state["message"].get("seen")),
        knows_last_reply=any(line["role"] != "customer" for line in state["recent"]),
    )
