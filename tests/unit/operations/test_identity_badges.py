"""How sure it is that a name is this customer's, what is masked, and by which evidence it hangs on them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from customers.graph.graph import Component
from customers.graph.partition import Edge, Strength
from customers.graph.records import Evidence, Identity
from foundation.messages import CustomerId
from operations.identities import badges, masks

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def name(
    identity_id: str, access_id: str, *, namespace: str = "wechat_oa:wx", proven: bool = True
) -> Identity:
    return Identity(
        id=identity_id, lookup=identity_id, namespace=namespace, value=identity_id, proven=proven, device=False, shared=False,
        epoch=0, begins_at=NOW, display_name="", customer_id=CustomerId("c"), access_id=access_id, first_seen=NOW,
        last_seen=NOW,
    )  # fmt: skip


def tie(
    one: str, other: str, strength: Strength, *, score: float = 1.0, evidence: str = "e", refused: str = ""
) -> Evidence:
    a, b = sorted((one, other))
    return Evidence(Edge(a, b, evidence, strength, 0, score), "someone", "", refused, None)


def customer(*members: Identity, evidence: tuple[Evidence, ...] = ()) -> Component:
    return Component(CustomerId("c"), members, evidence, (), ())


def told(found: Component, asked_for: str) -> dict[str, str]:
    return {one.identity.id: one.badge for one in badges.standings(found, asked_for)}


def test_whoever_shares_the_accounts_access_is_proven_and_the_rest_is_likely_at_best() -> None:
    found = customer(
        name("old", "old"), name("a", "a", namespace="account"), name("w", "a"), name("by-staff", "by-staff"),
        evidence=(
            tie("old", "a", Strength.LIKELY, score=0.9995), tie("old", "w", Strength.LIKELY, score=0.999),
            tie("by-staff", "a", Strength.STATED), tie("a", "w", Strength.PROVEN),
        ),
    )  # fmt: skip
    assert told(found, "old") == {"a": "proven", "w": "proven", "old": "likely", "by-staff": "stated"}
    standing = next(one for one in badges.standings(found, "old") if one.identity.id == "old")
    assert standing.why is not None
    assert standing.why.edge.score == 0.9995, "the strongest evidence is the one that is shown"


def test_without_an_account_the_channels_word_is_no_proof() -> None:
    found = customer(name("w", "w"), name("x", "x", proven=False), evidence=(tie("w", "x", Strength.STATED),))
    assert told(found, "w") == {"w": "channel", "x": "stated"}
    assert told(found, "x") == {"x": "unvouched", "w": "stated"}


def test_refused_evidence_explains_nothing() -> None:
    found = customer(
        name("a", "a", namespace="account"), name("w", "w"), name("v", "v"),
        evidence=(
            tie("a", "w", Strength.STATED, refused="apart"), tie("a", "w", Strength.LIKELY, evidence="device"),
            tie("w", "v", Strength.LIKELY, score=0.9999, evidence="match:1"),
        ),
    )  # fmt: skip
    assert told(found, "a") == {"a": "proven", "w": "device", "v": "likely"}


@pytest.mark.parametrize(
    ("namespace", "value", "shown"),
    [
        ("phone", "+8613957162043", "139****2043"),
        ("account", "13957162043", "139****2043"),
        ("email:box", "xiaoyu@lanyu-post.cn", "x***@lanyu-post.cn"),
        ("account", "demo1", "demo1"),
        ("wechat_oa:wx", "oXm9f8a7b6c5d4", "oXm9…c5d4"),
        ("crm", "card-7781", "card-7781"),
    ],
)
def test_values_are_masked_by_what_they_look_like(namespace: str, value: str, shown: str) -> None:
    assert masks.mask(namespace, value) == shown
    assert masks.is_masked(namespace, value) is (value != shown)
