# ruff: noqa: F401, F811  # fixtures are imported by name
"""Turns that wait, crash, repeat or meet each other: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from foundation import conversations, errors, events
from foundation.messages import ConversationId
from tests.journeys.turns_world import TENANT, World, shop_knowledge, world


class Crash(BaseException):
    """The process dies here."""


class DyingOrders:
    """The real order system, until the process dies right after `name` was carried out."""

    def __init__(self, orders: Any, name: str) -> None:
        self._orders = orders
        self._name = name

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self._orders.call(name, arguments)
        if name == self._name:
            raise Crash
        return answer


async def ask_for_an_exception(world: World) -> str:
    """A late return, confirmed by the customer; returns the id of the approval."""
    await world.say("我想退那套床品,还没拆", account="demo1")
    readback = await world.say("尺寸买错了", account="demo1")
    assert "需要同事审批" in readback
    asked = await world.say("好的", account="demo1")
    assert "提交给同事审批" in asked
    assert [entry.event.name for entry in world.entries] == ["ApprovalRequested"]
    waiting = await world.approvals()
    assert [row.order_no for row in waiting] == ["SQ2026010003"]
    assert (await world.order("SQ2026010003"))["state"] == "delivered"
    return waiting[0].id


async def test_the_return_is_made_when_staff_approves(world: World) -> None:
    approval = await ask_for_an_exception(world)
    reply = await world.work(await world.decide(approval, approved=True))
    assert "同事同意了" in reply
    assert "退货单号 RT" in reply
    order = await world.order("SQ2026010003")
    assert order["state"] == "return_requested"
    assert (await world.conversation()).dialogue["approvals"] == []
    assert await world.approvals() == []


async def test_the_customer_is_told_why_when_staff_refuses(world: World) -> None:
    approval = await ask_for_an_exception(world)
    reply = await world.work(await world.decide(approval, approved=False, note="包装已经拆开"))
    assert "没有通过" in reply
    assert "包装已经拆开" in reply
    assert (await world.order("SQ2026010003"))["state"] == "delivered"


async def test_messages_run_in_their_own_turns_when_one_waits_for_staff(world: World) -> None:
    approval = await ask_for_an_exception(world)
    assert "包邮" in await world.say("运费多少", account="demo1")
    assert "还在等同事审批" in await world.say("那个退货审批得怎么样了", account="demo1")
    await world.say("我想取消订单 SQ2026010007", account="demo1")
    reply = await world.work(await world.decide(approval, approved=True))
    assert "退货单号 RT" in reply
    form = (await world.conversation()).dialogue["form"]
    assert form["tool"] == "cancel_order"
    assert "已取消" in await world.say("确认", account="demo1")
    assert (await world.order("SQ2026010007"))["state"] == "cancelled"
    assert (await world.order("SQ2026010003"))["state"] == "return_requested"


async def test_the_decision_is_carried_out_when_the_process_was_restarted(world: World) -> None:
    approval = await ask_for_an_exception(world)
    decided = await world.decide(approval, approved=True)
    reply = await world.restarted().work(decided)
    assert "退货单号 RT" in reply


async def test_the_decision_is_carried_out_when_the_checkpoint_is_gone(world: World) -> None:
    approval = await ask_for_an_exception(world)
    key = (await world.approvals())[0].key
    await world.saver.adelete_thread(f"c1|{key}")
    reply = await world.work(await world.decide(approval, approved=True))
    assert "同事同意了" in reply
    assert "退货单号 RT" in reply


async def test_a_decision_is_told_once_when_it_is_delivered_twice(world: World) -> None:
    approval = await ask_for_an_exception(world)
    decided = await world.decide(approval, approved=True)
    assert await world.work(decided)
    assert await world.work(decided) == ""
    with pytest.raises(errors.Conflict):
        await world.decide(approval, approved=False)


@pytest.mark.parametrize("lost", ["before the finish", "inside the tool"])
async def test_a_decision_has_one_effect_when_the_process_dies(world: World, lost: str) -> None:
    approval = await ask_for_an_exception(world)
    decided = await world.decide(approval, approved=True)
    if lost == "inside the tool":
        dying = world.using(orders=DyingOrders(world.services.orders, "create_return"))
        with pytest.raises(Crash):
            await dying.handle(decided)
    else:
        await world.handle(decided)
    reply = await world.restarted().work(decided, attempt=2)
    assert "退货单号 RT" in reply
    assert len(await _returns_of(world)) == 1


@pytest.mark.parametrize("lost", ["before the finish", "inside the tool"])
async def test_a_return_has_one_effect_when_the_process_dies(world: World, lost: str) -> None:
    await world.say("SQ2026010002 的台灯坏了,我要退货", account="demo1")
    confirmed = await world.receive("确认", account="demo1")
    if lost == "inside the tool":
        dying = world.using(orders=DyingOrders(world.services.orders, "create_return"))
        with pytest.raises(Crash):
            await dying.handle(confirmed)
    else:
        await world.handle(confirmed)
    reply = await world.restarted().work(confirmed, attempt=2)
    assert "退货单号 RT" in reply
    assert [message.role for message in await world.transcript()] == ["customer", "bot", "customer", "bot"]
    order = await world.order("SQ2026010002")
    assert [item["return_no"] is not None for item in order["items"]] == [False, True]
    assert len(await _returns_of(world)) == 1


async def test_the_same_is_said_when_a_suspended_turn_runs_again(world: World) -> None:
    await world.say("我想退那套床品,还没拆", account="demo1")
    await world.say("尺寸买错了", account="demo1")
    confirmed = await world.receive("好的", account="demo1")
    lost = await world.handle(confirmed)
    await world.finish(await world.restarted().handle(confirmed, attempt=2))
    assert [reply.reply for reply in world.replies] == [reply.reply for reply in lost.replies]
    waiting = await world.approvals()
    assert len(waiting) == 1
    assert "退货单号" in await world.work(await world.decide(waiting[0].id, approved=True))


async def test_a_form_is_continued_when_the_process_was_restarted_between_two_messages(world: World) -> None:
    await world.say("我要退货", account="demo1")
    await world.restarted().say("SQ2026010002", account="demo1")
    await world.restarted().say("台灯", account="demo1")
    await world.restarted().say("坏了", account="demo1")
    assert "退货单号" in await world.restarted().say("确认", account="demo1")


async def test_a_handoff_is_kept_when_the_process_was_restarted(world: World) -> None:
    await world.say("转人工", account="demo1")
    after = world.restarted()
    assert "第 1 位" in await after.say("在吗", account="demo1")
    await world.database.write(
        lambda connection: conversations.take_over(
            connection, TENANT, ConversationId("c1"), staff="mei", now=world.clock()
        )
    )
    assert await after.say("你好", account="demo1") == ""
    assert len(await world.recorded()) == 1


async def test_conversations_do_not_mix_when_many_turns_run_at_once(world: World) -> None:
    async def talk(number: int) -> str:
        conversation = f"many-{number}"
        await world.say("我要退货", account="demo1", conversation=conversation)
        return await world.say(
            f"SQ202601000{2 if number % 2 else 6}", account="demo1", conversation=conversation
        )

    await asyncio.gather(*(talk(number) for number in range(8)))
    for number in range(8):
        form = (await world.conversation(f"many-{number}")).dialogue["form"]
        assert form["values"]["order_no"] == f"SQ202601000{2 if number % 2 else 6}"
        assert len(await world.transcript(f"many-{number}")) == 4


async def test_a_message_meets_nothing_of_another_turn_when_both_are_in_flight(world: World) -> None:
    """Two turns of one conversation at once, which the bus never does: still neither is lost."""
    await world.say("你好")
    first, second = await world.receive("运费多少"), await world.receive("优惠券怎么用")
    outcomes = await asyncio.gather(world.handle(first), world.handle(second))
    texts = [reply.reply.text for outcome in outcomes for reply in outcome.replies]
    assert len(texts) == 2
    assert "包邮" in texts[0]
    assert "券" in texts[1]


async def test_a_person_keeps_the_conversation_when_the_bots_turn_ends_later(world: World) -> None:
    await world.say("你好")
    late = await world.handle(await world.receive("转人工"))
    await world.database.write(
        lambda connection: conversations.take_over(
            connection, TENANT, ConversationId("c1"), staff="mei", now=world.clock()
        )
    )
    await world.finish(late)
    conversation = await world.conversation()
    assert (conversation.holder, conversation.held_by) == ("human", "mei")


async def test_the_bot_goes_on_when_the_platforms_people_are_done(world: World) -> None:
    await world.say("转人工")
    c1 = ConversationId("c1")
    await world.database.write(
        lambda connection: conversations.change(
            connection, TENANT, c1, world.clock(), holder="human", held_by=conversations.PLATFORM
        )
    )
    assert await world.say("在吗") == ""
    assert await world.say("", kind="event", event="end") == ""
    conversation = await world.conversation()
    assert (conversation.holder, conversation.held_by) == ("bot", None)
    assert "运费" in await world.say("运费多少")


async def test_no_checkpoint_is_left_when_a_turn_is_done(world: World) -> None:
    await world.say("运费多少")
    await world.say("SQ2026010002 的台灯坏了,我要退货", account="demo1")
    await world.say("确认", account="demo1")
    assert [one async for one in world.saver.alist(None)] == []


async def test_no_word_of_the_customer_is_readable_in_a_checkpoint(world: World) -> None:
    await ask_for_an_exception(world)
    kept = [one async for one in world.saver.alist(None)]
    assert kept
    place = await world.saver.conn.execute("SELECT checkpoint FROM checkpoints")
    stored = b"".join([row[0] for row in await place.fetchall()])
    assert "床品".encode() not in stored
    assert b"SQ2026010003" not in stored
    assert b"demo1" not in stored


async def test_an_event_nobody_waits_for_says_nothing(world: World) -> None:
    await world.say("你好")
    identity = events.IdentityProven(tenant=TENANT, conversation_id=ConversationId("c1"))
    unknown = events.ApprovalDecided(tenant=TENANT, conversation_id=ConversationId("c1"), approval_id="none")
    assert await world.work(identity) == ""
    assert await world.work(unknown) == ""
    assert await world.say("", kind="event", event="unsubscribe") == ""
    assert "欢迎" in await world.say("", kind="event", event="subscribe")


async def _returns_of(world: World) -> list[Any]:
    """Returns that the shop has of this customer by now, over all orders, beyond the seeded ones."""
    listed = await world.services.orders.call("list_orders", {"customer": "demo1", "limit": 50})
    seeded = {"SQ2026010004"}
    return [
        item["return_no"]
        for order in listed["orders"]
        for item in order["items"]
        if item["return_no"] and order["order_no"] not in seeded
    ]
