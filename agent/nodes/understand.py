"""First node: the message in the customer's words becomes intent, language, feeling, acts and facts.

What is not text has nothing to understand; it keeps the language of the conversation. A number that answers the
choices of the last reply is replaced by what was offered.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.runtime import Runtime

from agent.context import AgentContext, Services
from agent.state import Dialogue, TurnState

ACT_IS_MEANT = 0.7
"""From this probability on an act is believed; forms and confirmations hang on it."""


async def understand(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    services = runtime.context.services
    dialogue = state["dialogue"]
    before = dialogue.get("language") or None
    text = (
        _chosen(state["message"]["text"], dialogue)
        if state["message"]["kind"] == "text"
        else state["message"]["text"]
    )
    if state["message"]["kind"] != "text" and not text.strip():
        seen = state["message"].get("seen", "")
        return await _looked_at(seen, services, dialogue) if seen else _nothing_said(dialogue)
    found = await services.understander.understand(text, previous_language=before)
    plain = services.writing.plain(text)
    understood = found.to_json()
    reply: Literal["zh", "en"] = found.language.reply
    return {
        "message": {**state["message"], "text": text},
        "understood": understood,
        "vector": [float(value) for value in found.vector],
        "language": reply,
        "heard": {
            "text": text,
            "plain": plain,
            "acts": [one.act for one in found.acts if one.score >= ACT_IS_MEANT],
            "entities": _entities(understood["slots"]),
            "question": bool(services.words.question.search(plain)),
        },
        "dialogue": {
            **dialogue,
            "language": found.language.code,
            "script": services.writing.script(text, before=dialogue.get("script", "hans")),
        },
    }


async def _looked_at(seen: str, services: Services, dialogue: Dialogue) -> dict[str, Any]:
    """A description is searched for and nothing else: it has no wish, no mood and no facts that a form might take. As of
    a stranger's words, only what is surely about it is given as an answer."""
    nothing = _nothing_said(dialogue)
    found = await services.understander.understand(seen, previous_language=dialogue.get("language") or None)
    return {
        **nothing,
        "understood": {
            **nothing["understood"],
            "status": "out_of_scope",
            "normalised": found.to_json()["normalised"],
        },
        "vector": [float(value) for value in found.vector],
    }


def _chosen(text: str, dialogue: Dialogue) -> str:
    """ "2" after three offered titles is the second title; with a form open numbers belong to the form."""
    choices = dialogue.get("choices") or []
    number = text.strip().rstrip(".。")
    if dialogue.get("form") or not number.isdecimal() or not 1 <= int(number[:3]) <= len(choices):
        return text
    return choices[int(number) - 1]


def _entities(slots: dict[str, Any]) -> dict[str, list[str]]:
    named = {"phone": "phone", "email": "email", "address": "address", "tax_no": "tax_number"}
    found = {name: [str(slots[slot])] for name, slot in named.items() if slots.get(slot)}
    if slots.get("order_numbers"):
        found["order_no"] = [str(number) for number in slots["order_numbers"]]
    return found


def _nothing_said(dialogue: Dialogue) -> dict[str, Any]:
    return {
        "understood": {
            "intent": None, "status": "sure", "confidence": 0.0, "intents": [], "candidates": [], "signals": [],
            "acts": [], "slots": {}, "wants_human": 0.0, "emotion": {"label": "neutral", "valence": 0.0},
            "language": {"code": dialogue.get("language", "zh-Hans")}, "normalised": "",
        },
        "vector": [],
        "heard": {"text": "", "plain": "", "acts": [], "entities": {}, "question": False},
    }  # fmt: skip
