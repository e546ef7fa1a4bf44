"""The table of levels: what each one opens, and that a code opens nothing but its purpose."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.proof import levels
from customers.proof.levels import Allowed, Level, NeedsLevel, Standing, decide

NOBODY, CHANNEL = Standing(), Standing(channel=True)
CODE = Standing(channel=True, purposes=frozenset({"orders"}))
SIGNED = Standing(channel=True, account=True)
BOTH = Standing(channel=True, account=True, just_signed=True, purposes=frozenset({"contacts"}))
STANDINGS = st.builds(
    Standing, channel=st.booleans(), account=st.booleans(), just_signed=st.booleans(),
    purposes=st.frozensets(st.sampled_from(["orders", "contacts", "talk"])),
)  # fmt: skip
ACTIONS = st.sampled_from(sorted(levels.actions()))


@pytest.mark.parametrize(
    ("action", "standing", "needed"),
    [
        ("ask_knowledge", NOBODY, None),
        ("reach_a_person", NOBODY, None),
        ("earlier_conversations", NOBODY, Level.CHANNEL),
        ("earlier_conversations", CHANNEL, None),
        ("order_status", CHANNEL, Level.CODE),
        ("order_status", CODE, None),
        ("order_status", SIGNED, None),
        ("stored_contacts", CODE, Level.CODE),
        ("order_delivery", CODE, Level.ACCOUNT),
        ("order_delivery", SIGNED, None),
        ("change_contacts", SIGNED, Level.ACCOUNT_AND_CODE),
        ("change_contacts", BOTH, None),
        ("export", BOTH, None),
        ("erase", SIGNED, Level.ACCOUNT_AND_CODE),
    ],
)
def test_what_is_needed(action: str, standing: Standing, needed: Level | None) -> None:
    expected = Allowed() if needed is None else NeedsLevel(needed, levels.actions()[action].purpose)
    assert decide(action, standing) == expected


def test_a_larger_refund_needs_a_sign_in_when_only_a_code_was_shown() -> None:
    refund = "refund_to_original_means"
    assert decide(refund, CODE, Decimal("500")) == Allowed()
    assert decide(refund, CODE, Decimal("500.01")) == NeedsLevel(Level.ACCOUNT, "orders")
    assert decide(refund, SIGNED, Decimal("500.01")) == Allowed()


@given(STANDINGS)
def test_what_staff_think_of_a_customer_is_shown_at_no_level(standing: Standing) -> None:
    assert decide("staff_judgements", standing) == NeedsLevel(None, "talk")


@given(ACTIONS, STANDINGS)
def test_a_code_opens_only_its_purpose(action: str, standing: Standing) -> None:
    purpose = levels.actions()[action].purpose
    without = Standing(
        standing.channel, standing.account, standing.just_signed, standing.purposes & {purpose}
    )
    assert decide(action, standing) == decide(action, without)


@given(ACTIONS, STANDINGS)
def test_nobody_may_less_when_they_have_proven_more(action: str, standing: Standing) -> None:
    more = Standing(True, True, True, standing.purposes | {"orders", "contacts", "talk"})
    if isinstance(decide(action, standing), Allowed):
        assert isinstance(decide(action, more), Allowed)


def test_every_level_says_how_long_it_lasts() -> None:
    assert [levels.seconds(one) for one in Level] == [None, 86_400, 1_800, 1_800, 300]
