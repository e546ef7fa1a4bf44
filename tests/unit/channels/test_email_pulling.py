"""Pulling over a real socket: the cursor, crashes at any point, a mailbox made anew, a server that goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog
from pydantic import SecretStr

from channels import promises
from channels.adapters.email.channel import EmailChannel
from channels.adapters.email.incoming import Incoming
from channels.adapters.email.settings import EmailSettings
from channels.contract import Surroundings
from channels.platforms.shelf import Shelf
from channels.promises import Fetching, Pulling
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service.simulate.mail.mail_servers import ImapServer, Post, serving
from tests.conftest import StandingClock
from tests.unit.channels.email_house import ADDRESS, KeepingDoor, mail
from tests.unit.channels.test_email_codec import MIXED


@dataclass
class House:
    surroundings: Surroundings
    post: Post = field(default_factory=lambda: Post(ADDRESS, 'pass "word" \\'))
    changes: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = ImapServer(self.post)
        self.door = KeepingDoor()
        self.shelf = Shelf("email", self.surroundings)

    @asynccontextmanager
    async def channel(self, **changes: object) -> AsyncIterator[EmailChannel]:
        async with serving(self.server.handle) as port:
            settings = EmailSettings(
                address=ADDRESS, password=SecretStr(self.post.password), imap_host="127.0.0.1", imap_port=port,
                imap_security="plain", smtp_host="127.0.0.1", smtp_port=1, smtp_security="plain", start="all",
            )  # fmt: skip
            channel = EmailChannel(settings.model_copy(update=changes), self.surroundings)
            yield channel
            await channel.close()

    async def catch_up(self, channel: EmailChannel) -> None:
        incoming = Incoming(channel.settings, channel.login)
        try:
            await incoming.open()
            await channel.puller.catch_up(incoming, self.door)
        finally:
            incoming.drop()

    async def deliver(self, *texts: str) -> None:
        for text in texts:
            await self.post.deliver(mail(text, Message_ID=f"<{text}@x>", Subject=""))

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.door.taken]


@pytest.fixture
def house(database: Database, vault: Vault, clock: StandingClock) -> House:
    return House(Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock))


async def until(condition: object, *, what: asyncio.Task[None]) -> None:
    """The loop runs until the condition holds; the pulling must not end meanwhile."""
    assert callable(condition)
    while not condition():
        assert not what.done(), what
        await asyncio.sleep(0.01)


async def test_mails_come_in_order_and_once(house: House) -> None:
    async with house.channel() as channel:
        await house.deliver("one", "two")
        await house.catch_up(channel)
        await house.deliver("three")
        await house.catch_up(channel)
        await house.catch_up(channel)
    assert house.texts == ["one", "two", "three"]
    assert house.door.offered == 3
    assert await house.shelf.read("cursor") == "1:3"
    assert house.post.seen == {1, 2, 3}


async def test_only_new_mails_are_read_when_so_set(house: House) -> None:
    async with house.channel(start="new", mark_seen=False) as channel:
        await house.deliver("old")
        await house.catch_up(channel)
        assert house.texts == []
        await house.deliver("new")
        await house.catch_up(channel)
    assert house.texts == ["new"]
    assert house.post.seen == set()


async def test_mail_is_offered_again_when_the_door_did_not_take_it(house: House) -> None:
    house.door.refusals = [errors.Overloaded("full")]
    async with house.channel() as channel:
        await house.deliver("one", "two")
        with pytest.raises(errors.Overloaded):
            await house.catch_up(channel)
        assert await house.shelf.read("cursor") == ""
        await house.catch_up(channel)
    assert house.texts == ["one", "two"]


async def test_mail_is_one_message_when_a_crash_follows_its_acceptance(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise errors.UpstreamUnavailable("gone")

    async with house.channel() as channel:
        await house.deliver("one")
        with monkeypatch.context() as patch:
            patch.setattr(channel.puller, "_move", crash)
            with pytest.raises(errors.UpstreamUnavailable):
                await house.catch_up(channel)
        await house.catch_up(channel)
    assert (house.texts, house.door.offered) == (["one"], 2)


async def test_mailbox_made_anew_brings_only_what_is_new(house: House) -> None:
    async with house.channel() as channel:
        await house.deliver("one", "two")
        await house.catch_up(channel)
        del house.post.mails[1]
        house.post.renew()
        await house.deliver("three")
        await house.catch_up(channel)
        await house.catch_up(channel)
    assert house.texts == ["one", "two", "three"]
    assert await house.shelf.read("cursor") == "2:2"


async def test_unreadable_mail_is_passed_over_and_stays_unread(house: House) -> None:
    async with house.channel() as channel:
        await house.post.deliver(b"From: nobody\r\n\r\nhello")
        await house.deliver("one")
        with structlog.testing.capture_logs() as lines:
            await house.catch_up(channel)
    assert house.texts == ["one"]
    assert house.post.seen == {2}
    assert [line["code"] for line in lines if line["event"] == "mail cannot be read"] == ["no_sender"]


async def test_beginning_of_a_mail_is_read_when_it_is_larger_than_the_limit(house: House) -> None:
    async with house.channel(mail_limit_bytes=2000) as channel:
        await house.post.deliver(mail("x" * 10_000, Subject=""))
        await house.catch_up(channel)
    assert 1000 < len(house.texts[0]) < 2000


async def test_conversation_is_only_stored_when_two_machines_write_to_each_other(
    house: House, clock: StandingClock
) -> None:
    async def write(*numbers: int) -> None:
        for number in numbers:
            await house.post.deliver(mail("again", Message_ID=f"<{number}@x>", References="<root@x>"))
        await house.catch_up(channel)

    async with house.channel(answers_per_hour=2) as channel:
        await write(1, 2, 3)
        assert [message.event for message in house.door.taken] == ["", "", "too_many"]
        clock.move(hours=1, seconds=1)
        await write(4)
    assert house.door.taken[-1].event == ""
    assert house.door.taken[-2].text == "again"


async def test_sender_is_only_stored_when_he_begins_conversations_for_ever(house: House) -> None:
    async with house.channel(answers_per_hour=1) as channel:
        await house.deliver("a", "b", "c", "d")
        await house.catch_up(channel)
    assert [message.event for message in house.door.taken] == ["", "", "", "too_many"]


async def test_mail_is_taken_at_once_when_the_server_tells_of_it(house: House) -> None:
    async with house.channel(poll_seconds=1500) as channel:
        assert isinstance(channel, Pulling)
        pulling = asyncio.create_task(channel.pull(house.door))
        await until(lambda: "IDLE" in house.server.heard, what=pulling)
        await house.deliver("one")
        await until(lambda: house.texts == ["one"], what=pulling)
        await house.deliver("two")
        await until(lambda: house.texts == ["one", "two"], what=pulling)
        await stop(pulling)
    assert house.server.connections == 1


async def test_mailbox_is_polled_when_the_server_cannot_tell(house: House) -> None:
    house.server.capabilities = ("IMAP4rev1",)
    async with house.channel(poll_seconds=0) as channel:
        pulling = asyncio.create_task(channel.pull(house.door))
        await house.deliver("one")
        await until(lambda: house.texts == ["one"], what=pulling)
        await house.deliver("two")
        await until(lambda: house.texts == ["one", "two"], what=pulling)
        await stop(pulling)
    assert "IDLE" not in house.server.heard
    assert "ID" not in house.server.heard


async def test_pulling_goes_on_when_the_server_was_away_and_says_so_once(house: House) -> None:
    house.server.hang_ups = 3
    house.door.refusals = [errors.Overloaded("full")]
    async with house.channel() as channel:
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        channel.puller.pause = pause
        await house.deliver("one")
        with structlog.testing.capture_logs() as lines:
            pulling = asyncio.create_task(channel.pull(house.door))
            await until(lambda: house.texts == ["one"], what=pulling)
            await until(lambda: len(house.server.heard) > 5, what=pulling)
            await stop(pulling)
    assert pauses == [2, 4, 8, 16]
    said = [line["event"] for line in lines if "mailbox" in line["event"]]
    assert said[:2] == ["mailbox cannot be read", "mailbox is read again"][: len(said)]
    assert said.count("mailbox cannot be read") == 1


async def test_wrong_password_is_one_state_with_long_pauses(house: House) -> None:
    async with house.channel(password=SecretStr("wrong")) as channel:
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await asyncio.sleep(0)

        channel.puller.pause = pause
        with structlog.testing.capture_logs() as lines:
            pulling = asyncio.create_task(channel.pull(house.door))
            await until(lambda: len(pauses) >= 3, what=pulling)
            await stop(pulling)
    assert set(pauses) == {300}
    assert [line["code"] for line in lines if line["event"] == "mailbox cannot be read"] == [
        "email_credentials"
    ]
    assert "wrong" not in repr(lines)


async def test_missing_folder_is_refused_by_name(house: House) -> None:
    async with house.channel(folder="客服") as channel:
        with pytest.raises(errors.UpstreamRefused) as refused:
            await house.catch_up(channel)
    assert refused.value.code == "email_folder"


async def test_attachment_is_fetched_out_of_its_mail(house: House) -> None:
    async with house.channel() as channel:
        assert isinstance(channel, Fetching)
        await house.post.deliver(mail(MIXED, Content_Type="multipart/mixed; boundary=m"))
        await house.catch_up(channel)
        picture, document, *_ = house.door.taken[0].attachments
        assert (await channel.fetch(picture)).content == b"picture"
        assert (await channel.fetch(document)).media_type == "application/pdf"
        assert house.post.seen == {1}


async def test_attachment_is_gone_when_its_mail_is(house: House) -> None:
    async with house.channel() as channel:
        await house.post.deliver(mail(MIXED, Content_Type="multipart/mixed; boundary=m"))
        await house.catch_up(channel)
        picture = house.door.taken[0].attachments[0]
        house.post.mails[1] = mail("another")
        gone = [
            picture,
            picture.model_copy(update={"media_id": ""}),
            picture.model_copy(update={"media_id": "9:1:0"}),
        ]
        for attachment in gone:
            with pytest.raises(errors.UpstreamRefused) as refused:
                await channel.fetch(attachment)
            assert refused.value.code == "email_gone"


async def test_attachment_is_refused_when_it_is_too_large(house: House) -> None:
    async with house.channel() as channel:
        await house.post.deliver(mail(MIXED, Content_Type="multipart/mixed; boundary=m"))
        await house.catch_up(channel)
    async with house.channel(attachment_limit_bytes=3) as small:
        with pytest.raises(errors.InvalidInput) as refused:
            await small.fetch(house.door.taken[0].attachments[0])
    assert refused.value.code == "too_large"


async def test_test_says_what_is_wrong_when_sending_is_not_possible(house: House) -> None:
    async with house.channel() as channel:
        assert isinstance(channel, promises.Testing)
        with pytest.raises(errors.UpstreamUnavailable) as refused:
            await channel.test()
    assert refused.value.code == "email_unreachable"


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
