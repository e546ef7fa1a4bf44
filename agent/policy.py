"""Which message leads where: a task, an answer, small talk, a notice, or a person. Pure; called by `nodes/recall.py`.

The thresholds are in `Rules`, so that an evaluation can try others. Nothing here knows a channel, and nothing here reads
customers' names or data. The order of the questions in `plan` is the policy: safety, then the open form, then the wish.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

Route = Literal["hand_over", "task", "answer", "small_talk", "notice", "repeat", "silent"]

TASKS: Mapping[str, str] = {
    "order_status": "order_status",
    "refund_status": "order_status",
    "return_request": "return_request",
    "address_change": "address_change",
    "invoice_request": "invoice_request",
    "cancel_order": "cancel_order",
}
REFUNDING = frozenset({"cancel_order", "return_request"})
SMALL_TALK = frozenset({"greeting", "thanks", "goodbye", "bot_identity", "chitchat"})
ACTS = frozenset({"affirm", "deny", "cancel", "correction", "repetition"})
"""What understanding may name instead of an intent: it says something about the dialogue, not about the shop."""
_NOT_KNOWLEDGE = SMALL_TALK | ACTS | {"human", "complaint"}
OFFERS: Mapping[str, str] = {
    "return_policy": "return_request",
    "exchange_request": "return_request",
    "invoice_policy": "invoice_request",
    "delivery_time": "order_status",
    "delivery_problem": "order_status",
}
"""After an answer about the rules, the task that usually comes next."""
SHORT = 10
"""Characters; of English half as many words."""
OWN_ORDER_WITH_NUMBER = frozenset({"delivery_time", "delivery_problem", "refund_status", "order_status"})
"""With an order number in the message these ask about that order, not about the rules."""

_SIGNAL_REASONS: Mapping[str, str] = {
    "self_harm": "self_harm",
    "legal_threat": "threat",
    "media_threat": "threat",
    "insult": "anger",
}
"""What understanding found in the words, the gravest first, and the reason under which a person takes over."""


_DURATION = re.compile(r"(多久|几天|几日|几时|几耐|什么时候能?到账|how (long|many days)|how soon)")
_ORDER = re.compile(r"(订单|单子|\border\b)")
_PERSON = re.compile(
    r"^(我?要?(找|转)?(人工|真人)(客服)?|person|human|agent|operator)[\u3002.!\uff01 吧]*$|\ba (real )?(person|human)( then| please)?[.! ]*$"
)
"""What our own replies tell customers to say; it must work whatever a classifier makes of it."""
_NODS = re.compile(
    r"^(知道了?|明白了?|懂了|了解了?|哦+|噢+|嗯+|好吧|i see|got it|understood|alright)[\u3002.!\uff01~ ]*$"
)
_SETTLED = re.compile(
    r"(解决了|不用了|不需要了|不用人工|不要人工|没事了|搞定了|我自己(弄|解决)|不等了|算了|问机器人|找机器人|用机器人|回到机器人|智能客服|"
    r"no longer need|never ?mind|(it.?s|is|been) (solved|sorted|settled|fixed)|(back to|ask|talk to) the bot|"
    r"don.?t need (a|an|the) (person|human|agent)|don.?t want to wait)"
)


class Plan(TypedDict):
    route: Route
    tool: str
    """For a task."""
    reply: str
    """For small talk and notices: the reply file."""
    reason: str
    """Why a person is needed, a stable code."""
    also_answer: bool
    """A task, and a question of knowledge in the same message."""
    drop_form: bool
    park_form: bool
    ask_again: bool
    """Say it, then ask the open form's question again."""


@dataclass(frozen=True, slots=True)
class Rules:
    strong_anger: float = -0.85
    """Valence at or below which one message is enough, unless it answers a form's question."""
    anger: float = -0.35
    angry_messages: int = 2
    wants_human: float = 0.6
    misunderstandings: int = 2
    strangers: int = 3
    """So many messages in a row that are nothing for a shop, and a person looks at it."""
    sure: float = 0.5
    second_intent: float = 0.3
    """A second intent is served as well from this probability on."""
    answerable: float = 0.5
    """Retrieval's judgement from which the best passage is given as the answer."""
    answerable_stranger: float = 0.65
    """The same for a message that understanding takes for a stranger: two judges have to be overruled."""
    likely: float = 0.25
    """Below it the titles are not even worth offering."""


