"""Fifth node: turns the parts into one reply, and climbs down the ladder where knowledge has to answer.

The rungs: a language model whose every sentence passed the guard, the published text word for word, a question back
with the closest titles, a person. A model is never waited for longer than `MODEL_SECONDS`, and whatever it does (hang,
break in the middle, invent), the next rung is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog
from langgraph.runtime import Runtime

from agent import guard, policy
from agent.context import AgentContext
from agent.state import ANSWER, Dialogue, Part, ReplyState, TurnState
from foundation import errors
from foundation.language_models.contract import LanguageModel, Line

MODEL_SECONDS = 20.0
TITLES = 3
QUOTED = 3
"""Passages a model is given."""
QUOTE_LENGTH = 300

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What one part became."""

    text: str
    prompts: tuple[str, ...]
    choices: tuple[dict[str, str], ...] = ()
    citations: tuple[dict[str, Any], ...] = ()
    rung: str = ""
    model: str = ""
    drafted: str = ""
    dialogue: Dialogue = field(default_factory=Dialogue)
    handoff: str = ""


async def compose(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context = runtime.context
    spoken = [
        await (
            _answer(state, context, part["values"]) if part["reply"] == ANSWER else _say(part, state, context)
        )
        for part in state["parts"]
    ]
    dialogue = state["dialogue"]
    for one in spoken:
        dialogue = {**dialogue, **one.dialogue}
    knowledge = next((one for one in spoken if one.rung), None)
    offered = _offer(state, context, knowledge)
    reply = ReplyState(
        text=_joined([one.text for one in spoken if one.text]),
        choices=_choices(spoken) or offered,
        citations=[citation for one in spoken for citation in one.citations],
    )
    return {
        "reply": reply,
        "dialogue": {
            **dialogue,
            "choices": [choice["value"] for choice in reply["choices"]],
            "offered": policy.OFFERS[state["understood"]["intent"]] if offered else "",
        },
        "prompts": list(dict.fromkeys(name for one in spoken for name in one.prompts)),
        "rung": knowledge.rung if knowledge else state["plan"]["route"],
        "model": knowledge.model if knowledge else "",
        "drafted": knowledge.drafted if knowledge else "",
        "handoff": state.get("handoff") or next((one.handoff for one in spoken if one.handoff), ""),
    }


def _offer(state: TurnState, context: AgentContext, knowledge: _Spoken | None) -> list[dict[str, str]]:
    """After the rules, the task they are about, as one button."""
    task = policy.OFFERS.get(state["understood"]["intent"] or "")
    if knowledge is None or knowledge.rung not in ("model", "article") or state["plan"]["route"] != "answer":
        return []
    if task is None or state["dialogue"].get("form"):
        return []
    option = next(one for one in context.services.words.task_options if one["value"] == task)
    return [{"label": option[state["language"]], "value": option[state["language"]]}]


async def _say(part: Part, state: TurnState, context: AgentContext) -> _Spoken:
    language = state["language"]
    rendered = await context.say(part["reply"], language, part["values"])
    choices = tuple({"label": option[language], "value": option[language]} for option in part["options"])
    return _Spoken(rendered.text.strip(), (rendered.digest,), choices=choices)


async def _answer(state: TurnState, context: AgentContext, values: dict[str, Any]) -> _Spoken:
    rules, status = context.services.rules, state["understood"]["status"]
    band = policy.may_answer(state["answerable"], rules, status=status) if state["passages"] else "no"
    if band != "answer" and (instead := state["plan"].get("reply")):  # a picture that says nothing to us
        return await _say(Part(reply=instead, values=values, options=[]), state, context)
    if band != "answer":
        return await _ask_back(state, context, offer=band == "offer")
    model = context.services.model
    if model is not None:
        written = await _from_model(model, state, context)
        if written is not None:
            return written
    return await _published(state, context)


async def _from_model(model: LanguageModel, state: TurnState, context: AgentContext) -> _Spoken | None:
    """None when no sentence of it may be shown."""
    used = state["passages"][:QUOTED]
    sources = [*(passage["answer"] for passage in used), *(passage["text"] for passage in used)]
    prompt = await context.prompt("answer", state["language"], {})
    lines = _lines(prompt.text, state, used)
    kept: list[str] = []
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            async with aclosing(_sentences(model, lines, prompt.digest)) as stream:
                async for sentence in stream:
                    if guard.is_supported(sentence, sources):
                        context.show(len(kept), _fitted(sentence, state, context))
                        kept.append(sentence)
    except (errors.ServiceError, TimeoutError) as error:
        _log.warning("no model could answer", error=type(error).__name__, kept=len(kept))
        kept = []
    if not kept:
        return None
    drafted = guard.keep_supported("".join(f"{sentence}\n" for sentence in kept), sources).text
    citations = tuple(_citation(passage) for passage in used if _is_used(passage, kept))
    return _Spoken(
        drafted, (prompt.digest,), citations=citations, rung="model", model=model.name, drafted=drafted,
        dialogue={"topic": used[0]["title"], "misunderstood": 0},
    )  # fmt: skip


async def _sentences(model: LanguageModel, lines: list[Line], prompt: str) -> AsyncGenerator[str, None]:
    """Whole sentences as the pieces arrive; what stands at the end without an end mark is a sentence too."""
    waiting = ""
    async for piece in model.stream(lines, prompt=prompt):
        waiting += piece
        whole, waiting = guard.split(waiting)
        for sentence in whole:
            yield sentence
    for sentence in guard.sentences(waiting):
        yield sentence


def _lines(instructions: str, state: TurnState, used: list[dict[str, Any]]) -> list[Line]:
    """Instructions are ours alone; what customers and documents say is data, quoted as JSON."""
    data = {
        "passages": [{"title": passage["title"], "text": passage["answer"]} for passage in used],
        "earlier": [{"who": line["role"], "said": line["text"][:500]} for line in state["recent"][-4:]],
        "question": state["message"]["text"][:2_000],
    }
    if seen := state["message"].get("seen"):
        data["picture"] = seen
    return [Line("system", instructions), Line("user", json.dumps(data, ensure_ascii=False))]


async def _published(state: TurnState, context: AgentContext) -> _Spoken:
    best = state["passages"][0]
    text, prompts = str(best["answer"]), ()
    if best["other_language"]:
        lead = await context.say("other_language", state["language"], {"source": best["language"]})
        text, prompts = f"{lead.text.strip()}\n{text}", (lead.digest,)  # type: ignore[assignment]
    return _Spoken(
        text, prompts, citations=(_citation(best),), rung="article",
        dialogue={"topic": best["title"], "misunderstood": 0},
    )  # fmt: skip


async def _ask_back(state: TurnState, context: AgentContext, *, offer: bool) -> _Spoken:
    """Not understood: once with the closest titles or what we can do, the next time a person."""
    rules = context.services.rules
    missed = state["dialogue"].get("misunderstood", 0) + 1
    open_form = bool(state["dialogue"].get("form"))
    dialogue: Dialogue = {"misunderstood": missed}
    stranger = state["understood"]["status"] == "out_of_scope"
    if missed >= (rules.strangers if stranger else rules.misunderstandings):
        return _Spoken("", (), rung="clarify", dialogue=dialogue, handoff="not_understood")
    titles = _titles(state) if offer and not open_form else []
    values = {"titles": titles, "out_of_scope": stranger and not titles}
    rendered = await context.say("ask_back", state["language"], values)
    choices = tuple({"label": title, "value": title} for title in titles)
    return _Spoken(
        rendered.text.strip(), (rendered.digest,), choices=choices, rung="clarify", dialogue=dialogue
    )


def _titles(state: TurnState) -> list[str]:
    return list(dict.fromkeys(str(passage["title"]) for passage in state["passages"]))[:TITLES]


def _citation(passage: dict[str, Any]) -> dict[str, Any]:
    quote = str(passage["answer"])
    return {
        "article": passage["article"],
        "title": passage["title"],
        "version": passage["version"],
        "quote": quote[:QUOTE_LENGTH],
    }


def _is_used(passage: dict[str, Any], kept: list[str]) -> bool:
    return any(guard.is_supported(sentence, [passage["answer"], passage["text"]]) for sentence in kept)


def _joined(texts: list[str]) -> str:
    """A lead that ends with a colon stands directly over what it introduces."""
    text = ""
    for one in texts:
        gap = "" if not text else "\n" if text.endswith((":", "：")) else "\n\n"
        text += gap + one
    return text


def _choices(spoken: list[_Spoken]) -> list[dict[str, str]]:
    """One set of choices a reply: that of the last question, which is the one being asked."""
    return next((list(one.choices) for one in reversed(spoken) if one.choices), [])


def _fitted(text: str, state: TurnState, context: AgentContext) -> str:
    return context.services.writing.fit(text, state["dialogue"].get("script", "hans"))
