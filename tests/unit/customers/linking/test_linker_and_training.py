"""The list of whom something new is known about, worked off on both engines; and models that the night learns and judges."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from customers import changed, search
from customers.changed import Changed, Stage
from customers.directory import Directory
from customers.graph.operations import Operations
from customers.linking import known_pairs
from customers.linking.linker import MATCHER, Linker
from customers.linking.training import Training, Verdict
from customers.matching import lifecycle, online, records
from customers.matching.online import Matcher
from customers.profile.facts import Fact, Source
from customers.profile.profile import Profiles
from foundation.bus.embedded import EmbeddedBus
from foundation.bus.postgres import PostgresBus
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from operations.identities.desk import IdentityDesk
from operations.identities.person import PersonReading
from operations.identities.reviews import Reviews
from operations.staff import Member
from tests.conftest import StandingClock

DEMO = TenantId("demo")
LIN = {
    "name": "林小雨",
    "phone": "+8613957162043",
    "email": "xiaoyu.lin@lanyu-post.cn",
    "birthday": "1990-05-17",
}


@dataclass
class Side:
    database: Database
    clock: StandingClock
    directory: Directory
    profiles: Profiles
    operations: Operations
    linker: Linker
    training: Training

    def see(self, connection: sa.Connection, *names: tuple[str, str]) -> str:
        sender = [Identifier(namespace=space, value=value, proven=True) for space, value in names]
        seen = self.directory.graph.observe(
            connection, DEMO, sender, conversation_id=ConversationId("c"), seen_at=self.clock()
        )
        return seen.id

    def state(
        self, connection: sa.Connection, one: str, facts: Mapping[str, str], source: Source = "crm"
    ) -> None:
        for attribute, value in facts.items():
            self.profiles.state(connection, DEMO, Fact(one, attribute, value, source, 1, 1.0, self.clock()))

    async def know(self, namespace: str, value: str, source: Source = "crm") -> str:
        """Somebody of whom the same is stated as of everybody here."""

        def write(connection: sa.Connection) -> str:
            one = self.see(connection, (namespace, value))
            self.state(connection, one, LIN, source)
            return one

        return await self.database.write(write)

    async def customer(self, one: str) -> str:
        return (await self.database.read(lambda c: self.directory.graph.get(c, DEMO, one))).customer_id

    async def may_link(self) -> None:
        model = replace(online.starting_model(), source="own")
        await self.database.write(lambda c: lifecycle.publish(c, DEMO, model, actor="test", now=self.clock()))

    async def waiting(self, stage: Stage) -> list[Changed]:
        return await self.database.read(lambda c: changed.waiting(c, DEMO, stage, limit=100))


def build(database: Database, vault: Vault, clock: StandingClock) -> Side:
    directory = Directory(database, vault, clock)
    operations = Operations(directory.graph, vault, clock)
    matcher = Matcher(vault, clock, labels=known_pairs.customers_of)
    linker = Linker(database, matcher, operations, vault=vault, clock=clock)
    training = Training(database, matcher, linker, clock=clock)
    return Side(database, clock, directory, Profiles(vault, clock), operations, linker, training)


@pytest.fixture
def side(either_database: Database, vault: Vault, clock: StandingClock) -> Side:
    return build(either_database, vault, clock)


async def test_rows_of_one_import_find_each_other_and_a_repeat_changes_nothing(side: Side) -> None:
    await side.may_link()
    one = await side.know("account", "mei")
    other = await side.know("crm", "card-1")
    worked = await side.linker.run(DEMO)
    assert (worked.indexed, worked.linked) == (2, 1)
    assert await side.customer(one) == await side.customer(other)
    await side.database.write(lambda c: changed.mark(c, DEMO, one))
    again = await side.linker.run(DEMO)
    assert (again.indexed, again.linked, again.asked) == (1, 0, 0)
    assert await side.waiting(Stage.INDEX) == await side.waiting(Stage.COMPARE) == []


async def test_what_is_marked_again_while_it_is_worked_on_stays_on_the_list(side: Side) -> None:
    one = await side.know("account", "mei")
    taken = await side.waiting(Stage.INDEX)
    await side.database.write(lambda c: changed.mark(c, DEMO, one))
    await side.database.write(lambda c: changed.finish(c, DEMO, taken))
    await side.database.write(lambda c: changed.advance(c, DEMO, taken))
    assert [left.identity_id for left in await side.waiting(Stage.INDEX)] == [one]


async def test_what_a_customer_writes_is_never_the_reason_of_a_link(side: Side) -> None:
    await side.may_link()
    one = await side.know("account", "mei")
    other = await side.know("wechat_oa:wx", "oX", "chat")
    worked = await side.linker.run(DEMO)
    assert (worked.linked, worked.asked > 0) == (0, True)
    assert await side.customer(one) != await side.customer(other)
    await _is_shown_and_asked_about(side, one, other)


async def _is_shown_and_asked_about(side: Side, one: str, other: str) -> None:
    """What staff read of it, on this engine."""
    engine = EmbeddedBus if side.database.dialect == "sqlite" else PostgresBus
    desk = IdentityDesk(side.database, engine(side.database, side.clock), side.operations, clock=side.clock)
    reviews = Reviews(side.database, desk, side.operations, clock=side.clock)
    boss = Member(DEMO, "m1", "boss", "Boss", "manager")
    left, [pair] = await reviews.waiting(boss)
    assert (left, {pair.item.a, pair.item.b}) == (1, {one, other})
    await reviews.decide(boss, one, other, same=True, reason="the same voice")
    assert await reviews.count(DEMO) == 0
    reading = PersonReading(side.directory, side.profiles, Matcher(side.database.vault, side.clock))
    whole = await side.database.read(lambda c: reading.whole(c, DEMO, other))
    assert [named.badge for named in whole.identities] == ["proven", "stated"]
    assert [step.operation.kind for step in whole.history] == ["link"]


async def test_whom_somebody_has_kept_apart_is_not_proposed_again_on_either_side(side: Side) -> None:
    await side.may_link()
    one = await side.know("account", "mei")
    other = await side.know("crm", "card-1")
    await side.database.write(
        lambda c: side.operations.keep_apart(c, DEMO, one, other, actor="mei", reason="sisters")
    )
    worked = await side.linker.run(DEMO)
    assert (worked.indexed, worked.linked, worked.asked) == (2, 0, 0)


async def test_customer_is_found_by_what_is_known_now_and_no_more_by_what_was_before(
    side: Side, vault: Vault
) -> None:
    one = await side.know("account", "mei")
    await side.linker.run(DEMO)

    async def found(text: str) -> set[str]:
        hits = await side.database.read(lambda c: search.find(c, vault, DEMO, text))
        return {identity_id for _, identity_id in hits}

    assert await found("139-5716-2043") == await found("XIAOYU.LIN@lanyu-post.cn") == {one}
    assert await found("1395716204") == set()
    await side.database.write(lambda c: search.forget(c, DEMO, [one]))
    assert await found("139-5716-2043") == set()


async def test_night_learns_from_proofs_and_splits_and_publishes_only_what_is_no_worse(
    database: Database, vault: Vault, clock: StandingClock
) -> None:
    side = build(database, vault, clock)
    assert await side.training.night(DEMO) is None, "there is nobody to learn from"
    await database.write(lambda c: _people(side, c, random.Random(7)))
    await side.linker.run(DEMO)
    learned = await side.training.night(DEMO)
    assert learned is not None
    verdict = learned.verdict
    assert verdict is not None
    assert verdict.problems == ()
    assert verdict.loss is not None
    assert verdict.live_loss is not None
    assert verdict.loss < verdict.live_loss
    [version] = await database.read(lambda c: side.training.versions(c, DEMO))
    assert (version.live, version.made_by, version.verdict) == (True, MATCHER, verdict)
    await database.write(lambda c: side.training.switch(c, DEMO, None))
    state = await database.read(lambda c: records.find_state(c, DEMO))
    assert state is not None
    assert state.version is None


def test_model_is_published_by_itself_only_when_labels_show_that_it_is_no_worse() -> None:
    better = Verdict(500, 200, 40, 0.1, 0.2, 0, 0)
    assert better.may_publish_itself
    assert not replace(better, loss=0.3).may_publish_itself
    assert not replace(better, wrong=1).may_publish_itself
    assert not replace(better, loss=None, live_loss=None).may_publish_itself
    assert not replace(better, problems=("weights rise",)).may_publish_itself


def _people(side: Side, connection: sa.Connection, chance: random.Random) -> None:
    """Who has proven an account in WeChat, and pairs of relatives whom somebody has told apart."""
    surnames, given = (
        "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许",
        "伟芳娜敏静丽强磊洋艳勇军杰涛明超霞平刚雨思远若琪念慈博文婷雅浩宇晨曦欣怡梓涵嘉懿煜城",
    )
    accounts = []
    for number in range(110):
        facts = {
            "name": chance.choice(surnames) + "".join(chance.sample(given, 2)),
            "phone": f"+86139{chance.randrange(10**7, 10**8)}", "email": f"u{number}x{chance.randrange(999)}@lanyu-post.cn",
            "birthday": f"{chance.randrange(1950, 2004)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
        }  # fmt: skip
        wechat = side.see(connection, ("wechat_oa:wx", f"o{number}"), ("account", f"a{number}"))
        account = side.directory.graph.find_account(connection, DEMO, f"a{number}")
        assert account is not None
        side.state(connection, account.id, facts)
        kept = {name: value for name, value in facts.items() if chance.random() < 0.7} or {
            "name": facts["name"]
        }
        side.state(connection, wechat, kept)
        accounts.append((account.id, facts))
    for number, (account_id, facts) in enumerate(accounts[:90]):
        relative = side.see(connection, ("crm", f"r{number}"))
        name = facts["name"][0] + "".join(chance.sample(given, 2))
        side.state(connection, relative, {"name": name, "phone": facts["phone"]})
        side.operations.keep_apart(connection, DEMO, account_id, relative, actor="mei", reason="relatives")