@dataclass(frozen=True, slots=True)
class View:
    """What the policy looks at, all plain."""

    kind: str
    event: str
    plain: str
    intent: str
    intents: Sequence[tuple[str, float]]
    status: str
    confidence: float
    emotion: str
    valence: float
    wants_human: float
    acts: frozenset[str]
    signals: frozenset[str]
    question: bool
    has_order_no: bool
    angry_before: int
    misunderstood_before: int
    form_tool: str
    form_fills: bool
    """The message is about the open form."""
    form_answers: bool
    """It answers the very question that was asked."""
    form_exact: bool
    """It is, word for word or by number, one of the options that were offered."""
    offered: str
    """The task that the last answer offered."""
    offered_fills: bool
    """The message already gives something that task needs."""
    knows_last_reply: bool
    wish: str = ""
    """The tool that the words ask for, where it is about the customer's own data."""
    seen: bool = False
    """It is a picture that a model has described: a question for the knowledge base at most."""


def plan(view: View, rules: Rules) -> Plan:
    if view.kind == "event":
        return _event(view)
    if reason := handoff_reason(view, rules):
        return _make("hand_over", reason=reason)
    if view.kind == "image" and view.seen and not view.form_tool:
        return _make("answer", reply="unreadable_kind")
    if view.kind != "text":
        return _make("notice", reply="unreadable_kind", ask_again=bool(view.form_tool))
    if not _says_something(view.plain):
        return _make("notice", reply="empty_text", ask_again=bool(view.form_tool))
    if view.wish and view.wish != view.form_tool and not view.form_exact:
        return _make("task", tool=view.wish, park_form=bool(view.form_tool))
    if view.form_tool:
        return _with_form(view, rules)
    if view.knows_last_reply and _is_short(view.plain) and "repetition" in (*view.acts, view.intent):
        return _make("repeat")
    return _fresh(view, rules)


def handoff_reason(view: View, rules: Rules) -> str:
    """The rules that send a conversation to a person before anything else is tried; "" when none applies."""
    for signal, reason in _SIGNAL_REASONS.items():
        if signal in view.signals:
            return reason
    if view.kind != "text" or view.form_exact:
        return ""
    asked_for = bool(_PERSON.search(view.plain)) and not view.question
    if view.wish and not asked_for:
        return ""  # "do not profile me" is firm, not angry
    if asked_for or view.wants_human >= rules.wants_human or _is_sure(view, "human", rules):
        return "wants_human"
    if _is_angry(view, rules.strong_anger) and not view.form_answers:
        return "anger"
    if is_angry(view, rules) and view.angry_before + 1 >= rules.angry_messages:
        return "anger"
    if _is_sure(view, "complaint", rules) and not view.form_fills:
        return "complaint"
    return ""


def leaves_queue(plain: str) -> bool:
    """A waiting customer says that the matter is settled, or wants the bot back."""
    return bool(_SETTLED.search(plain))


def is_angry(view: View, rules: Rules) -> bool:
    """Counts towards "twice". An answer to a form is judged by the strict bar: names and figures have no mood."""
    return _is_angry(view, rules.strong_anger if view.form_fills else rules.anger)


def may_answer(answerable: float, rules: Rules, *, status: str = "sure") -> Literal["answer", "offer", "no"]:
    """The confidence bands of knowledge: give it, offer the closest titles, or say that we have nothing."""
    stranger = status == "out_of_scope"
    if answerable >= (rules.answerable_stranger if stranger else rules.answerable):
        return "answer"
    return "offer" if answerable >= (rules.answerable if stranger else rules.likely) else "no"


def _is_angry(view: View, valence: float) -> bool:
    """A bare "again, please" or small talk is too little to hear a mood in."""
    mere = view.intent in ACTS | SMALL_TALK or bool(view.wish)
    return view.emotion == "angry" and view.valence <= valence and not mere


def _is_sure(view: View, intent: str, rules: Rules) -> bool:
    return view.intent == intent and view.status == "sure" and view.confidence >= rules.sure


def _event(view: View) -> Plan:
    return (
        _make("small_talk", reply="welcome")
        if view.event in ("subscribe", "enter", "start")
        else _make("silent")
    )


def _says_something(plain: str) -> bool:
    return any(mark.isalnum() for mark in plain)


