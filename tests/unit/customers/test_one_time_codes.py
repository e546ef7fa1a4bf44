"""One-time codes against a real database: five tries, one use, one conversation, five minutes; and who is sent one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.directory import Directory, Person
from customers.verification import codes, limits, records
from customers.verification.codes import Checked, Contact
from customers.verification.limits import Answers, Asked
from customers.verification.records import Challenge
from customers.verification.sending import Sending
from customers.verification.verification import Verification
from foundation import conversations, errors
from foundation.bus.contract import Entry, Turn
from foundation.bus.embedded import EmbeddedBus
from foundation.conversations import Conversation
from foundation.events import CodeWanted
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault, find_code, hide_codes
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.customers.conftest import DEMO, DEMO1, FIRST, OPENID, SECOND, Resolve

PHONE = Identifier(namespace="phone", value="+8613957162043", proven=True)
NUMBER = Contact("phone", PHONE.value)
UNKNOWN = Contact("phone", "+8613654022109")


@dataclass
class Letterbox:
    """A courier that keeps what it is given; `broken`: what it raises."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    names: bool = True
    broken: errors.ServiceError | None = None
    alarms: int = 0

    def names_of(self, contact: Contact, *, apart_from: Conversation) -> Sequence[Identifier]:
        return [Identifier(namespace=contact.kind, value=contact.value, proven=True)] if self.names else []

    def find_way(
        self, connection: sa.Connection, identity_id: str, contact: Contact, *, apart_from: Conversation
    ) -> Conversation | None:
        return conversations.get(connection, DEMO, SECOND)

    def was_sent(self, connection: sa.Connection, way: Conversation, challenge_id: str) -> bool:
        return any(one == challenge_id for one, _ in self.sent)

    async def send(self, way: Conversation, asking: Conversation, challenge: Challenge, code: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.sent.append((challenge.id, code))


@dataclass
class House:
    database: Database
    clock: StandingClock
    directory: Directory
    verification: Verification
    sending: Sending
    letterbox: Letterbox
    numbers: int = 0

    async def start(
        self, contact: Contact = NUMBER, *, here: ConversationId = FIRST, network: str = ""
    ) -> str:
        self.numbers += 1
        return await self.verification.start(
            DEMO, here, contact, purpose="orders", language="zh", key=f"k{self.numbers}", network=network
        )

    async def work(self, challenge: str, *, tenant: TenantId = DEMO) -> str:
        """What the worker does; what became of the challenge."""
        event = CodeWanted(tenant=tenant, challenge_id=challenge)
        turn = Turn(Entry(tenant, "code", challenge, "lane", event), 1, 1, 1, self.clock(), self.clock())
        outcome = await self.sending.handle_wanted(event, turn)
        for write in outcome.writes:
            await self.database.write(write)
        found = await self.database.read(lambda c: records.find(c, tenant, challenge))
        assert found is not None
        return found.outcome

    async def challenge(self, contact: Contact = NUMBER) -> tuple[str, str]:
        """Started and sent; the code."""
        challenge = await self.start(contact)
        await self.work(challenge)
        return challenge, next((code for one, code in self.letterbox.sent if one == challenge), "")

    async def check(
        self, challenge: str, code: str, *, here: ConversationId = FIRST, key: str = ""
    ) -> Checked:
        self.numbers += 1
        return await self.verification.check(DEMO, here, challenge, code, key=key or f"a{self.numbers}")

    async def person(self) -> Person:
        return await self.database.read(lambda c: self.directory.person(c, DEMO, FIRST))


@pytest.fixture
async def house(
    database: Database, vault: Vault, clock: StandingClock, directory: Directory, resolve: Resolve
) -> House:
    """Somebody writes in FIRST; in SECOND the owner of a phone has proven their account before."""
    bus, letterbox = EmbeddedBus(database, clock), Letterbox()
    await bus.open()
    await resolve(PHONE, DEMO1, conversation=SECOND)
    await resolve(OPENID, conversation=FIRST)

    def alarm(_connection: sa.Connection, _tenant: TenantId, _answers: Answers) -> None:
        letterbox.alarms += 1

    verification = Verification(database, bus, directory, vault, clock, lambda _: True, alarm)
    sending = Sending(database, directory, vault, clock, letterbox, 180, lambda _: None)
    return House(database, clock, directory, verification, sending, letterbox)


def other(code: str, by: int = 1) -> str:
    return f"{(int(code) + by) % 1_000_000:06d}"


async def test_the_right_code_proves_the_contacts_customer_for_its_purpose(house: House) -> None:
    challenge, code = await house.challenge()
    assert await house.check(challenge, code) == Checked("right")
    person = await house.person()
    assert (person.account, person.standing.purposes) == ("demo1", frozenset({"orders"}))
    owner = await house.database.read(lambda c: house.directory.person(c, DEMO, SECOND))
    assert person.access_id == owner.access_id
    house.clock.move(seconds=1_801)
    assert (await house.person()).account is None


async def test_the_sixth_try_is_refused_though_it_is_right(house: House) -> None:
    challenge, code = await house.challenge()
    answers = [await house.check(challenge, other(code, by)) for by in range(1, 6)]
    assert answers == [Checked("wrong", left) for left in (4, 3, 2, 1)] + [Checked("spent")]
    assert await house.check(challenge, code) == Checked("spent")
    assert (await house.person()).account is None


async def test_a_code_is_taken_once(house: House) -> None:
    challenge, code = await house.challenge()
    assert await house.check(challenge, code, key="same") == Checked("right")
    assert await house.check(challenge, code, key="same") == Checked("right"), "a repeated turn is one answer"
    assert await house.check(challenge, code) == Checked("spent")


async def test_a_code_of_another_conversation_is_none(house: House) -> None:
    challenge, code = await house.challenge()
    assert await house.check(challenge, code, here=SECOND) == Checked("expired")
    assert await house.check(challenge, code) == Checked("right"), "and cost no try"


async def test_a_code_of_another_purpose_or_challenge_is_none(house: House, vault: Vault) -> None:
    first, code = await house.challenge()
    second, _ = await house.challenge()
    assert (await house.check(second, code)).state == "wrong"
    assert codes.digest(vault, DEMO, first, code, conversation_id=FIRST, purpose="contacts") != codes.digest(
        vault, DEMO, first, code, conversation_id=FIRST, purpose="orders"
    )


async def test_a_code_expires_after_five_minutes(house: House) -> None:
    challenge, code = await house.challenge()
    house.clock.move(seconds=300)
    assert await house.check(challenge, code) == Checked("expired")


async def test_of_many_tries_at_once_five_are_compared(house: House) -> None:
    challenge, code = await house.challenge()
    answers = await asyncio.gather(*(house.check(challenge, other(code, by)) for by in range(1, 12)))
    assert sorted(one.left for one in answers if one.state == "wrong") == [1, 2, 3, 4]
    assert [one.state for one in answers].count("spent") == 7


async def test_unknown_contact_is_answered_like_a_known_one(house: House) -> None:
    known, code = await house.challenge()
    unknown, nothing = await house.challenge(UNKNOWN)
    assert nothing == ""
    for by in range(1, 7):
        assert await house.check(known, other(code, by)) == await house.check(unknown, other(code, by))


async def test_only_a_digest_of_the_code_is_stored(house: House) -> None:
    challenge, code = await house.challenge()

    def read(connection: sa.Connection) -> list[str]:
        row = connection.execute(sa.text("SELECT * FROM proof_challenge")).one()
        return [
            value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for value in row
            if value is not None
        ]

    values = await house.database.read(read)
    assert challenge in values
    assert not [value for value in values if code in value.removeprefix(challenge) and len(value) < 60]
    assert not [value for value in values if NUMBER.value in value]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("unknown", "unknown"),
        ("stale", "stale"),
        ("here", "same_channel"),
        ("late", "late"),
        ("away", "refused"),
    ],
)
async def test_no_code_goes_out(house: House, change: str, outcome: str) -> None:
    house.letterbox.names = change != "here"
    if change == "stale":
        house.clock.move(days=181)
    if change == "away":
        house.letterbox.broken = errors.UpstreamRefused("no", code="opted_out")
    challenge = await house.start(UNKNOWN if change == "unknown" else NUMBER)
    if change == "late":
        house.clock.move(seconds=301)
    assert await house.work(challenge) == outcome
    assert house.letterbox.sent == []


