"""The desk: who may hold a conversation, who may answer in it, what goes out, what is decided once."""

from __future__ import annotations

import asyncio

import pytest

from agent import records as agent_records
from foundation import conversations, errors
from foundation.bus.contract import Entry, Outcome
from foundation.events import (
    ApprovalDecided,
    ConversationReturned,
    Event,
    HandoffRequested,
    ReplyFailed,
    StaffReplied,
)
from foundation.messages import ConversationId
from operations.desk import NOTE_LIMIT, TEXT_LIMIT
from tests.unit.operations.conftest import OTHER_TENANT, Office


async def _work(office: Office) -> list[Event]:
    """Everything that lies on the bus, taken and finished as the worker would."""
    done: list[Event] = []
    while turns := await office.bus.take(10):
        for turn in turns:
            event = turn.entry.event
            outcome = Outcome()
            if isinstance(event, StaffReplied):
                outcome = await office.desk.staff_replied(event, turn)
            assert await office.bus.finish(turn, outcome)
            done.append(event)
    return done


async def test_one_of_two_gets_the_conversation_when_both_reach_for_it(office: Office) -> None:
    mei, li = await office.hire("mei"), await office.hire("li")
    conversation = await office.customer_says("转人工")
    results = await asyncio.gather(
        office.desk.take_over(mei, conversation),
        office.desk.take_over(li, conversation),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    held = await office.conversation(conversation)
    assert held.holder == "human"
    assert held.held_by == (mei.id if results[0] is None else li.id)
    assert held.waiting_since is None


async def test_taking_over_twice_is_fine_for_the_same_person(office: Office) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("转人工")
    await office.desk.take_over(mei, conversation)
    await office.desk.take_over(mei, conversation)
    with pytest.raises(errors.NotFound):
        await office.desk.take_over(mei, ConversationId("nowhere"))


async def test_only_the_holder_answers(office: Office) -> None:
    mei, li = await office.hire("mei"), await office.hire("li")
    conversation = await office.customer_says("转人工")
    with pytest.raises(errors.Conflict) as caught:
        await office.desk.reply(mei, conversation, "您好")
    assert caught.value.code == "not_held"
    await office.desk.take_over(mei, conversation)
    with pytest.raises(errors.Conflict):
        await office.desk.reply(li, conversation, "您好")
    await office.desk.reply(mei, conversation, "  您好 😀  ")
    said = (await office.transcript(conversation))[-1]
    assert (said.role, said.author, said.text, said.state) == ("agent", "Mei", "您好 😀", "sending")
    (event,) = await _work(office)
    assert isinstance(event, StaffReplied)
    (outgoing,) = await office.bus.take_replies(10)
    assert (outgoing.message.reply.text, outgoing.message.message_id) == ("您好 😀", said.id)


async def test_same_key_is_said_once_and_not_for_another_text(office: Office) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("转人工")
    await office.desk.take_over(mei, conversation)
    await asyncio.gather(*(office.desk.reply(mei, conversation, "您好", key="k") for _ in range(20)))
    assert [message.text for message in await office.transcript(conversation)] == ["转人工", "您好"]
    with pytest.raises(errors.Conflict) as caught:
        await office.desk.reply(mei, conversation, "再见", key="k")
    assert caught.value.code == "key_reused"
    second = await office.customer_says("转人工", "c2")
    await office.desk.take_over(mei, second)
    await office.desk.reply(mei, second, "您好", key="k")
    assert len(await office.transcript(second)) == 2


@pytest.mark.parametrize("text", ["", " \n ", "字" * (TEXT_LIMIT + 1), "a\0b", "\ud83d"])
async def test_reply_that_cannot_be_said_is_refused(office: Office, text: str) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("转人工")
    await office.desk.take_over(mei, conversation)
    with pytest.raises(errors.InvalidInput):
        await office.desk.reply(mei, conversation, text)
    with pytest.raises(errors.InvalidInput):
        await office.desk.note(mei, conversation, text)
    assert len(await office.transcript(conversation)) == 1


async def test_given_back_conversation_is_the_bots_again_once(office: Office) -> None:
    mei, li = await office.hire("mei"), await office.hire("li")
    conversation = await office.customer_says("转人工")
    await office.desk.take_over(mei, conversation)
    with pytest.raises(errors.Conflict):
        await office.desk.give_back(li, conversation)
    results = await asyncio.gather(
        *(office.desk.give_back(mei, conversation) for _ in range(5)), return_exceptions=True
    )
    assert results.count(None) == 1
    found = await office.conversation(conversation)
    assert (found.holder, found.held_by, found.status, found.handoff_reason) == ("bot", None, "open", None)
    assert [type(event) for event in await _work(office)] == [ConversationReturned]
    assert (await office.actions())[-2:] == ["desk.taken", "desk.given_back"]


async def test_closed_conversation_leaves_the_list_and_opens_when_the_customer_writes(office: Office) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("转人工")
    await office.desk.take_over(mei, conversation)
    await office.desk.close(mei, conversation)
    assert not any((await office.desk.inbox(office.tenant)).values())
    await office.customer_says("还有一个问题", waits=False)
    assert [one.id for one in (await office.desk.inbox(office.tenant))["bot"]] == [conversation]


async def test_queue_shows_the_longest_wait_first(office: Office) -> None:
    for name in ("c1", "c2", "c3"):
        await office.customer_says("转人工", name)
        office.clock.move(minutes=1)
    await office.customer_says("快点", "c1")
    assert [one.id for one in (await office.desk.inbox(office.tenant))["queue"]] == ["c1", "c2", "c3"]
    assert not any((await office.desk.inbox(OTHER_TENANT)).values())


async def test_roles_without_the_power_change_nothing(office: Office) -> None:
    qa, editor, agent = [await office.hire(role, role) for role in ("qa", "editor", "agent")]
    conversation = await office.customer_says("转人工")
    approval = await _approval(office, conversation)
    for member in (qa, editor):
        for action in (
            office.desk.take_over(member, conversation),
            office.desk.reply(member, conversation, "您好"),
            office.desk.give_back(member, conversation),
            office.desk.note(member, conversation, "note"),
        ):
            with pytest.raises(errors.NotPermitted):
                await action
    with pytest.raises(errors.NotPermitted):
        await office.desk.decide(agent, approval, approved=True)
    assert (await office.conversation(conversation)).holder == "queue"


async def test_notes_are_kept_in_order_and_belong_to_one_conversation(office: Office) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("转人工")
    for text in ("第一", "<b>second</b>", "字" * NOTE_LIMIT):
        await office.desk.note(mei, conversation, text)
        office.clock.move(seconds=1)
    notes = await office.desk.notes(office.tenant, conversation)
    assert [note.text for note in notes] == ["第一", "<b>second</b>", "字" * NOTE_LIMIT]
    assert await office.desk.notes(OTHER_TENANT, conversation) == []
    with pytest.raises(errors.NotFound):
        await office.desk.note(mei, ConversationId("nowhere"), "text")


async def test_approval_is_decided_once_when_many_decide(office: Office) -> None:
    boss = await office.hire("boss", "manager")
    conversation = await office.customer_says("我想退货")
    approval = await _approval(office, conversation)
    results = await asyncio.gather(
        *(office.desk.decide(boss, approval, approved=n % 2 == 0, reason=f"r{n}") for n in range(6)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert {type(result) for result in results} == {type(None), errors.Conflict}
    winner = results.index(None)
    row = await office.database.read(lambda c: agent_records.find_approval(c, office.tenant, approval))
    assert row is not None
    assert (row.state, row.note) == ("approved" if winner % 2 == 0 else "refused", f"r{winner}")
    assert [type(event) for event in await _work(office)] == [ApprovalDecided]
    assert (await office.actions()).count("desk.decided") == 1
    with pytest.raises(errors.NotFound):
        await office.desk.decide(boss, "nowhere", approved=True)


async def test_failed_reply_becomes_a_note_and_the_conversation_waits(office: Office) -> None:
    mei = await office.hire("mei")
    conversation = await office.customer_says("你好", waits=False)
    event = ReplyFailed(
        tenant=office.tenant, conversation_id=conversation, message_id="m9", code="reply_window_closed"
    )
    await office.desk.take_over(mei, conversation)
    await office.desk.give_back(mei, conversation)
    (turn,) = await office.bus.take(10)
    assert await office.bus.finish(turn, await office.desk.reply_failed(event, turn))
    assert (await office.conversation(conversation)).handoff_reason == "reply_failed"
    (note,) = await office.desk.notes(office.tenant, conversation)
    assert "reply_window_closed" in note.text


async def _approval(office: Office, conversation: ConversationId) -> str:
    row = agent_records.ApprovalRow(
        tenant=office.tenant, id=f"a-{conversation}", conversation_id=conversation, key="1", seq=1,
        tool="return_request", reason="exception_needs_approval", amount="179.36", order_no="SQ2026010003",
        payload={}, created_at=office.clock(),
    )  # fmt: skip
    await office.database.write(lambda c: agent_records.add_approval(c, row))
    return row.id


async def _failed(office: Office, conversation: ConversationId) -> str:
    """A reply of the desk that its channel refuses for good."""
    mei = await office.hire("mei")
    await office.desk.take_over(mei, conversation)
    await office.desk.reply(mei, conversation, "已经寄出", key="k1")
    await _work(office)
    [outgoing] = await office.bus.take_replies(5)
    await office.database.write(
        lambda c: conversations.mark_state(
            c, office.tenant, conversation, "staff-k1", state="failed", error="wechat_oa_window_closed"
        )
    )
    await office.bus.bury_reply(outgoing, "closed")
    return mei.id


async def test_failed_reply_is_sent_again_by_a_click_and_only_then(office: Office) -> None:
    conversation = await office.customer_says("转人工")
    await _failed(office, conversation)
    li, watcher = await office.hire("li"), await office.hire("wu", "editor")
    with pytest.raises(errors.NotPermitted):
        await office.desk.resend(watcher, conversation, "staff-k1")
    with pytest.raises(errors.NotFound):
        await office.desk.resend(li, conversation, "nothing")
    await office.desk.resend(li, conversation, "staff-k1")
    [again] = await office.bus.take_replies(5)
    assert again.message.reply.text == "已经寄出"
    assert (await office.transcript(conversation))[-1].state == "sending"
    assert "desk.resent" in await office.actions()
    with pytest.raises(errors.Conflict):
        await office.desk.resend(li, conversation, "staff-k1")


async def test_conversation_goes_to_people_of_the_platform_where_there_are_some(office: Office) -> None:
    asked: list[str] = []

    async def hand_over(_tenant: str, conversation_id: str) -> bool:
        asked.append(conversation_id)
        return True

    conversation = await office.customer_says("转人工")
    event = HandoffRequested(tenant=office.tenant, conversation_id=conversation, reason="wants_human")
    await office.bus.accept(Entry(office.tenant, "test", "k", conversation, event))
    [turn] = await office.bus.take(1)
    office.desk.hand_over = hand_over
    assert await office.bus.finish(turn, await office.desk.handoff_requested(event, turn))
    held = await office.conversation(conversation)
    assert (held.holder, held.held_by, asked) == ("human", conversations.PLATFORM, [conversation])
    mei = await office.hire("mei")  # who may take it back
    await office.desk.take_over(mei, conversation)
    assert (await office.conversation(conversation)).held_by == mei.id
