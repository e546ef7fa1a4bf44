"""One new record against the base, on both engines: who is proposed, who never is, and what is left of a record."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from customers.matching import blocking, lifecycle, models, online, records
from customers.matching.features import Record
from customers.matching.models import Model
from customers.matching.online import Matcher, Proposal, Thresholds
from foundation import errors
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock

DEMO, OTHER = TenantId("demo"), TenantId("other")
ZHANG = {
    "name": "张伟明",
    "phone": "138****5679",
    "email": "zwm88@qq.com",
    "address": "杭州市西湖区文三路88号5栋302室",
    "ip": "36.1.2.3",
}
SEEN = {
    "name": "Weiming Zhang",
    "phone": "****5679",
    "email": "zwm88@163.com",
    "address": "西湖区文三路88号5栋302室",
    "ip": "36.1.2.9",
}


def learned_model() -> Model:
    """As if fitted: with the weights of the starting one."""
    return replace(online.starting_model(), source="own")


class House:
    """A matcher over a database, with functions that open the connection."""

    def __init__(self, database: Database, vault: Vault, clock: StandingClock, **options: object) -> None:
        self.database, self.clock = database, clock
        self.matcher = Matcher(vault, clock, **options)  # type: ignore[arg-type]  # labels of tests

    async def index(self, **found: Mapping[str, str]) -> None:
        await self.database.write(
            lambda c: self.matcher.index(c, DEMO, {one: Record(two) for one, two in found.items()})
        )

    async def observe(
        self, record: Mapping[str, str], *, identity: str = "new", tenant: TenantId = DEMO, claimed: Sequence[str] = (),
        excluded: Sequence[str] = (),
    ) -> Proposal:  # fmt: skip
        found = Record(record, frozenset(claimed))
        return await self.database.write(
            lambda c: self.matcher.observe(c, tenant, identity, found, excluded=excluded)
        )

    async def publish(self, model: Model | None = None, thresholds: Thresholds | None = None) -> int:
        published = model or learned_model()
        return await self.database.write(
            lambda c: lifecycle.publish(
                c, DEMO, published, actor="qa", now=self.clock(), thresholds=thresholds
            )
        )

    async def reviews(self, status: str = "open") -> list[records.ReviewItem]:
        return await self.database.read(lambda c: records.list_reviews(c, DEMO, status=status))

    async def decide(self, a: str, b: str, *, same: bool, reason: str = "called them") -> records.ReviewItem:
        return await self.database.write(
            lambda c: lifecycle.decide(c, DEMO, a, b, same=same, actor="ann", reason=reason, now=self.clock())
        )


@pytest.fixture
def house(either_database: Database, vault: Vault, clock: StandingClock) -> House:
    return House(either_database, vault, clock)


@pytest.fixture
def embedded(database: Database, vault: Vault, clock: StandingClock) -> House:
    return House(database, vault, clock)


async def test_same_person_is_proposed_with_reasons_when_seen_elsewhere(house: House) -> None:
    await house.publish()
    await house.index(zhang=ZHANG, li={"name": "李娜", "phone": "139****0000"})
    proposal = await house.observe(SEEN)
    assert (proposal.decision, proposal.other, proposal.customer) == ("auto", "zhang", "zhang")
    assert proposal.probability > 0.999
    assert {"name_sound", "phone_tail", "email_local"} <= {reason.label for reason in proposal.reasons}
    assert await house.reviews() == []


async def test_nobody_is_linked_by_the_model_that_we_ship(house: House) -> None:
    await house.index(zhang=ZHANG)
    proposal = await house.observe(SEEN)
    assert (proposal.decision, proposal.other, proposal.model_version) == ("review", "zhang", None)
    (item,) = await house.reviews()
    assert (item.a, item.b) == ("new", "zhang")
    assert item.reasons == tuple(replace(one, bits=round(one.bits, 3)) for one in proposal.reasons)


async def test_claims_bring_a_pair_to_a_person_and_never_link(house: House) -> None:
    """The attacker types everything that is known about the victim."""
    await house.publish()
    await house.index(zhang=ZHANG)
    proposal = await house.observe(ZHANG, claimed=list(ZHANG))
    assert proposal.decision == "review"
    partly = await house.observe(ZHANG, identity="half", claimed=["name", "phone", "email", "address"])
    assert partly.decision != "auto"


async def test_stored_claims_never_link_the_real_person_to_whoever_made_them(house: House) -> None:
    await house.publish()
    await house.observe(ZHANG, identity="attacker", claimed=list(ZHANG))
    proposal = await house.observe(ZHANG, identity="victim")
    assert (proposal.decision, proposal.other) == ("review", "attacker")


async def test_stranger_with_a_common_name_is_nobody(house: House) -> None:
    await house.publish()
    await house.index(zhang=ZHANG)
    await house.database.write(lambda c: records.set_population(c, DEMO, 1_000_000, house.clock()))
    proposal = await house.observe({"name": "张伟明", "address": "杭州市拱墅区莫干山路1号"})
    assert (proposal.decision, proposal.other) == ("none", "zhang")


async def test_two_who_look_alike_are_left_to_a_person(house: House) -> None:
    await house.publish()
    await house.index(zhang=ZHANG, twin=ZHANG)
    proposal = await house.observe(SEEN)
    assert proposal.decision == "review"
    assert proposal.margin_bits == pytest.approx(0.0)


async def test_identities_of_one_customer_do_not_compete(
    either_database: Database, vault: Vault, clock: StandingClock
) -> None:
    def labels(_connection: sa.Connection, _tenant: TenantId, ids: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(ids, "customer-1")

    house = House(either_database, vault, clock, labels=labels)
    await house.publish()
    await house.index(zhang=ZHANG, twin=ZHANG)
    proposal = await house.observe(SEEN)
    assert (proposal.decision, proposal.customer, proposal.margin_bits) == ("auto", "customer-1", None)


async def test_same_value_in_two_tenants_never_meets(house: House) -> None:
    await house.index(zhang=ZHANG)
    proposal = await house.observe(ZHANG, tenant=OTHER)
    assert (proposal.decision, proposal.compared) == ("none", 0)
    keys = sa.select(records.block_key_table.c.k, records.block_key_table.c.tenant)
    rows = await house.database.read(lambda c: c.execute(keys).all())
    assert {row.k for row in rows if row.tenant == DEMO} & {
        row.k for row in rows if row.tenant == OTHER
    } == set()
    assert {row.tenant for row in rows} == {DEMO, OTHER}


async def test_observing_again_changes_nothing(house: House) -> None:
    await house.index(zhang=ZHANG)
    first = await house.observe(SEEN)
    before = await house.database.read(_everything)
    assert await house.observe(SEEN) == first
    assert await house.database.read(_everything) == before


async def test_changed_record_loses_its_old_keys(house: House) -> None:
    await house.index(zhang=ZHANG)
    await house.index(zhang={"name": "李娜", "phone": "139****0000"})
    assert (await house.observe(SEEN)).compared == 0


async def test_key_that_too_many_share_finds_nobody(embedded: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "CAP", 20)
    await embedded.index(**{f"i{number}": {"device": "kiosk-1"} for number in range(20)})
    assert (await embedded.observe({"device": "kiosk-1"}, identity="a")).compared == 20
    assert (await embedded.observe({"device": "kiosk-1"}, identity="b")).compared == 0


async def test_placeholders_make_no_keys(embedded: House) -> None:
    filled_in = {
        "name": "微信用户",
        "phone": "13800138000",
        "email": "test@qq.com",
        "ip": "127.0.0.1",
        "address": "无",
    }
    await embedded.index(**{f"i{number}": filled_in for number in range(5)})
    assert (await embedded.observe(filled_in)).compared == 0


async def test_excluded_and_rejected_are_not_proposed(house: House) -> None:
    await house.index(zhang=ZHANG)
    assert (await house.observe(SEEN, excluded=["zhang"])).compared == 0
    await house.observe(SEEN)
    closed = await house.decide("zhang", "new", same=False)
    assert (closed.status, closed.decided_by, closed.reason) == ("rejected", "ann", "called them")
    assert (await house.observe(SEEN)).compared == 0
    assert await house.reviews() == []


async def test_pair_is_decided_once_and_with_a_reason(house: House) -> None:
    await house.index(zhang=ZHANG)
    await house.observe(SEEN)
    with pytest.raises(errors.InvalidInput):
        await house.decide("new", "zhang", same=True, reason=" ")
    await house.decide("new", "zhang", same=True)
    with pytest.raises(errors.Conflict):
        await house.decide("new", "zhang", same=False)
    with pytest.raises(errors.NotFound):
        await house.decide("new", "nobody", same=False)
    assert [item.status for item in await house.reviews("accepted")] == ["accepted"]


async def test_forgotten_record_leaves_nothing(house: House) -> None:
    await house.index(zhang=ZHANG)
    await house.observe(SEEN)
    await house.database.write(lambda c: house.matcher.forget(c, DEMO, "zhang"))
    rest = json.dumps(await house.database.read(_everything), ensure_ascii=False)
    assert '"zhang"' not in rest
    assert ZHANG["name"] not in rest
    assert (await house.observe(SEEN, identity="third")).other == "new"


async def test_nothing_personal_is_readable_on_disk(embedded: House, tmp_path: Path) -> None:
    await embedded.index(zhang=ZHANG)
    await embedded.observe(SEEN)
    await embedded.database.close()
    written = b"".join(path.read_bytes() for path in tmp_path.glob("huiliu.db*"))
    assert written
    for value in ("张伟明", "zhangweiming", "5679", "zwm88", "文三路", "36.1.2"):
        assert value.encode() not in written


async def test_rollback_is_a_change_of_pointer(house: House) -> None:
    first = await house.publish()
    second = await house.publish(replace(learned_model(), match_share=0.3))
    assert (first, second) == (1, 2)
    await house.index(zhang=ZHANG)
    assert (await house.observe(SEEN)).model_version == 2
    await house.database.write(lambda c: lifecycle.roll_back(c, DEMO, 1, house.clock()))
    assert (await house.observe(SEEN)).model_version == 1
    await house.database.write(lambda c: lifecycle.roll_back(c, DEMO, None, house.clock()))
    assert (await house.observe(SEEN)).model_version is None
    with pytest.raises(errors.NotFound):
        await house.database.write(lambda c: lifecycle.roll_back(c, DEMO, 9, house.clock()))


@pytest.mark.parametrize(
    "thresholds",
    [Thresholds(auto=0.9), Thresholds(margin_bits=0.0), Thresholds(review=0.2), Thresholds(review=1.5)],
)
async def test_thresholds_below_the_floor_are_refused(embedded: House, thresholds: Thresholds) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await embedded.publish(thresholds=thresholds)
    assert refused.value.code == "model_refused"


async def test_model_out_of_order_is_refused(embedded: House) -> None:
    start = learned_model()
    name = start.comparisons[0]
    turned = replace(name, levels=(name.levels[0], replace(name.levels[1], m=0.0001), *name.levels[2:]))
    with pytest.raises(errors.InvalidInput, match="name"):
        await embedded.publish(replace(start, comparisons=(turned, *start.comparisons[1:])))
    assert await embedded.database.read(lambda c: records.find_state(c, DEMO)) is None


async def test_records_are_found_by_new_rules_after_reindexing(embedded: House) -> None:
    await embedded.index(**{f"i{number}": {"name": "张伟明", "company": f"c{number}"} for number in range(5)})
    rules = (("company",),)
    await embedded.publish(replace(learned_model(), blocking=rules))
    assert (await embedded.observe({"name": "李娜", "company": "c3"})).compared == 0
    after: str | None = ""
    while after is not None:
        place = after
        after = await embedded.database.write(
            functools.partial(embedded.matcher.reindex, tenant=DEMO, after=place, limit=2)
        )
    assert (await embedded.observe({"name": "李娜", "company": "c3"}, identity="next")).compared == 2


async def test_prior_follows_the_population(embedded: House, clock: StandingClock) -> None:
    await embedded.index(zhang=ZHANG)
    before = (await embedded.observe(SEEN)).bits
    await embedded.database.write(lambda c: records.set_population(c, DEMO, 1_000_000, clock()))
    after = (await embedded.observe(SEEN)).bits
    assert before - after == pytest.approx(18.0, abs=2.0)
    clock.move(minutes=11)
    await embedded.index(li={"name": "李娜"})
    state = await embedded.database.read(lambda c: records.find_state(c, DEMO))
    assert state is not None
    assert state.population == 3


async def test_model_is_learned_from_the_tenants_own_records(embedded: House) -> None:
    from benchmarks import people

    base = people.accounts(600, 4)
    seen = people.sightings(base, 500, 4)
    await embedded.index(**{f"a{one.person}": one.attributes for one in base})
    await embedded.index(**{f"s{number}": one.attributes for number, one in enumerate(seen)})
    labelled = [(f"a{one.person}", f"s{number}", True) for number, one in enumerate(seen) if one.person >= 0]
    labelled += [
        (f"a{one.person - 1}", f"s{number}", False) for number, one in enumerate(seen) if one.person > 0
    ]
    learned = await embedded.database.read(lambda c: lifecycle.learn(c, DEMO, labelled=labelled))
    assert (learned.records, learned.problems) == (1100, ())
    assert learned.labels == len(labelled)
    version = await embedded.publish(learned.model)
    stored = await embedded.database.read(lambda c: records.get_model(c, DEMO, version))
    assert models.parse(stored.model) == learned.model
    assert not any(one.attributes["name"] in stored.model for one in base[:50])


def _everything(connection: sa.Connection) -> list[list[object]]:
    """Without what differs at each sealing."""
    tables = (records.match_record_table, records.block_key_table, records.review_item_table)
    found: list[list[object]] = []
    for table in tables:
        rows = connection.execute(sa.select(table)).all()
        found.extend(sorted([str(value) for value in row] for row in rows))
    return found
