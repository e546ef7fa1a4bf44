"""Pictures and voice messages before the bot looks: fetched from WeChat's simulated API, kept, understood or said why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from channels.adapters.wechat_oa.channel import WechatOaChannel
from channels.adapters.wechat_oa.connection import Connection
from channels.contract import Surroundings
from channels.media import kinds
from channels.media import records as media
from foundation import conversations, errors
from foundation.bus.contract import Entry, Outcome, Turn
from foundation.events import MessageReceived
from foundation.language_models.contract import Line
from foundation.language_models.scripted import ScriptedModel, ScriptedSpeech
from foundation.live import Hub
from foundation.messages import (
    Attachment,
    ContentKind,
    ConversationId,
    Identifier,
    InboundMessage,
    MessageId,
    TenantId,
)
from foundation.security import Vault
from foundation.storage.database import Database
from operations.staff import Member
from prompts.library import Library
from service.hearing import files
from service.hearing.files import Hearing
from service.hearing.senses import Senses
from tests.conftest import StandingClock
from tests.fakes import wechat_platform as faults
from tests.fakes.wechat_platform import WechatPlatform
from tests.unit.channels.wechat import SETTINGS

DEMO = TenantId("demo")
TALK = ConversationId("talk")
PICTURE = b"\x89PNG\r\n\x1a\n a broken cup"
VOICE = b"#!AMR\n some words"
PAGE = b"<html><script>alert(1)</script>"
AGENT = Member(DEMO, "mei", "mei", "Mei", "agent")


@dataclass
class Bot:
    """Hears what the agent would hear; `fails` is a crash after the files are in."""

    heard: list[InboundMessage] = field(default_factory=list)
    fails: int = 0

    async def handle_message(self, event: MessageReceived, turn: Turn) -> Outcome:
        self.heard.append(event.message)
        if self.fails:
            self.fails -= 1
            raise errors.UpstreamUnavailable("The process died.")
        return Outcome()


@dataclass
class Stage:
    database: Database
    clock: StandingClock
    platform: WechatPlatform
    channel: WechatOaChannel
    bot: Bot = field(default_factory=Bot)
    count: int = 0

    def hearing(self, *, speech: Any = None, vision: Any = None, **limits: float) -> Hearing:
        senses = Senses(Library(self.database, self.clock), speech=speech, vision=vision)
        return Hearing(
            self.database, {(DEMO, "wechat_oa"): self.channel}, self.bot, senses=senses, hub=Hub(), clock=self.clock,
            **{"pause_seconds": 0.0, **limits},
        )  # fmt: skip

    async def receive(
        self, *attachments: Attachment, kind: ContentKind = "image", text: str = ""
    ) -> MessageReceived:
        self.count += 1
        message = InboundMessage(
            tenant=DEMO, channel="wechat_oa", account="main", thread="t", message_id=MessageId(f"m{self.count}"),
            sender=(Identifier(namespace="wechat_oa:wx", value="oA"),), kind=kind, text=text, attachments=attachments,
            sent_at=self.clock(),
        )  # fmt: skip
        draft = conversations.Draft(
            id=message.message_id, role="customer", text=text, sent_at=self.clock(), kind=kind, attachments=attachments
        )  # fmt: skip

        def write(connection: sa.Connection) -> int:
            conversations.ensure(
                connection, TALK, tenant=DEMO, channel="wechat_oa", account="main", recipient="oA", now=self.clock()
            )  # fmt: skip
            return conversations.append(connection, DEMO, TALK, draft)

        seq = await self.database.write(write)
        return MessageReceived(tenant=DEMO, conversation_id=TALK, message=message, seq=seq)

    async def work(self, hearing: Hearing, event: MessageReceived, attempt: int = 1) -> InboundMessage:
        entry = Entry(DEMO, "test", str(event.seq), TALK, event)
        await hearing.handle_message(event, Turn(entry, event.seq, attempt, 1, self.clock(), self.clock()))
        return self.bot.heard[-1]

    async def line(self, message_id: str = "m1") -> conversations.Message:
        found = await self.database.read(
            lambda connection: conversations.find_message(connection, DEMO, TALK, message_id)
        )
        assert found is not None
        return found

    def fetched(self) -> int:
        return sum("/media/get" in path for path in self.platform.calls)


@pytest.fixture
def stage(database: Database, vault: Vault, clock: StandingClock) -> Stage:
    around = Surroundings(DEMO, "https://care.example.com", database, vault, Hub(), clock)
    platform = WechatPlatform(SETTINGS, clock)
    platform.api.media |= {
        "pic": (PICTURE, "image/png"), "say": (VOICE, "audio/amr"), "page": (PAGE, "image/png"),
    }  # fmt: skip
    return Stage(
        database, clock, platform,
        WechatOaChannel(SETTINGS, around, Connection(SETTINGS, around, transport=platform)),
    )  # fmt: skip


def image(media_id: str = "pic") -> Attachment:
    return Attachment(kind="image", media_id=media_id, url="http://mmbiz.qpic.example/0")


async def test_picture_is_kept_and_the_transcript_knows_it(stage: Stage) -> None:
    hearing = stage.hearing()
    heard = await stage.work(hearing, await stage.receive(image()))
    (one,) = heard.attachments
    assert (one.media_type, one.size, one.problem, one.reading) == ("image/png", len(PICTURE), "", "")
    assert (await stage.line()).attachments == heard.attachments
    file, content = await hearing.file(DEMO, one.stored)
    assert (content, file.conversation_id, file.message_id) == (PICTURE, TALK, "m1")
    with pytest.raises(errors.NotFound):
        await hearing.file(TenantId("other"), one.stored)


async def test_content_is_sealed_and_goes_with_its_conversation(stage: Stage) -> None:
    hearing = stage.hearing()
    heard = await stage.work(hearing, await stage.receive(image()))
    raw = await stage.database.read(
        lambda connection: connection.exec_driver_sql("SELECT content, name, sha256 FROM media").one()
    )
    assert not any(b"broken cup" in bytes(column) or b"image" in bytes(column) for column in raw)
    assert await stage.database.write(lambda connection: media.erase(connection, DEMO, TALK)) == 1
    with pytest.raises(errors.NotFound):
        await hearing.file(DEMO, heard.attachments[0].stored)


async def test_file_is_what_its_bytes_say(stage: Stage) -> None:
    """A page that calls itself a picture is neither shown nor looked at."""
    eyes = ScriptedModel(["never asked"])
    heard = await stage.work(stage.hearing(vision=eyes), await stage.receive(image("page")))
    assert (heard.attachments[0].media_type, heard.attachments[0].reading) == (kinds.UNKNOWN, "")
    assert eyes.calls == []


async def test_stored_file_is_not_fetched_again_when_the_turn_runs_again(stage: Stage) -> None:
    """The process dies after the files are in; and once more between storing a file and writing it into the line."""
    hearing, event = stage.hearing(), await stage.receive(image())
    stage.bot.fails = 1
    with pytest.raises(errors.UpstreamUnavailable):
        await stage.work(hearing, event)
    first = stage.bot.heard[-1]
    assert await stage.work(hearing, event, attempt=2) == first
    await stage.database.write(
        lambda connection: media.complete(connection, DEMO, TALK, "m1", attachments=[image()])
    )
    eyes = ScriptedModel(["A broken cup."])
    again = await stage.work(stage.hearing(vision=eyes), event, attempt=3)
    assert (again.attachments[0].stored, again.attachments[0].reading) == (
        first.attachments[0].stored,
        "A broken cup.",
    )
    assert stage.fetched() == 1


async def test_hiccup_of_the_platform_is_tried_again(stage: Stage) -> None:
    stage.platform.next_call("/media/get", faults.status(503))
    heard = await stage.work(stage.hearing(), await stage.receive(image()))
    assert (heard.attachments[0].problem, stage.fetched()) == ("", 2)


@pytest.mark.parametrize(
    ("fault", "code", "calls"),
    [
        (faults.status(503), "wechat_oa_http_503", files.TRIES),
        (faults.timeout, "wechat_oa_timeout", files.TRIES),
        (faults.errcode(40007), "wechat_oa_media_gone", 1),
        (faults.body(b"x" * (kinds.LIMIT + 1)), "too_large", 1),
        (faults.body(b""), "empty_file", 1),
    ],
)
async def test_turn_goes_on_when_a_file_cannot_be_had(
    stage: Stage, fault: faults.Fault, code: str, calls: int
) -> None:
    stage.platform.next_call("/media/get", fault, times=calls)
    heard = await stage.work(stage.hearing(), await stage.receive(image()))
    assert heard.attachments[0].problem == code
    assert (heard.attachments[0].stored, stage.fetched()) == ("", calls)
    assert (await stage.line()).attachments == heard.attachments


async def test_agent_has_it_fetched_again(stage: Stage) -> None:
    hearing, event = stage.hearing(), await stage.receive(image())
    stage.platform.next_call("/media/get", faults.status(503), times=files.TRIES)
    await stage.work(hearing, event)
    (found,) = await hearing.fetch_again(AGENT, TALK, "m1")
    assert (found.problem, found.size) == ("", len(PICTURE))
    assert (await stage.line()).attachments == (found,)
    calls = stage.fetched()
    assert await hearing.fetch_again(AGENT, TALK, "m1") == [found]
    assert (stage.fetched(), len(stage.bot.heard)) == (calls, 1)
    for conversation, message, tenant in ((TALK, "m9", DEMO), ("c9", "m1", DEMO), (TALK, "m1", "other")):
        stranger = Member(TenantId(tenant), "x", "x", "X", "agent")
        with pytest.raises(errors.NotFound):
            await hearing.fetch_again(stranger, ConversationId(conversation), message)


async def test_more_files_than_anybody_looks_at_are_left(stage: Stage) -> None:
    many = [image() for _ in range(files.ATTACHMENTS + 1)]
    heard = await stage.work(stage.hearing(), await stage.receive(*many))
    assert [one.problem for one in heard.attachments] == [""] * files.ATTACHMENTS + ["too_many"]
    assert len({one.stored for one in heard.attachments}) == files.ATTACHMENTS + 1


async def test_closed_channel_and_missing_handle_are_said(stage: Stage) -> None:
    nothing = Attachment(kind="image")
    heard = await stage.work(stage.hearing(), await stage.receive(nothing))
    assert heard.attachments[0].problem == "no_file"
    hearing = Hearing(
        stage.database, {}, stage.bot, senses=Senses(Library(stage.database, stage.clock), speech=None, vision=None),
        hub=Hub(), clock=stage.clock,
    )  # fmt: skip
    heard = await stage.work(hearing, await stage.receive(image()))
    assert heard.attachments[0].problem == "channel_closed"


async def test_places_and_links_are_no_files(stage: Stage) -> None:
    there = Attachment(kind="location", latitude=30.2, longitude=120.1)
    link = Attachment(kind="link", url="http://169.254.169.254/latest")
    heard = await stage.work(stage.hearing(), await stage.receive(there, link, kind="link"))
    assert (heard.attachments, stage.platform.calls) == ((there, link), [])


async def test_voice_message_is_written_down(stage: Stage) -> None:
    ears = ScriptedSpeech(["运费是多少"])
    said = Attachment(kind="voice", media_id="say", media_type="audio/amr")
    heard = await stage.work(stage.hearing(speech=ears), await stage.receive(said, kind="voice"))
    assert (heard.text, heard.kind, heard.attachments[0].reading) == ("运费是多少", "voice", "运费是多少")
    assert [(one.content, one.name) for one in ears.heard] == [(VOICE, "voice.amr")]
    line = await stage.line()
    assert (line.text, line.words) == ("", "运费是多少")


async def test_platforms_own_transcript_is_enough(stage: Stage) -> None:
    ears = ScriptedSpeech(["never asked"])
    said = Attachment(kind="voice", media_id="say", media_type="audio/amr")
    heard = await stage.work(
        stage.hearing(speech=ears), await stage.receive(said, kind="voice", text="运费多少")
    )
    assert (heard.text, ears.heard, heard.attachments[0].size) == ("运费多少", [], len(VOICE))


async def test_picture_is_described_and_its_words_stay_data(stage: Stage) -> None:
    """The picture goes as the customer's message, our rules alone are the system's."""
    eyes = ScriptedModel(["一个破损的杯子。" * 200])
    heard = await stage.work(stage.hearing(vision=eyes), await stage.receive(image()))
    assert heard.text == ""
    assert heard.attachments[0].reading.startswith("一个破损的杯子。")
    assert len(heard.attachments[0].reading) <= 600
    (system, picture) = eyes.calls[0].lines
    assert (system.role, picture.role, picture.text) == ("system", "user", "")
    assert picture.picture is not None
    assert (picture.picture.content, picture.picture.media_type) == (PICTURE, "image/png")


@pytest.mark.parametrize(
    "failure", [errors.UpstreamUnavailable("down"), errors.UpstreamRefused("no"), errors.Exhausted("spent")]
)
async def test_model_that_fails_costs_only_the_understanding(
    stage: Stage, failure: errors.ServiceError
) -> None:
    said = Attachment(kind="voice", media_id="say")
    hearing = stage.hearing(speech=ScriptedSpeech([failure]), vision=ScriptedModel(_raises(failure)))
    heard = await stage.work(hearing, await stage.receive(said, image(), kind="voice"))
    assert heard.text == ""
    assert [(bool(one.stored), one.reading, one.problem) for one in heard.attachments] == [(True, "", "")] * 2


def _raises(failure: errors.ServiceError) -> Any:
    def script(_lines: Sequence[Line]) -> errors.ServiceError:
        return failure

    return script