def _with_form(view: View, rules: Rules) -> Plan:
    another = _another_task(view)
    if another and "cancel" in view.acts:
        return _make("task", tool=another, drop_form=True)
    if another and not view.form_answers:
        return _make("task", tool=another, park_form=True)
    if view.form_fills:
        also = view.question and _asks_knowledge(view)
        return _make("task", tool=view.form_tool, also_answer=also)
    if view.status == "sure" and view.intent in SMALL_TALK and not view.question:
        return _make("small_talk", reply=_small_talk(view.intent), ask_again=True)
    if view.question or (view.status == "sure" and _asks_knowledge(view)):
        return _make("answer", ask_again=True)
    return _make("task", tool=view.form_tool)


def _another_task(view: View) -> str:
    """A different task than the open form's. "Cancel" alone means the form, and "how long" asks about the rules."""
    task = _task(view)
    if not task or task == view.form_tool or view.status != "sure":
        return ""
    if view.intent == "cancel_order" and not _ORDER.search(view.plain):
        return ""
    return "" if view.intent == "refund_status" and _asks_how_it_will_be(view) else task


def _asks_how_it_will_be(view: View) -> bool:
    """While an order is being cancelled or returned, "how will I be refunded?" asks for the rules, not for a refund
    under way."""
    about_this = view.form_tool in REFUNDING and view.question and not view.has_order_no
    return about_this or bool(_DURATION.search(view.plain))


def _fresh(view: View, rules: Rules) -> Plan:
    if wish := _wish(view, rules):
        return wish
    if view.intent in ACTS and view.status == "sure" and _is_short(view.plain):
        return _acknowledge(view)
    if _NODS.search(view.plain):
        return _acknowledge(view)
    if view.status == "sure" and view.intent in SMALL_TALK:
        return _make("small_talk", reply=_small_talk(view.intent))
    return _make("answer")


def _wish(view: View, rules: Rules) -> Plan | None:
    """The task that is wanted: named, offered before and taken up now, or meant by a bare order number."""
    task, asks_how_long = _task(view), view.intent == "refund_status" and bool(_DURATION.search(view.plain))
    if asks_how_long:
        task = next((TASKS[name] for name, _ in view.intents[1:] if name in TASKS), task)
    if task and view.status == "sure":
        return _make("task", tool=task, also_answer=asks_how_long or _second_is_knowledge(view, rules))
    is_sure = view.status == "sure" and view.intent not in ACTS
    takes_up = view.offered_fills or view.has_order_no or "affirm" in (*view.acts, view.intent)
    if view.offered and takes_up and not is_sure:
        return _make("task", tool=view.offered)
    if view.has_order_no and not is_sure:
        return _make("task", tool="order_status")
    second = next(
        (name for name, share in view.intents[1:3] if share >= rules.second_intent and name in TASKS), ""
    )
    return _make("task", tool=TASKS[second], also_answer=True) if second and is_sure else None


def _is_short(plain: str) -> bool:
    """What only means "yes" or "again" is short; a longer text that seems to is not understood."""
    return len(plain) <= SHORT or (plain.isascii() and len(plain.split()) <= SHORT // 2)


def _acknowledge(view: View) -> Plan:
    return _make("answer") if view.question else _make("small_talk", reply="acknowledged")


def _task(view: View) -> str:
    if view.has_order_no and view.intent in OWN_ORDER_WITH_NUMBER:
        return "order_status"
    return TASKS.get(view.intent, "")


def _second_is_knowledge(view: View, rules: Rules) -> bool:
    return any(
        share >= rules.second_intent and name not in _NOT_KNOWLEDGE and name not in TASKS
        for name, share in view.intents[1:3]
    )


def _asks_knowledge(view: View) -> bool:
    return view.intent not in _NOT_KNOWLEDGE


def _small_talk(intent: str) -> str:
    return "greeting" if intent == "chitchat" else intent


def _make(
    route: Route, *, tool: str = "", reply: str = "", reason: str = "", also_answer: bool = False,
    drop_form: bool = False, park_form: bool = False, ask_again: bool = False,
) -> Plan:  # fmt: skip
    return Plan(
        route=route, tool=tool, reply=reply, reason=reason, also_answer=also_answer,
        drop_form=drop_form, park_form=park_form, ask_again=ask_again,
    )  # fmt: skip
