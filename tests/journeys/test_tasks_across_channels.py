# ruff: noqa: F401, F811  # fixtures are imported by name
"""A half-filled form follows its customer from channel to channel, and only its customer."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from agent.continuity import Threads
from customers.graph.operations import Operations
from foundation.bus.contract import Entry, Turn
from foundation.events import ConversationDivided
from foundation.messages import ConversationId
from tests.journeys.turns_world import TENANT, World, shop_knowledge, world

WEB, WECHAT, PHONE = "web", "wechat", "phone"


async def begin_on_the_web(world: World) -> None:
    await world.say("我想退掉那盏台灯", account="demo1", conversation=WEB)
    assert (await form_in(world, WEB))["values"]["order_no"] == "SQ2026010002"


async def form_in(world: World, conversation: str) -> dict[str, Any]:
    return (await world.conversation(conversation)).dialogue.get("form") or {}


async def say_on_wechat(world: World, text: str, account: str = "") -> str:
    return await world.say(text, conversation=WECHAT, channel="wechat_oa", account=account)


async def test_the_form_goes_on_by_itself_when_the_customer_proves_who_they_are_elsewhere(
    world: World,
) -> None:
    await begin_on_the_web(world)
    assert "台灯" not in await say_on_wechat(world, "你好")
    proven = await world.prove("demo1", WECHAT)
    assert "您之前在网页上开始办退货" in proven
    assert proven.endswith("请问退货的原因是什么？")
    assert await form_in(world, WEB) == {}
    readback = await say_on_wechat(world, "就是不太喜欢")
    assert "护眼台灯 L1" in readback
    await world.say("喂", conversation=PHONE, channel="phone_twilio")
    heard = await world.prove("demo1", PHONE)
    assert "您之前在微信里开始办退货" in heard
    assert "护眼台灯 L1" in heard
    done = await world.say("确认", conversation=PHONE, channel="phone_twilio")
    assert "退货单号 RT" in done
    assert (await world.order("SQ2026010002"))["state"] == "return_requested"
    for conversation in (WEB, WECHAT, PHONE):
        assert await form_in(world, conversation) == {}
    assert "carried" not in (await world.conversation(PHONE)).dialogue


async def test_nothing_is_asked_twice_when_a_proven_customer_writes_on_another_channel(world: World) -> None:
    await begin_on_the_web(world)
    reply = await say_on_wechat(world, "运费谁出啊", account="demo1")
    assert "您之前在网页上开始办退货" in reply
    assert "运费由我们承担" in reply
    assert reply.endswith("请问退货的原因是什么？")
    reply = await say_on_wechat(world, "不太喜欢，没用过", account="demo1")
    assert "您之前" not in reply
    assert "护眼台灯 L1" in reply


async def test_a_yes_confirms_nothing_when_its_question_was_asked_on_another_channel(world: World) -> None:
    await begin_on_the_web(world)
    assert "确认提交" in await world.say("不太喜欢，没用过", account="demo1", conversation=WEB)
    readback = await say_on_wechat(world, "好的", account="demo1")
    assert "确认提交" in readback
    assert (await world.order("SQ2026010002"))["state"] == "delivered"
    assert "退货单号 RT" in await say_on_wechat(world, "确认", account="demo1")


async def test_the_form_comes_back_when_its_customer_does(world: World) -> None:
    await begin_on_the_web(world)
    await say_on_wechat(world, "你好", account="demo1")
    reply = await world.say("不太喜欢，没用过", account="demo1", conversation=WEB)
    assert "护眼台灯 L1" in reply
    assert await form_in(world, WECHAT) == {}


async def test_the_form_stays_when_somebody_else_writes(world: World) -> None:
    await begin_on_the_web(world)
    reply = await say_on_wechat(world, "你好", account="demo2")
    unproven = await world.say("你好", conversation=PHONE, channel="phone_twilio")
    assert "台灯" not in reply + unproven
    assert "您之前" not in reply + unproven
    assert (await form_in(world, WEB))["tool"] == "return_request"


async def test_the_form_stays_when_its_customer_has_just_written_there(world: World) -> None:
    await begin_on_the_web(world)
    await world.receive("不太喜欢", account="demo1", conversation=WEB)
    assert "您之前" not in await say_on_wechat(world, "你好", account="demo1")
    assert (await form_in(world, WEB))["tool"] == "return_request"


async def test_the_form_goes_back_when_its_two_channels_are_split(world: World) -> None:
    await begin_on_the_web(world)
    await say_on_wechat(world, "你好", account="demo1")
    assert await form_in(world, WEB) == {}
    operations = Operations(world.directory.graph, world.database.vault, world.clock)

    def split(connection: sa.Connection) -> int:
        person = world.directory.person(connection, TENANT, ConversationId(WECHAT))
        return operations.split(
            connection, TENANT, [person.identity_id], actor="mei", reason="two people at one phone"
        )

    number = await world.database.write(split)
    world.clock.move(minutes=31)  # type: ignore[attr-defined]  # what was proven there has ended
    reply = await say_on_wechat(world, "你好")
    assert "退货" not in reply
    assert await form_in(world, WECHAT) == {}
    assert (await form_in(world, WEB))["values"]["order_no"] == "SQ2026010002"
    await world.database.write(
        lambda connection: operations.undo(
            connection, TENANT, number, actor="mei", reason="one person after all"
        )
    )
    assert "您之前在网页上开始办退货" in await say_on_wechat(world, "在吗", account="demo1")


async def test_an_old_form_stays_where_it_is(world: World) -> None:
    await begin_on_the_web(world)
    world.clock.move(hours=25)  # type: ignore[attr-defined]
    assert "您之前" not in await say_on_wechat(world, "你好", account="demo1")


async def test_the_summary_is_written_anew_when_what_it_told_was_somebody_elses(world: World) -> None:
    await begin_on_the_web(world)
    await say_on_wechat(world, "你好", account="demo1")
    await say_on_wechat(world, "转人工", account="demo1")
    before = (await world.conversation(WECHAT)).handoff_summary or ""
    assert "SQ2026010002" in before
    operations = Operations(world.directory.graph, world.database.vault, world.clock)
    threads = Threads(world.database, world.directory, world.services.library, world.clock)
    divided = ConversationDivided(tenant=TENANT, conversation_id=ConversationId(WECHAT))
    turn = Turn(Entry(TENANT, "test", "d", WECHAT, divided), 1, 1, 1, world.clock(), world.clock())
    await world.finish(await threads.handle_divided(divided, turn))
    assert (await world.conversation(WECHAT)).handoff_summary == before

    def split(connection: sa.Connection) -> None:
        person = world.directory.person(connection, TENANT, ConversationId(WECHAT))
        operations.split(connection, TENANT, [person.identity_id], actor="mei", reason="two people")

    await world.database.write(split)
    await world.finish(await threads.handle_divided(divided, turn))
    after = (await world.conversation(WECHAT)).handoff_summary or ""
    assert "转人工" in after
    assert "SQ2026010002" not in after
    assert (await form_in(world, WEB))["values"]["order_no"] == "SQ2026010002"
