"""Turns and approvals in SQL, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from agent import records
from foundation import errors
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
DEMO, OTHER = TenantId("demo"), TenantId("other")
TURN = records.TurnRow(
    tenant=DEMO, conversation_id=ConversationId("c1"), key="1", seq=1, at=NOW, channel="web_chat", message_id="bot-1",
    route="answer", rung="article", intent="shipping_fee", status="sure", confidence=0.9, language="zh-Hans",
    emotion="neutral", valence=0.0, answerable=0.8, citations=[{"article": "a", "title": "运费", "version": 1}],
    tools=[], model="", prompts=["replies/greeting@1#abc"], degraded=[], handoff_reason=None,
    milliseconds={"understand": 10.5}, total_milliseconds=20.0,
)  # fmt: skip
APPROVAL = records.ApprovalRow(
    tenant=DEMO, id="c1-3", conversation_id=ConversationId("c1"), key="3", seq=3, tool="return_request",
    reason="exception_needs_approval", amount="459.00", order_no="SQ2026010003", payload={"account": "demo1"},
    created_at=NOW,
)  # fmt: skip


async def test_a_turn_is_read_as_it_was_written_and_repeats_do_nothing(either_database: Database) -> None:
    def write(connection: sa.Connection) -> None:
        records.add_turn(connection, TURN)
        records.add_turn(connection, replace(TURN, rung="model"))
        records.add_turn(connection, replace(TURN, tenant=OTHER))

    await either_database.write(write)
    read = await either_database.read(lambda c: records.read_turns(c, DEMO, ConversationId("c1")))
    assert read == [TURN]
    found = await either_database.read(lambda c: records.find_turn(c, OTHER, ConversationId("c1"), "1"))
    assert found == replace(TURN, tenant=OTHER)
    since = NOW + timedelta(seconds=1)
    assert await either_database.read(lambda c: records.turns_since(c, DEMO, since)) == []


async def test_a_request_is_decided_once(either_database: Database) -> None:
    def ask(connection: sa.Connection) -> None:
        records.add_approval(connection, APPROVAL)
        records.add_approval(connection, APPROVAL)

    await either_database.write(ask)
    assert await either_database.read(lambda c: records.waiting_approvals(c, DEMO)) == [APPROVAL]
    assert await either_database.read(lambda c: records.waiting_approvals(c, OTHER)) == []
    await either_database.write(
        lambda c: records.decide_approval(c, DEMO, "c1-3", approved=True, by="mei", now=NOW, note="ok")
    )
    decided = await either_database.read(lambda c: records.find_approval(c, DEMO, "c1-3"))
    assert decided is not None
    assert (decided.state, decided.decided_by, decided.note) == ("approved", "mei", "ok")
    with pytest.raises(errors.Conflict):
        await either_database.write(
            lambda c: records.decide_approval(c, DEMO, "c1-3", approved=False, by="li", now=NOW)
        )
    with pytest.raises(errors.NotFound):
        await either_database.write(
            lambda c: records.decide_approval(c, OTHER, "c1-3", approved=False, by="li", now=NOW)
        )
