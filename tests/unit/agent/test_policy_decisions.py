"""Which message leads where, and when a person is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent import policy
from agent.policy import Rules, View

RULES = Rules()
CALM = View(
    kind="text", event="", plain="hello", intent="", intents=(), status="unsure", confidence=0.0, emotion="neutral",
    valence=0.0, wants_human=0.0, acts=frozenset(), signals=frozenset(), question=False, has_order_no=False,
    angry_before=0, misunderstood_before=0, form_tool="", form_fills=False, form_answers=False, form_exact=False,
    offered="", offered_fills=False, knows_last_reply=True,
)  # fmt: skip


def sure(intent: str, **changes: object) -> View:
    return replace(CALM, intent=intent, intents=((intent, 0.9),), status="sure", confidence=0.9, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (replace(CALM, signals=frozenset({"self_harm", "insult"})), "self_harm"),
        (replace(CALM, signals=frozenset({"legal_threat"})), "threat"),
        (replace(CALM, signals=frozenset({"media_threat"})), "threat"),
        (replace(CALM, signals=frozenset({"insult"})), "anger"),
        (replace(CALM, wants_human=0.8), "wants_human"),
        (sure("human"), "wants_human"),
        (replace(CALM, emotion="angry", valence=-0.9), "anger"),
        (replace(CALM, emotion="angry", valence=-0.5, angry_before=1), "anger"),
        (sure("complaint"), "complaint"),
        (replace(CALM, emotion="angry", valence=-0.5), ""),
        (replace(CALM, emotion="disappointed", valence=-0.9, angry_before=5), ""),
        (sure("return_request"), ""),
        (sure("thanks", emotion="angry", valence=-0.9), ""),
        (sure("human", form_tool="invoice_request", form_fills=True, form_answers=True, form_exact=True), ""),
        (sure("human", form_tool="invoice_request", form_fills=True, form_answers=True), "wants_human"),
        (replace(CALM, emotion="angry", valence=-0.9, form_tool="x", form_fills=True, form_answers=True), ""),
    ],
)
def test_a_person_is_called_when_the_rules_say_so(view: View, reason: str) -> None:
    assert policy.handoff_reason(view, RULES) == reason


@pytest.mark.parametrize("kind", ["image", "voice", "video", "file", "location", "link", "unknown"])
def test_what_cannot_be_read_is_said_aloud_when_it_is_no_text(kind: str) -> None:
    plan = policy.plan(replace(CALM, kind=kind, plain=""), RULES)
    assert (plan["route"], plan["reply"]) == ("notice", "unreadable_kind")


def test_picture_that_was_described_is_a_question_and_never_an_order() -> None:
    """Whatever stands in it, it wants nobody, fills nothing and says no "yes"."""
    picture = replace(CALM, kind="image", plain="", seen=True)
    plan = policy.plan(picture, RULES)
    assert (plan["route"], plan["reply"]) == ("answer", "unreadable_kind")
    in_form = policy.plan(replace(picture, form_tool="return_request", form_answers=True), RULES)
    assert (in_form["route"], in_form["reply"], in_form["ask_again"]) == ("notice", "unreadable_kind", True)


@pytest.mark.parametrize("plain", ["", "   ", "?!", "😀", "。。。"])
def test_a_text_without_words_is_noticed(plain: str) -> None:
    assert policy.plan(replace(CALM, plain=plain), RULES)["reply"] == "empty_text"


@pytest.mark.parametrize(("intent", "tool"), policy.TASKS.items())
def test_a_task_starts_when_the_wish_is_sure(intent: str, tool: str) -> None:
    plan = policy.plan(sure(intent), RULES)
    assert (plan["route"], plan["tool"]) == ("task", tool)


def test_knowledge_answers_when_the_wish_is_not_sure() -> None:
    unsure = replace(CALM, intents=(("return_request", 0.4),))
    assert policy.plan(unsure, RULES)["route"] == "answer"


def test_both_are_served_when_a_message_holds_two_wishes() -> None:
    view = replace(sure("order_status"), intents=(("order_status", 0.7), ("membership", 0.6)))
    plan = policy.plan(view, RULES)
    assert (plan["tool"], plan["also_answer"]) == ("order_status", True)


def test_an_order_number_alone_asks_for_its_state() -> None:
    plan = policy.plan(replace(CALM, plain="sq2026010001", has_order_no=True), RULES)
    assert plan["tool"] == "order_status"


def test_the_offered_task_starts_when_a_number_follows_an_answer() -> None:
    plan = policy.plan(replace(CALM, has_order_no=True, offered="invoice_request"), RULES)
    assert plan["tool"] == "invoice_request"


def test_the_offered_task_starts_when_the_message_fills_it() -> None:
    plan = policy.plan(
        replace(CALM, plain="杭州听雨设计有限公司", offered="invoice_request", offered_fills=True), RULES
    )
    assert plan["tool"] == "invoice_request"


@pytest.mark.parametrize("plain", ["人工", "person", "fine, a person then", "转人工", "human"])
def test_a_person_comes_when_the_customer_says_what_our_replies_suggest(plain: str) -> None:
    assert policy.handoff_reason(replace(CALM, plain=plain), RULES) == "wants_human"


@pytest.mark.parametrize("plain", ["知道了", "明白", "got it"])
def test_a_nod_is_acknowledged(plain: str) -> None:
    assert policy.plan(replace(CALM, plain=plain), RULES)["reply"] == "acknowledged"


def test_yes_starts_what_was_offered() -> None:
    assert policy.plan(sure("affirm", offered="return_request"), RULES)["tool"] == "return_request"
    assert policy.plan(sure("affirm"), RULES)["reply"] == "acknowledged"


FORM = replace(CALM, form_tool="return_request")


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (replace(FORM, form_fills=True, form_answers=True), {"route": "task", "tool": "return_request"}),
        (replace(FORM, question=True), {"route": "answer", "ask_again": True}),
        (replace(sure("shipping_fee"), form_tool="return_request"), {"route": "answer", "ask_again": True}),
        (replace(sure("thanks"), form_tool="return_request"), {"route": "small_talk", "ask_again": True}),
        (replace(sure("address_change"), form_tool="return_request"), {"tool": "address_change", "park_form": True}),
        (
            replace(sure("address_change"), form_tool="return_request", acts=frozenset({"cancel"})),
            {"tool": "address_change", "drop_form": True},
        ),
        (
            replace(sure("cancel_order"), form_tool="return_request", acts=frozenset({"cancel"}), form_fills=True,
                    form_answers=True, plain="取消"),
            {"tool": "return_request", "drop_form": False},
        ),
        (
            replace(sure("refund_status"), form_tool="return_request", question=True, plain="多久退款"),
            {"route": "answer", "ask_again": True},
        ),
        (
            replace(sure("refund_status"), form_tool="cancel_order", question=True, plain="how will i be refunded"),
            {"route": "answer", "ask_again": True},
        ),
        (
            replace(sure("refund_status"), form_tool="cancel_order", question=True, plain="sq2026010012 refunded yet?",
                    has_order_no=True),
            {"route": "task", "tool": "order_status", "park_form": True},
        ),
        (
            replace(sure("shipping_fee"), form_tool="return_request", form_fills=True, form_answers=True, question=True),
            {"tool": "return_request", "also_answer": True},
        ),
        (replace(FORM, plain="嗯哼"), {"route": "task", "tool": "return_request"}),
    ],
)  # fmt: skip
def test_an_open_form_comes_first(view: View, expected: dict[str, object]) -> None:
    plan = policy.plan(view, RULES)
    assert {name: plan[name] for name in expected} == expected  # type: ignore[literal-required]


@pytest.mark.parametrize(
    ("answerable", "status", "band"),
    [(0.9, "sure", "answer"), (0.4, "sure", "offer"), (0.1, "sure", "no"), (0.6, "out_of_scope", "offer"), (0.4, "out_of_scope", "no"), (0.7, "out_of_scope", "answer")],
)  # fmt: skip
def test_knowledge_is_given_by_bands_of_confidence(answerable: float, status: str, band: str) -> None:
    assert policy.may_answer(answerable, RULES, status=status) == band


@pytest.mark.parametrize("plain", ["解决了,不用了", "不用人工了", "never mind", "it is solved", "找机器人吧"])
def test_the_queue_is_left_when_the_matter_is_settled(plain: str) -> None:
    assert policy.leaves_queue(plain)


@pytest.mark.parametrize("plain", ["还没解决吗", "在吗", "how long will it take", "快点"])
def test_the_queue_is_kept_when_the_customer_only_asks(plain: str) -> None:
    assert not policy.leaves_queue(plain)
