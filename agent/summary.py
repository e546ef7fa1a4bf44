"""What a person who takes over should know, as plain facts for the reply file `handoff_summary`. Pure.

What they want, in their own last words; what was tried; the order; the mood; the form that is still open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.state import Line, TurnState
from agent.tools import verification
from foundation.conversations import Conversation
from foundation.security import hide_codes

LAST_WORDS = 3
WORDS_LENGTH = 160


def facts(state: TurnState) -> dict[str, Any]:
    dialogue, understood = state["dialogue"], state["understood"]
    form = _form(dialogue)
    said = [line["text"] for line in state["recent"] if line["role"] == "customer"] + [
        hide_codes(state["message"]["text"])
        if form.get("tool") == verification.NAME
        else state["message"]["text"]
    ]
    return {
        "reason": state["handoff"],
        "intent": understood["intent"] or "",
        "last_words": [text[:WORDS_LENGTH] for text in said if text.strip()][-LAST_WORDS:],
        "tools": [f"{tool['name']}: {tool['code']}" for tool in state.get("tools", [])],
        "articles": [citation["title"] for citation in state["reply"]["citations"]],
        "order_no": str((form.get("values") or {}).get("order_no") or dialogue.get("last_order", "")),
        "emotion": understood["emotion"]["label"],
        "form": form.get("tool", ""),
        "form_values": {name: _readable(value) for name, value in (form.get("values") or {}).items()},
        "approvals": [waiting["order_no"] for waiting in dialogue.get("approvals", [])],
    }


def facts_again(conversation: Conversation, recent: Sequence[Line]) -> dict[str, Any]:
    """From what stands in the conversation itself, for a summary that has to be written anew: what was understood and tried
    in the turn that handed over is not known any more."""
    dialogue = conversation.dialogue
    form = _form(dialogue)
    said = [line["text"] for line in recent if line["role"] == "customer"]
    return {
        "reason": conversation.handoff_reason or "", "intent": "", "tools": [], "articles": [], "emotion": "neutral",
        "last_words": [text[:WORDS_LENGTH] for text in said if text.strip()][-LAST_WORDS:],
        "order_no": str((form.get("values") or {}).get("order_no") or dialogue.get("last_order", "")),
        "form": form.get("tool", ""),
        "form_values": {name: _readable(value) for name, value in (form.get("values") or {}).items()},
        "approvals": [waiting["order_no"] for waiting in dialogue.get("approvals", [])],
    }  # fmt: skip


def _form(dialogue: Mapping[str, Any]) -> Mapping[str, Any]:
    """What somebody gave to be sent a code is a claim, and of no use for the matter itself."""
    form: Mapping[str, Any] = dialogue.get("form") or {}
    return {**form, "values": {}} if form.get("tool") == verification.NAME else form


def _readable(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
