"""Keys that rotate while everything runs: cut at any place every look-up still hits exactly one, and every value is readable."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from customers import search
from customers.graph import claims
from customers.graph.graph import Graph
from customers.graph.records import identity_table
from customers.matching.online import Matcher
from customers.privacy import suppression
from foundation import errors
from foundation.messages import Identifier, TenantId
from foundation.security import RingKey, Vault
from foundation.storage import resealing
from foundation.storage.database import Database, metadata
from foundation.storage.key_store import KeyStore
from operations.privacy.rotation import HEARD_SECONDS, Rotation, works
from operations.staff import Member
from service import revise
from tests.conftest import StandingClock, open_with_tables
from tests.unit.customers.graph.world import DEMO, EVERYBODY, START, Sighted, World, histories

MASTER = b"0123456789abcdef0123456789abcdef"
ADMIN = Member(DEMO, "a1", "root", "Root", "admin")
RINGS = [[RingKey(1, b"1" * 32, 0)], [RingKey(1, b"1" * 32, 0), RingKey(2, b"2" * 32, 0)]]
CLAIMED = Identifier(namespace="phone", value="13905712043")


@contextmanager
def base() -> Iterator[tuple[World, Vault]]:
    """A world of its own, whose vault may change."""
    revise.declare_tables()
    engine, vault = sa.create_engine("sqlite://"), Vault(MASTER)
    engine.dialect.vault = vault  # type: ignore[attr-defined]  # read by Sealed
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield World(connection, Graph(vault, StandingClock())), vault
    engine.dispose()


def told(world: World, vault: Vault) -> None:
    """Claims, search keys, an order, and a name that was erased."""
    one = world.see(Sighted((EVERYBODY[0],), 1), CLAIMED)
    search.add(world.connection, vault, DEMO, one, ("phone", CLAIMED.value))
    keys = suppression.keys_of(vault, DEMO, [("account", "gone")])
    suppression.add(world.connection, DEMO, keys, erasure_id="era_1", now=START)


def check(world: World, vault: Vault, ids: dict[Identifier, str]) -> None:
    """Everybody is who they were, and nobody is there twice."""
    count = world.connection.execute(sa.select(sa.func.count()).select_from(identity_table)).scalar_one()
    for name, known in ids.items():
        assert world.see(Sighted((name,), 99)) == known
    assert (
        world.connection.execute(sa.select(sa.func.count()).select_from(identity_table)).scalar_one() == count
    )
    found = search.find(world.connection, vault, DEMO, CLAIMED.value)
    assert found == [("phone", ids[EVERYBODY[0]])]
    assert suppression.is_suppressed(world.connection, vault, DEMO, [("account", "gone")])
    assert [one.value for one in claims.find(world.connection, DEMO, [ids[EVERYBODY[0]]], now=START)] == [
        CLAIMED.value
    ]
    for table in metadata.sorted_tables:
        world.connection.execute(sa.select(table)).all()


def rotate(world: World, vault: Vault, *, cut: int) -> bool:
    """So many transactions of it; whether that was all."""
    matcher = Matcher(vault, StandingClock(), labels=lambda _c, _t, names: {one: one for one in names})
    for work in works(vault, matcher, DEMO, clock=StandingClock(), limit=2).values():
        place = "begin"
        while place:
            if cut == 0:
                return False
            place, _ = work(world.connection, "" if place == "begin" else place)
            cut -= 1
    return True


def test_every_look_up_hits_exactly_one_wherever_a_rotation_is_cut() -> None:
    with base() as (world, vault):
        told(world, vault)
        world.connection.commit()

        @settings(max_examples=60)
        @given(histories(guessed=False), st.lists(st.integers(0, 80), min_size=1, max_size=2))
        def cut_anywhere(events: list[Sighted], cuts: list[int]) -> None:
            world.connection.rollback()
            vault.use([], now=0)
            world.tell(events)
            ids = {name: world.see(Sighted((name,), 99)) for name in EVERYBODY}
            state = world.state()
            for ring, cut in zip(RINGS, cuts, strict=False):
                vault.use(ring, now=1)
                rotate(world, vault, cut=cut)
                check(world, vault, ids)
            assert rotate(world, vault, cut=10_000)
            check(world, vault, ids)
            assert world.state() == state
            lookups = world.connection.execute(sa.select(identity_table.c.lookup)).scalars().all()
            assert all(one.startswith(vault.index_mark) for one in lookups)
            assert all(
                resealing.reseal(world.connection, vault, DEMO, name, limit=9) == 0
                for name in resealing.tables()
            )

        cut_anywhere()


def test_new_names_and_new_holders_are_found_while_keys_rotate() -> None:
    with base() as (world, vault):
        told(world, vault)
        old = world.id(EVERYBODY[0])
        vault.use(RINGS[0], now=1)
        new = world.see(Sighted((EVERYBODY[4],), 2))
        assert new == world.id(EVERYBODY[4]), "an id is a name and does not change with the key"
        holder = world.operations.begin_epoch(
            world.connection, DEMO, old, actor="staff:1", reason="new number"
        )
        assert rotate(world, vault, cut=10_000)
        assert world.graph.find_holder(world.connection, DEMO, old).id == holder.id
        world.clock.move(days=1)
        assert world.graph.get(world.connection, DEMO, new).id == new


def test_old_values_open_and_foreign_ones_do_not() -> None:
    vault = Vault(MASTER)
    before = vault.seal("words")
    vault.use(RINGS[1], now=1)
    after = vault.seal("words")
    assert before[:1] == b"\x01"
    assert after.startswith(vault.mark)
    assert vault.unseal(before) == vault.unseal(after) == "words"
    vault.use([], now=1)
    for wrong in (after, b"\x02" + after[1:], b"\x03" + before[1:], before[:-1], b"", b"\x02"):
        with pytest.raises(errors.NotAuthentic):
            vault.unseal(wrong)
    vault.use(RINGS[0], now=1)
    forged = vault.mark + after[3:]
    with pytest.raises(errors.NotAuthentic):
        vault.unseal(forged)


def test_key_is_known_before_it_is_used() -> None:
    vault = Vault(MASTER)
    vault.use([RingKey(1, b"1" * 32, 100)], now=99)
    assert (vault.current, vault.known, vault.index_mark) == (0, [0, 1], "")
    later = Vault(MASTER)
    later.use([RingKey(1, b"1" * 32, 100)], now=100)
    assert vault.unseal(later.seal("words")) == "words"
    assert later.index_key("a") in vault.index_keys("a")


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'keys.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_store_gives_back_what_was_added_and_to_nobody_else(store_url: str, tmp_path: Path) -> None:
    store = KeyStore(store_url, Vault(MASTER))
    assert store.load() == []
    assert [store.add(now=5, active_from=7), store.add(now=6, active_from=8)] == [1, 2]
    keys = store.load()
    assert [(one.kid, one.active_from, len(one.secret)) for one in keys] == [(1, 7, 32), (2, 8, 32)]
    assert keys[0].secret != keys[1].secret
    other = KeyStore(f"sqlite:///{tmp_path / 'other.db'}", Vault(MASTER))
    assert (store.copy_to(other), store.copy_to(other)) == (2, 2)
    assert other.load() == keys
    assert stat.S_IMODE((tmp_path / "other.db").stat().st_mode) == 0o600
    with pytest.raises(errors.ConfigurationError):
        KeyStore(store_url, Vault(MASTER[::-1])).load()


async def test_rotation_goes_on_until_all_is_under_the_new_key(
    either_database: Database, tmp_path: Path, clock: StandingClock, tenant: TenantId
) -> None:
    vault = either_database.vault
    store = KeyStore(f"sqlite:///{tmp_path / 'keys.db'}", vault)
    matcher = Matcher(vault, clock, labels=lambda _c, _t, names: {one: one for one in names})
    rotation = Rotation(either_database, store, matcher, clock=clock)
    assert await rotation.run(tenant) == 0
    sender = [Identifier(namespace="wechat_oa:wx", value=f"o{number}", proven=True) for number in range(300)]

    def meet(connection: sa.Connection) -> None:
        world = World(connection, Graph(vault, clock))
        for name in sender:
            world.see(Sighted((name,), 1))

    await either_database.write(meet)
    assert await rotation.begin(ADMIN, reason="every year") == 1
    if either_database.dialect == "postgresql":
        state = await rotation.state(ADMIN)
        assert (state.kid, state.waiting, state.is_done) == (0, True, False)
        clock.move(seconds=HEARD_SECONDS)
        await rotation.load()
    with pytest.raises(errors.Conflict) as runs:
        await rotation.begin(ADMIN, reason="again")
    assert runs.value.code == "rotation_runs"
    while await rotation.run(tenant):
        pass
    state = await rotation.state(ADMIN)
    assert (state.kid, state.is_done) == (1, True)
    changed = {one.name: one.changed for one in state.steps}
    assert (changed["names"], changed["identity"], changed["conversation"]) == (300, 300, 300)
    await either_database.write(meet)
    rows = await either_database.read(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(identity_table)).scalar_one()
    )
    assert rows == 300
    agent = Member(tenant, "m1", "mei", "Mei", "manager")
    with pytest.raises(errors.NotPermitted):
        await rotation.begin(agent, reason="why not")
    with pytest.raises(errors.InvalidInput):
        await rotation.begin(ADMIN, reason=" ")


async def test_process_that_only_reads_learns_of_a_key_before_it_is_used(
    postgres_url: str, clock: StandingClock, tenant: TenantId
) -> None:
    """Two processes on one Postgres, with the key store in a schema beside the data."""
    databases_ = [Database(postgres_url, Vault(MASTER)) for _ in range(2)]
    rotations = []
    for one in databases_:
        await open_with_tables(one)
        matcher = Matcher(one.vault, clock, labels=lambda _c, _t, names: {name: name for name in names})
        rotations.append(Rotation(one, KeyStore(postgres_url, one.vault), matcher, clock=clock))
    working, reading = databases_
    await rotations[0].begin(ADMIN, reason="every year")
    await rotations[1].load()
    assert (reading.vault.current, reading.vault.known) == (0, [0, 1])
    clock.move(seconds=HEARD_SECONDS)
    await rotations[0].load()
    name = Identifier(namespace="wechat_oa:wx", value="oNew", proven=True)

    def meet(vault: Vault) -> Callable[[sa.Connection], str]:
        return lambda connection: World(connection, Graph(vault, clock)).see(Sighted((name,), 1))

    first = await working.write(meet(working.vault))
    assert await reading.write(meet(reading.vault)) == first, "by the key that the other one writes with"
    assert await reading.read(lambda c: c.execute(sa.select(identity_table.c.value)).scalar_one()) == "oNew"
    for one in databases_:
        await one.close()


async def test_store_that_is_away_is_an_outage_with_a_name() -> None:
    away = KeyStore("postgresql+psycopg://nobody@127.0.0.1:1/none", Vault(MASTER))
    for ask in (away.load, lambda: away.add(now=1, active_from=1)):
        with pytest.raises(errors.UpstreamUnavailable):
            ask()
