"""What stands in the answer to a call: replies once, words that fell into silence, and nothing after the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.adapters.phone_twilio.channel import PhoneTwilioChannel
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.contract import Surroundings, Webhook
from channels.intake import Intake
from foundation import conversations
from foundation.bus.embedded import EmbeddedBus
from foundation.live import Hub
from foundation.messages import ConversationId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from foundation.telemetry import Metrics
from service.simulate.contract import Call, Options
from service.simulate.phone.calling import Caller
from service.simulate.phone.phone_twilio import TwilioVoice
from tests.conftest import StandingClock
from tests.fakes.specimens.contract import NOW

DEMO = TenantId("demo")
URL = "https://care.example.com"
TURN = {"step": "turn", "lang": "zh", "turn": "2"}


@dataclass
class Phone:
    database: Database
    intake: Intake
    channel: PhoneTwilioChannel
    platform: TwilioVoice
    caller: Caller

    async def call(self, call: Call) -> str:
        webhook = Webhook(
            "POST", call.query, call.headers, call.body, NOW, query_string=urlencode(call.query)
        )
        return (await self.intake.receive(DEMO, self.channel, webhook)).body.decode()

    async def says(self, text: str, **where: str) -> str:
        return await self.call(self.platform.speaks(self.caller, text, {**TURN, **where}))

    async def writes(self, text: str, name: str = "a1") -> None:
        """A person at the desk."""
        draft = conversations.Draft(id=name, role="agent", text=text, sent_at=NOW)
        place = await self.place()
        await self.database.write(lambda c: conversations.append(c, DEMO, place, draft))

    async def holds(self, holder: str) -> None:
        place = await self.place()
        changed: dict[str, Any] = {"holder": holder}
        await self.database.write(lambda c: conversations.change(c, DEMO, place, NOW, **changed))

    async def place(self) -> ConversationId:
        call = self.platform.begins(self.caller)
        (message,) = self.channel.read(Webhook("POST", {}, {}, call.body, NOW))
        return self.intake.conversation_id(message)

    async def states(self) -> list[str]:
        place = await self.place()
        lines = await self.database.read(
            lambda c: conversations.read(c, DEMO, place, before_seq=99, limit=50)
        )
        return [line.state for line in lines if line.role == "agent"]


@pytest.fixture
async def phone(database: Database, vault: Vault, clock: StandingClock) -> AsyncIterator[Phone]:
    bus, hub = EmbeddedBus(database), Hub()
    await bus.open()
    settings = PhoneTwilioSettings(transfer_to="+862100000000").or_demo(vault)
    channel = PhoneTwilioChannel(settings, Surroundings(DEMO, URL, database, vault, hub, clock))
    channel.capabilities = replace(channel.capabilities, synchronous_deadline_seconds=0.01)
    intake = Intake(bus, database, vault=vault, clock=clock, metrics=Metrics(), hub=hub)
    platform = TwilioVoice(settings, Options(vault, url=URL), clock, lambda shown: None)
    phone = Phone(database, intake, channel, platform, Caller("1" * 32, "+8613800138000"))
    await phone.call(platform.begins(phone.caller))
    yield phone
    await bus.close()


async def test_line_is_kept_while_nobody_has_answered(phone: Phone) -> None:
    assert "请稍等" in await phone.says("有人吗")
    fetched = await phone.call(phone.platform.fetches(phone.caller, {**TURN, "step": "poll", "polls": "1"}))
    assert "<Redirect" in fetched
    assert "<Gather" not in fetched


async def test_words_of_a_person_are_heard_in_the_next_silence_and_once(phone: Phone) -> None:
    await phone.writes("您好，我是客服小王。")
    assert "我是客服小王" in await phone.says("")
    assert await phone.states() == ["sent"]
    assert "小王" not in await phone.says("", turn="3")


async def test_repeated_call_hears_again_what_the_first_one_heard(phone: Phone) -> None:
    await phone.says("有人吗")
    await phone.writes("有的。")
    first = await phone.says("有人吗")
    assert "有的" in first
    assert await phone.says("有人吗") == first


async def test_nothing_counts_as_heard_when_the_caller_has_hung_up(phone: Phone) -> None:
    await phone.writes("您还在吗。")
    assert "<Say" not in await phone.call(phone.platform.hangs_up(phone.caller))
    assert await phone.states() == ["accepted"]


async def test_caller_is_put_through_as_soon_as_the_queue_holds_the_conversation(phone: Phone) -> None:
    await phone.holds("queue")
    assert "<Dial" in await phone.says("还有人吗")
    back = phone.platform.request(
        phone.caller, {"DialCallStatus": "busy"}, {**TURN, "step": "dialled", "turn": "3"}
    )
    assert "没有客服能接听" in await phone.call(back)
    assert "已经记下了" in await phone.says("请给我回电", turn="4", tried="1")
    await phone.holds("bot")
    assert "请稍等" in await phone.says("那就问机器人", turn="5", tried="1")
