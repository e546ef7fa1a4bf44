"""Invariants of the return policy that hold for every order, beside the branches tested through the server."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from demo.shop.order_server import SHOP
from demo.shop.return_policy import Line, ReturnQuestion, decide_return, end_of_day_after, load_policy

POLICY = load_policy(SHOP / "policy.yaml")
SIGNED = datetime(2026, 5, 1, 4, 0, tzinfo=UTC)
CATEGORIES = ("lamp", "bedding", "custom", "consumable", "gift_card")

amounts = st.decimals(min_value="0.01", max_value="5000", places=2)
lines = st.lists(st.tuples(amounts, st.sampled_from(CATEGORIES), st.booleans()), min_size=1, max_size=6)


@st.composite
def questions(draw: st.DrawFn) -> ReturnQuestion:
    drawn = draw(lines)
    ordered = tuple(
        Line(sku=str(number), category=category, returnable=returnable, amount=amount)
        for number, (amount, category, returnable) in enumerate(drawn)
    )
    goods = sum((line.amount for line in ordered), Decimal(0))
    skus = [line.sku for line in ordered]
    return ReturnQuestion(
        lines=ordered,
        chosen=frozenset(draw(st.lists(st.sampled_from(skus), min_size=1, unique=True))),
        reason=draw(st.sampled_from(sorted(POLICY.reasons))),
        signed_at=SIGNED,
        level=draw(st.sampled_from(["member", "silver", "gold", "platinum"])),
        discount=draw(st.decimals(min_value=0, max_value=goods, places=2)),
        delivery_fee=draw(st.sampled_from([Decimal("0.00"), Decimal("8.00")])),
    )


@given(questions(), st.integers(min_value=0, max_value=120))
def test_refund_stays_within_what_was_paid_when_anything_is_returned(
    question: ReturnQuestion, days: int
) -> None:
    paid = (
        sum((line.amount for line in question.lines), Decimal(0)) - question.discount + question.delivery_fee
    )
    decision = decide_return(POLICY, question, now=SIGNED + timedelta(days=days))
    assert Decimal(0) <= decision.refund_amount <= paid
    assert decision.refund_amount == decision.refund_amount.quantize(Decimal("0.01"))


@given(questions(), st.integers(min_value=0, max_value=120))
def test_nothing_is_granted_when_policy_forbids(question: ReturnQuestion, days: int) -> None:
    decision = decide_return(POLICY, question, now=SIGNED + timedelta(days=days))
    if not decision.allowed:
        assert (decision.needs_approval, decision.refund_amount) == (False, Decimal("0.00"))


@given(questions(), st.integers(min_value=0, max_value=120))
def test_decision_never_becomes_kinder_when_time_passes(question: ReturnQuestion, days: int) -> None:
    def strictness(at: datetime) -> int:
        decision = decide_return(POLICY, question, now=at)
        return 2 if not decision.allowed else int(decision.needs_approval)

    earlier = SIGNED + timedelta(days=days)
    assert strictness(earlier) <= strictness(earlier + timedelta(days=1))


@given(questions())
def test_large_refund_needs_a_person_when_within_the_window(question: ReturnQuestion) -> None:
    decision = decide_return(POLICY, question, now=SIGNED + timedelta(days=1))
    if decision.allowed:
        assert decision.needs_approval == (decision.refund_amount > POLICY.approval_above)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_window_ends_at_local_midnight_when_signed_at_any_hour(signed_at: datetime) -> None:
    zone = ZoneInfo(POLICY.time_zone)
    end = end_of_day_after(signed_at, days=7, time_zone=POLICY.time_zone).astimezone(zone)
    assert (end.hour, end.minute, end.second) == (23, 59, 59)
    assert (end.date() - signed_at.astimezone(zone).date()).days == 7
