"""Third node, for what knowledge must answer: the published passages nearest to the question.

The vector is the turn's one embedding. Only a question that does not stand by itself ("and how long does that take?")
costs another one: it is asked again with what the conversation is about, the form's task or the last answer's title.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from langgraph.runtime import Runtime

from agent.context import AgentContext
from agent.state import TurnState
from agent.understanding.understand import split_clauses
from retrieval.passages import Audience, Found, Hit, Query

LIMIT = 5
FOLLOW_UP = 40
"""Characters up to which a question may lean on the conversation; a longer one says what it is about."""
SPEAKS_FOR_ITSELF = 0.8
"""From this answerability on, a question that could lean on the conversation need not."""


async def retrieve(state: TurnState, runtime: Runtime[AgentContext]) -> dict[str, Any]:
    context = runtime.context
    audience: Audience = "member" if context.account else "public"
    query = Query(
        tenant=context.tenant,
        text=str(state["understood"]["normalised"]),
        vector=np.asarray(state["vector"], dtype=np.float32),
        language=state["language"],
        audience=audience,
    )
    found = await context.services.knowledge.search(query, LIMIT)
    for other in _other_readings(query.text, found, state, context):
        again = await context.services.knowledge.ask(
            query.tenant, other, language=query.language, audience=audience, limit=LIMIT
        )
        found = again if again.answerable > found.answerable or _leans(state, context) else found
    return {
        "passages": [_plain(hit) for hit in found.passages],
        "answerable": float(found.answerable),
        "degraded": list(found.degraded),
        "vector": [],
    }


def _other_readings(text: str, found: Found, state: TurnState, context: AgentContext) -> list[str]:
    """The same question with what it is about; for a message of two wishes, its clauses one by one."""
    if state["plan"]["route"] == "task" and state["plan"]["also_answer"]:
        return split_clauses(text)
    if found.answerable >= SPEAKS_FOR_ITSELF or len(text) > FOLLOW_UP:
        return []
    form, words = state["dialogue"].get("form"), context.services.words
    if form and words.how_long.search(state["heard"]["plain"]):
        question = words.how_long_questions.get(form["tool"], {}).get(state["language"])
        return [question] if question else []
    topic = state["dialogue"].get("topic", "") if state["understood"]["status"] != "out_of_scope" else ""
    sure_enough = found.answerable >= context.services.rules.answerable and not _leans(state, context)
    return [] if sure_enough or not topic else [f"{topic} {text}"]


def _leans(state: TurnState, context: AgentContext) -> bool:
    """ "And for credit cards?", "how long does that take?" in the middle of a form: only the context tells."""
    words, plain = context.services.words, state["heard"]["plain"]
    if state["plan"]["route"] != "answer":
        return False
    in_form = bool(state["dialogue"].get("form")) and bool(words.how_long.search(plain))
    return in_form or (bool(words.elliptic.search(plain)) and bool(state["dialogue"].get("topic")))


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        "article": hit.article,
        "language": hit.language,
        "title": hit.title,
        "version": hit.version,
        "text": hit.text,
        "answer": hit.answer,
        "heading": hit.heading,
        "score": float(hit.score),
        "other_language": hit.other_language,
    }
