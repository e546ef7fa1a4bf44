"""What may never stand in a reply, and what only looks like it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.nodes.guard import insides_of

URL_SAFE = string.ascii_letters + string.digits + "-_"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Traceback (most recent call last)", "traceback"),
        ('File "/srv/agent/turn.py", line 3', "traceback"),
        ("Hello {{ name }}", "template"),
        ("{% if link %}", "template"),
        ("the key is sk-abcdefghij0123456789", "key"),
        ("https://shop.example/?key=sk-abcdefghij0123456789", "key"),
        ("reply.md@sha256", "digest"),
        ("<|im_end|> and then", "model_token"),
        ("Your order SQ2026010002 is on its way.", ""),
        ("task-abcdefghijklmnopqrst is one word", ""),
    ],
)
def test_each_kind_is_known_and_nothing_else(text: str, kind: str) -> None:
    assert insides_of(text) == kind


@given(
    st.text(URL_SAFE, min_size=24, max_size=24),
    st.sampled_from(["", "sk-abcdefghijklmnopq", "-pk-0123456789abcdefghi"]),
)
def test_link_for_signing_in_is_never_taken_for_a_key(random: str, unlucky: str) -> None:
    token = f"demo.{(unlucky + random)[:24]}.{'0' * 64}"
    assert insides_of(f"请点这里登录（15 分钟内有效）：https://care.example.com/sign-in?token={token}") == ""