async def test_somebody_without_an_account_is_sent_nothing(house: House, resolve: Resolve) -> None:
    await resolve(
        Identifier(namespace="phone", value=UNKNOWN.value, proven=True),
        conversation=ConversationId("c-third"),
    )
    assert await house.work(await house.start(UNKNOWN)) == "no_account"


async def test_ones_own_number_is_no_other_contact(house: House, resolve: Resolve) -> None:
    assert await house.work(await house.start(here=SECOND)) == "unknown"


async def test_a_failed_attempt_makes_another_code(house: House) -> None:
    house.letterbox.broken = errors.UpstreamUnavailable("later")
    challenge = await house.start()
    with pytest.raises(errors.UpstreamUnavailable):
        await house.work(challenge)
    house.letterbox.broken = None
    assert await house.work(challenge) == "sent"
    assert await house.work(challenge) == "sent", "a repeat sends nothing"
    [(_, code)] = house.letterbox.sent
    assert await house.check(challenge, code) == Checked("right")


async def test_a_session_is_sent_three_a_day(house: House) -> None:
    assert [await house.work(await house.start()) for _ in range(4)] == ["sent"] * 3 + ["session_limit"]
    house.clock.move(days=1, seconds=1)
    assert await house.work(await house.start()) == "sent"


def test_each_limit_stands_alone() -> None:
    assert limits.reason_against(Asked(4, 2, 49)) == ""
    assert limits.reason_against(Asked(5, 0, 0)) == "contact_limit"
    assert limits.reason_against(Asked(0, 3, 0)) == "session_limit"
    assert limits.reason_against(Asked(0, 0, 50)) == "network_limit"


