"""What the tests of channels with JSON calls share: surroundings, parts, and bodies that nobody means well with."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from channels.contract import Part, Surroundings
from foundation.live import Hub
from foundation.messages import (
    Choice,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def bodies_like(sample: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The sample with any of its parts missing or replaced by something else, and bytes of every kind."""
    return _bent(sample).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=300)


def _bent(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, dict):
        inside = st.fixed_dictionaries({}, optional={name: _bent(one) for name, one in value.items()})
        return st.just(value) | inside | VALUES
    if isinstance(value, list):
        return st.just(value) | st.tuples(*(_bent(one) for one in value)).map(list) | VALUES
    return st.just(value) | VALUES


def surroundings_of(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


def part(
    channel: str, text: str, *, to: str = "", context: dict[str, str] | None = None,
    choices: tuple[Choice, ...] = (),
) -> Part:  # fmt: skip
    message = OutboundMessage(
        tenant=TenantId("demo"), channel=channel, account="main", conversation_id=ConversationId("c1"),
        message_id=MessageId("m1"), recipient=to, role="bot", reply=Reply(text=text, choices=choices),
        reply_context=context or {},
    )  # fmt: skip
    return Part(message, text, 0, 1)
