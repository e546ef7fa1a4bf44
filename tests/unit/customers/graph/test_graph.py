"""The graph over both databases: evidence, links, splits, new holders of a name, and what staff are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
import sqlalchemy as sa

from customers import records as places
from customers.directory import ACCOUNT, Directory, Proof
from customers.graph import claims, history, records
from customers.graph.operations import Grounds, Operations
from customers.graph.partition import Strength
from foundation import conversations, errors
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database, metadata
from tests.conftest import StandingClock, fresh_postgres, open_with_tables

DEMO = TenantId("demo")
T = TypeVar("T")


def vouched(namespace: str, value: str = "1", *, device: bool = False) -> Identifier:
    return Identifier(namespace=namespace, value=value, proven=True, device=device)


OPENID, OTHER, UNION = vouched("wechat_oa:wx"), vouched("wechat_mini:wx"), vouched("wechat_union:w")
PHONE, SMS, SLACK = vouched("phone", "+8613912345678"), vouched("sms:a"), vouched("slack:t")
BROWSER = vouched("web_chat:main", "v1", device=True)
ANNA, BEN = vouched(ACCOUNT, "anna"), vouched(ACCOUNT, "ben")


class House:
    def __init__(self, database: Database, vault: Vault, clock: StandingClock) -> None:
        self.database, self.clock, self.vault = database, clock, vault
        self.directory = Directory(database, vault, clock)
        self.graph = self.directory.graph
        self.operations = Operations(self.graph, vault, clock)

    async def write(self, work: Callable[[sa.Connection], T]) -> T:
        return await self.database.write(work)

    async def talk(self, *sender: Identifier, at: str = "") -> str:
        """A message in a conversation of its own, unless it is named; the identity it came in through."""
        conversation_id = ConversationId(f"c-{at or sender[0].namespace + sender[0].value}")
        message = InboundMessage(
            tenant=DEMO, channel="x", account="main", thread="t", message_id=MessageId("m"), sender=sender,
            text="?", sent_at=self.clock(),
        )  # fmt: skip

        def work(connection: sa.Connection) -> str:
            conversations.ensure(
                connection, conversation_id, tenant=DEMO, channel="x", account="main", recipient="r",
                now=self.clock(),
            )  # fmt: skip
            return self.directory.resolve(connection, DEMO, message, conversation_id).identity_id

        found = await self.write(work)
        self.clock.move(seconds=1)
        return found

    async def link(self, one: str, other: str, grounds: Grounds | None = None) -> tuple[int | None, str]:
        linked = await self.write(
            lambda c: self.operations.link(
                c, DEMO, one, other, actor="staff:li", reason="打过电话", grounds=grounds or Grounds()
            )
        )
        return linked.op, linked.refused

    async def split(self, *names: str) -> int:
        return await self.write(
            lambda c: self.operations.split(c, DEMO, names, actor="staff:li", reason="two people")
        )

    async def undo(self, number: int) -> int:
        return await self.write(
            lambda c: self.operations.undo(c, DEMO, number, actor="staff:wu", reason="a mistake")
        )

    async def labels(self, *names: str) -> list[tuple[str, str]]:
        """Customer and access of each."""
        found = await self.database.read(lambda c: records.find_many(c, DEMO, names))
        return [(found[name].customer_id, found[name].access_id) for name in names]

    async def shown(self) -> dict[str, str | None]:
        """The customer of each conversation."""
        rows = await self.database.read(lambda c: conversations.search(c, DEMO))
        return {row.id: row.customer_id for row in rows}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each engine is opened once; every test begins with empty tables."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('graph') / 'graph.db'}"
        if request.param == "postgres":
            url = stack.enter_context(fresh_postgres(request.getfixturevalue("postgres_server")))
        database = Database(url, Vault(b"0123456789abcdef0123456789abcdef"))
        asyncio.run(open_with_tables(database))
        yield database
        asyncio.run(database.close())


@pytest.fixture
async def house(opened: Database, clock: StandingClock) -> House:
    def empty(connection: sa.Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            if table.name.startswith(("identity", "conversation", "assurance")):
                connection.execute(sa.delete(table))

    await opened.write(empty)
    return House(opened, opened.vault, clock)


async def test_two_openids_are_one_when_their_unionid_arrives_later(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(OTHER)
    assert len(set(await house.labels(one, other))) == 2
    await house.talk(OPENID, UNION)
    await house.talk(OTHER, UNION)
    assert await house.labels(one, other) == [(one, one), (one, one)]
    assert set((await house.shown()).values()) == {one}


async def test_phone_joins_the_carriers_name_with_what_is_proven_elsewhere(house: House) -> None:
    sms = await house.talk(SMS, PHONE)
    whatsapp = await house.talk(vouched("whatsapp:b"), PHONE)
    assert await house.labels(sms, whatsapp) == [(sms, sms), (sms, sms)]


async def test_browser_is_shown_with_its_account_but_never_sees_what_it_may_see(house: House) -> None:
    openid = await house.talk(OPENID)
    await house.talk(OPENID, ANNA)
    browser = await house.talk(BROWSER, ANNA)
    assert await house.labels(browser) == [(openid, browser)]
    person = await house.directory.find_person(DEMO, ConversationId("c-web_chat:mainv1"))
    assert person is not None
    assert (person.proof, person.access_id) == (Proof.ACCOUNT, openid)
    house.clock.move(hours=1)
    person = await house.directory.find_person(DEMO, ConversationId("c-web_chat:mainv1"))
    assert person is not None
    assert (person.proof, person.customer_id, person.access_id) == (Proof.CHANNEL, openid, browser)
    others = await house.database.read(
        lambda c: house.directory.find_others(c, DEMO, ConversationId("c-web_chat:mainv1"))
    )
    assert others == []


async def test_browser_of_two_is_nobodys_and_the_conversation_shows_who_signed_in_last(house: House) -> None:
    anna = await house.talk(ANNA, at="anna")
    ben = await house.talk(BEN, at="ben")
    browser = await house.talk(BROWSER, ANNA, at="web")
    assert (await house.shown())["c-web"] == anna
    await house.talk(BROWSER, BEN, at="web")
    assert await house.labels(browser) == [(browser, browser)]
    assert (await house.shown())["c-web"] == ben
    house.clock.move(hours=1)
    await house.talk(BROWSER, at="web")
    assert (await house.shown())["c-web"] == browser


async def test_replies_are_redirected_by_proof_alone(house: House) -> None:
    openid, slack = await house.talk(OPENID, at="wechat"), await house.talk(SLACK, at="slack")
    await house.link(openid, slack)
    assert await house.labels(slack) == [(openid, slack)]

    async def others() -> list[str]:
        return await house.database.read(
            lambda c: list(house.directory.find_others(c, DEMO, ConversationId("c-wechat")))
        )

    assert await others() == []
    await house.talk(OPENID, ANNA, at="wechat")
    await house.talk(SLACK, ANNA, at="slack")
    assert await others() == ["c-slack"]


async def test_hotline_of_many_accounts_joins_nobody(house: House) -> None:
    people = []
    for number in range(12):
        await house.talk(vouched(ACCOUNT, f"a{number}"), at=f"own-{number}")
        people.append(await house.talk(vouched("call", str(number)), PHONE, vouched(ACCOUNT, f"a{number}")))
        await house.talk(PHONE, vouched(ACCOUNT, f"a{number}"), at="hotline")
    hotline = await house.talk(PHONE, at="hotline")
    assert len({customer for customer, _ in await house.labels(*people)}) == 12
    assert await house.labels(hotline) == [(hotline, hotline)]
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, hotline))
    assert {one.suppressed for one in found.evidence} == {"shared"}
    area_of_one = await house.database.read(lambda c: house.graph.component(c, DEMO, people[0]))
    assert len(area_of_one.members) == 2
    assert len(await house.database.read(lambda c: house.graph.find_conflicts(c, DEMO))) == 24


async def test_link_is_for_staff_and_undone_without_a_trace(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    before = await house.shown()
    op, refused = await house.link(one, other)
    assert (op, refused) == (1, "")
    assert await house.labels(one, other) == [(one, one), (one, other)]
    assert set((await house.shown()).values()) == {one}
    await house.undo(1)
    assert await house.labels(one, other) == [(one, one), (other, other)]
    assert await house.shown() == before
    assert await house.database.read(lambda c: history.find_break(c, DEMO)) is None


async def test_score_links_once_and_not_again_after_it_was_undone(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    grounds = Grounds(Strength.LIKELY, 0.9995, evidence="match:m1", model_version="m1")
    assert await house.link(one, other, grounds) == (1, "")
    assert await house.link(one, other, grounds) == (None, "")
    await house.undo(1)
    assert await house.link(one, other, grounds) == (None, "undone")
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, other))
    assert (len(found.members), found.evidence) == (1, ())


async def test_link_of_two_accounts_is_refused_and_shown_as_a_conflict(house: House) -> None:
    openid, slack = await house.talk(OPENID, ANNA), await house.talk(SLACK, BEN)
    preview = await house.database.read(lambda c: house.operations.preview_link(c, DEMO, openid, slack))
    assert (preview.refused, len(preview.sides)) == ("unique", 2)
    assert await house.link(openid, slack) == (1, "unique")
    assert len(set(await house.labels(openid, slack))) == 2
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, openid))
    assert [(one.suppressed, one.actor, one.made_by) for one in found.conflicts] == [
        ("unique", "staff:li", 1)
    ]


async def test_split_takes_the_conversations_with_it_and_gives_the_old_label_back(house: House) -> None:
    openid = await house.talk(OPENID, at="wechat")
    await house.talk(OPENID, ANNA, at="wechat")
    slack = await house.talk(SLACK, ANNA, at="slack")
    old = await house.database.read(lambda c: house.graph.component(c, DEMO, slack))
    preview = await house.database.read(lambda c: house.operations.preview_split(c, DEMO, [slack]))
    assert [[talk for _, talk in side.conversations] for side in preview.sides] == [["c-wechat"], ["c-slack"]]
    number = await house.split(slack)
    assert (await house.shown())["c-slack"] == slack
    assert (await house.labels(openid, slack))[1] == (slack, slack)
    await house.talk(SLACK, ANNA, at="new")
    assert await house.labels(openid, slack) == [(openid, openid), (slack, slack)]
    await house.undo(number)
    assert (await house.shown())["c-slack"] == openid
    again = await house.database.read(lambda c: house.graph.component(c, DEMO, slack))
    assert again.fingerprint == old.fingerprint
    changes = await house.database.read(lambda c: history.read_relabellings(c, DEMO))
    assert [(one.op, one.identity_id, one.old.customer, one.new.customer) for one in changes][-2:] == [
        (number, slack, openid, slack), (number + 1, slack, slack, openid),
    ]  # fmt: skip
    later = await house.database.read(lambda c: history.read_relabellings(c, DEMO, after=changes[0].number))
    assert later == changes[1:]


async def test_customer_id_of_before_leads_to_the_customer_of_today(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    await house.link(one, other)
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, other))
    assert found.customer_id == one
    with pytest.raises(errors.NotFound):
        await house.database.read(lambda c: house.graph.component(c, TenantId("other"), other))


async def test_pair_kept_apart_is_not_joined_by_any_score(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    await house.write(
        lambda c: house.operations.keep_apart(c, DEMO, one, other, actor="customer", reason="not me")
    )
    assert await house.link(one, other, Grounds(Strength.LIKELY, 1.0, "match:m1", "m1")) == (2, "apart")
    await house.undo(1)
    assert await house.labels(one, other) == [(one, one), (one, other)]


async def test_recycled_number_is_somebody_else_without_a_history(house: House) -> None:
    old = await house.talk(PHONE, ANNA, at="sms")
    sent_before = house.clock()
    house.clock.move(days=400)
    new = (
        await house.write(
            lambda c: house.operations.begin_epoch(
                c, DEMO, old, actor="system", reason="stale, others disagree"
            )
        )
    ).id
    assert await house.labels(new) == [(new, new)]
    house.clock.move(seconds=1)
    assert await house.talk(PHONE, at="sms") == new
    person = await house.directory.find_person(DEMO, ConversationId("c-sms"))
    assert person is not None
    assert (person.identity_id, person.customer_id, person.account) == (new, new, None)
    assert (await house.shown())["c-sms"] == new
    await house.talk(PHONE, BEN, at="sms")
    ben = await house.database.read(lambda c: house.graph.find_account(c, DEMO, "ben"))
    assert ben is not None
    assert {customer for customer, _ in await house.labels(new, ben.id)} == {new}
    house.clock.now = sent_before
    assert await house.talk(PHONE, at="sms-before") == old
    house.clock.move(days=401)
    with pytest.raises(errors.Conflict):
        await house.write(
            lambda c: house.operations.begin_epoch(c, DEMO, old, actor="system", reason="again")
        )


async def test_old_proof_is_not_the_new_holders(house: House) -> None:
    await house.talk(PHONE, at="sms")
    await house.write(
        lambda c: house.directory.prove(
            c, DEMO, ConversationId("c-sms"), account="anna", method="test", valid_seconds=3600
        )
    )
    house.clock.move(seconds=1)
    old = await house.talk(PHONE, at="sms")
    house.clock.move(seconds=1)
    await house.write(
        lambda c: house.operations.begin_epoch(c, DEMO, old, actor="system", reason="number was given away")
    )
    await house.talk(PHONE, at="sms")
    person = await house.directory.find_person(DEMO, ConversationId("c-sms"))
    assert person is not None
    assert (person.account, person.proof) == (None, Proof.CHANNEL)


async def test_caller_who_is_not_vouched_for_only_claims_the_number(house: House) -> None:
    owner = await house.talk(PHONE, ANNA)
    caller = await house.talk(vouched("call", "77"), PHONE.model_copy(update={"proven": False}))
    assert await house.labels(caller) == [(caller, caller)]
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, caller))
    assert [(claim.namespace, claim.value, claim.status) for claim in found.claims] == [
        ("phone", "+8613912345678", "open")
    ]
    stored = await house.database.read(
        lambda c: c.execute(sa.select(claims.claim_table.c.lookup)).scalar_one()
    )
    assert stored == owner  # found by the same digest as the name it claims, and no more than that
    raw = await house.database.read(lambda c: c.exec_driver_sql("SELECT * FROM identity_claim").all())
    assert "13912345678" not in repr(raw)
    house.clock.move(days=claims.VALID_DAYS)
    found = await house.database.read(lambda c: house.graph.component(c, DEMO, caller))
    assert found.claims == ()
    assert await house.write(lambda c: claims.drop(c, DEMO, expired_before=house.clock())) == 1


async def test_history_shows_who_did_what_and_whether_somebody_changed_it(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    await house.link(one, other)
    await house.undo(1)
    done = await house.database.read(lambda c: history.read(c, DEMO))
    assert [(op.number, op.kind, op.actor, op.reason, op.undoes) for op in done] == [
        (2, "undo", "staff:wu", "a mistake", 1), (1, "link", "staff:li", "打过电话", None),
    ]  # fmt: skip
    assert done[1].payload["identities"] == sorted([one, other])
    raw = await house.database.read(lambda c: c.exec_driver_sql("SELECT * FROM identity_op").all())
    assert "打过电话" not in repr(raw)
    await house.write(lambda c: c.exec_driver_sql("UPDATE identity_op SET actor = 'x' WHERE number = 1"))
    assert await house.database.read(lambda c: history.find_break(c, DEMO)) == 1


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("same", "same_identity"), ("unknown", "unknown_identity"), ("silent", "reason_missing"),
        ("nobody", "actor_missing"), ("proof", "bad_strength"), ("score", "bad_score"),
        ("all", "nothing_stays"), ("two customers", "not_one_customer"), ("undo nothing", "unknown_operation"),
        ("undo an undo", "not_undoable"), ("undo twice", "already_undone"),
    ],
)  # fmt: skip
async def test_deed_is_refused_with_a_code_when_it_makes_no_sense(house: House, deed: str, code: str) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    await house.link(one, other)
    await house.undo(1)
    does = house.operations
    link = partial(does.link, tenant=DEMO, one=one, other=other, actor="staff:li", reason="why")
    split = partial(does.split, tenant=DEMO, actor="staff:li", reason="why")
    undo = partial(does.undo, tenant=DEMO, actor="staff:li", reason="why")
    deeds: dict[str, Callable[[sa.Connection], object]] = {
        "same": lambda c: link(c, other=one),
        "unknown": lambda c: link(c, other="nobody"),
        "silent": lambda c: link(c, reason=" "),
        "nobody": lambda c: link(c, actor=""),
        "proof": lambda c: link(c, grounds=Grounds(Strength.PROVEN)),
        "score": lambda c: link(c, grounds=Grounds(Strength.LIKELY, 1.1)),
        "all": lambda c: split(c, names=[one]),
        "two customers": lambda c: split(c, names=[one, other]),
        "undo nothing": lambda c: undo(c, number=99),
        "undo an undo": lambda c: undo(c, number=2),
        "undo twice": lambda c: undo(c, number=1),
    }
    work = deeds[deed]
    with pytest.raises(errors.ServiceError) as refusal:
        await house.write(work)
    assert refusal.value.code == code
    assert refusal.value.status in (404, 409, 422)


async def test_stranger_with_an_account_is_not_merged_with_who_opened_the_conversation(house: House) -> None:
    owner = await house.talk(SLACK, at="group")
    await house.talk(vouched("slack:t", "2"), BEN, at="group")
    ben = await house.database.read(lambda c: house.graph.find_account(c, DEMO, "ben"))
    assert ben is not None
    assert await house.labels(owner) == [(owner, owner)]
    assert ben.customer_id != owner
    assert await house.database.read(lambda c: places.find_conversations(c, DEMO, [owner])) == [
        (owner, "c-group")
    ]


async def test_name_keeps_its_earliest_sight_when_messages_come_late(house: House) -> None:
    one, other = await house.talk(OPENID), await house.talk(SLACK)
    await house.link(one, other)
    now = house.clock()
    house.clock.now -= timedelta(days=1)
    await house.talk(SLACK)
    house.clock.now = now
    assert await house.labels(one, other) == [(other, one), (other, other)]
    assert set((await house.shown()).values()) == {other}