async def test_an_address_is_counted_over_contacts_and_sessions(house: House) -> None:
    for number in range(50):
        await house.start(Contact("phone", f"+86139{number:08d}"), here=SECOND, network="n7")
    assert await house.work(await house.start(network="n7")) == "network_limit"
    assert await house.work(await house.start(network="n8")) == "sent"


async def test_guessing_stops_the_codes_of_the_tenant_with_one_alarm(house: House) -> None:
    waiting, code = await house.challenge()
    for number in range(11):
        guessed = await house.start(Contact("phone", f"+86139{number:08d}"), here=SECOND)
        for guess in range(5):
            await house.check(guessed, f"{guess:06d}", here=SECOND)
    assert house.letterbox.alarms == 1
    assert await house.verification.is_stopped(DEMO)
    assert (await house.check(waiting, code)).state == "wrong", "a right answer is refused meanwhile"
    assert await house.work(await house.start()) == "stopped"
    house.clock.move(hours=1, seconds=1)
    assert not await house.verification.is_stopped(DEMO)
    challenge, code = await house.challenge()
    assert await house.check(challenge, code) == Checked("right")


def test_honest_mistakes_stop_nothing() -> None:
    assert not limits.is_attack(Answers(wrong=49, right=0))
    assert not limits.is_attack(Answers(wrong=100, right=26))
    assert limits.is_attack(Answers(wrong=100, right=25))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(guesses=st.lists(st.integers(0, 999_999), min_size=1, max_size=8))
async def test_guesses_tell_nothing_but_that_they_are_wrong(house: House, guesses: list[int]) -> None:
    """Whatever is guessed, the answers are those that anybody would get who guesses wrong so often."""
    house.clock.move(days=2)
    house.letterbox.sent.clear()
    challenge, code = await house.challenge(Contact("phone", "+8613957162043"))
    wrong = [f"{guess:06d}" for guess in guesses if f"{guess:06d}" != code]
    answers = [await house.check(challenge, guess) for guess in wrong]
    ladder = [Checked("wrong", 4), Checked("wrong", 3), Checked("wrong", 2), Checked("wrong", 1)]
    assert answers == (ladder + [Checked("spent")] * 4)[: len(wrong)]


@given(st.integers(0, 999_999), st.sampled_from(["{}", "是 {}", "my code is {}.", "验证码{}，谢谢", "{} "]))
def test_a_code_is_read_out_of_what_people_write(number: int, form: str) -> None:
    code = f"{number:06d}"
    for written in (code, f"{code[:3]} {code[3:]}", f"{code[:3]}-{code[3:]}"):
        text = form.format(written)
        if "验证码" in form:
            text = form.format(f" {written}")
        assert find_code(text) == code
        assert code not in hide_codes(text).replace(" ", "").replace("-", "")


@pytest.mark.parametrize(
    "text",
    ["13957162043", "SQ2026010002", "+86 139 571 62043", "1234567", "12345", "a123456", "2026-11-26 123"],
)
def test_other_numbers_are_no_codes(text: str) -> None:
    assert find_code(text) == ""
    assert hide_codes(text) == text


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("我的手机是 139 5716 2043", NUMBER),
        ("+86 13957162043", NUMBER),
        ("１３９５７１６２０４３", NUMBER),
        ("it is Xiaoyu.Lin@lanyu-post.cn, thanks", Contact("email", "xiaoyu.lin@lanyu-post.cn")),
        ("SQ2026010002", None),
        ("402817", None),
        ("你好", None),
        ("400 820 8820", None),
    ],
)
def test_a_contact_is_read_out_of_what_people_write(text: str, contact: Contact | None) -> None:
    assert codes.read_contact(text) == contact
