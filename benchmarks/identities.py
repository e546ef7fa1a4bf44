"""A base of ten thousand, a hundred thousand and a million customers: what it costs to find, match, merge, split, undo and erase.

Each size is a database of its own on SQLite, filled with made-up people (`people.py`): three vouched names each, tied by
proof, and a record for matching with its block keys. Rows are sorted by key and written in a few big transactions, because a
million people in random order would take an hour. Then, through the functions that the product calls:

- exact resolve: a phone number as typed → normalised → keyed → found, against a look-up by primary key: through the same
  connection, and bare, with nothing between us and SQLite's own C;
- one new record: `Matcher.propose`, against everybody;
- merge, split, undo and erasing a customer with a conversation of ten messages: each in a durable transaction of its own.

`python -m benchmarks.identities 10000 100000` runs the sizes that are named; the
figures of all sizes that were run go into the report, the picture beside it is drawn from them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks import people
from benchmarks.identities_report import picture, table
from customers import records as places
from customers.graph import operations as graph_operations
from customers.graph.graph import Graph
from customers.graph.partition import ACCOUNT, Strength
from customers.matching import blocking, features, normalise, online, records
from customers.matching.features import Record
from customers.matching.online import Matcher
from customers.privacy import erasure
from foundation import conversations, telemetry
from foundation.clock import utc_now
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from service import revise

DEMO = TenantId("demo")
SIZES = (10_000, 100_000, 1_000_000)
LOOKUPS = 20_000
PROPOSALS = 1_000
OPERATED = 300
SEED = 20_261_125
AT = 1_764_060_000_000
CHUNK = 20_000
PICTURE = Path(__file__).parent / "reports" / "identities.svg"
FIGURES = Path(__file__).parent / "reports" / "identities.json"
_FAST = (
    "journal_mode=OFF",
    "synchronous=OFF",
    "cache_size=-400000",
    "temp_store=MEMORY",
    "locking_mode=EXCLUSIVE",
)


@dataclass(frozen=True, slots=True)
class Base:
    """A filled database. The number of a person tells their names, so nothing of them need be kept."""

    size: int
    vault: Vault
    graph: Graph
    operations: graph_operations.Operations

    def phone(self, person: int) -> str:
        return f"139{(person * 7_919 + 12_345_678) % 100_000_000:08d}"

    def names(self, person: int) -> list[tuple[str, str]]:
        return [
            ("phone", f"+86{self.phone(person)}"),
            ("wechat_oa:wx01", f"o{person:09d}Kq"),
            ("email", f"p{person}@example.com") if person % 2 else (ACCOUNT, f"u{person}"),
        ]

    def id_of(self, namespace: str, value: str) -> str:
        return self.vault.lookup_key("identity", DEMO, "vouched", namespace, value)

    def ids(self, person: int) -> list[str]:
        return [self.id_of(*name) for name in self.names(person)]


async def main(sizes: Sequence[int]) -> None:
    telemetry.configure("error", "console")
    revise.declare_tables()
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for size in sizes:
        known[str(size)] = await measure(size)
        FIGURES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shown = {size: known[str(size)] for size in SIZES if str(size) in known}
    print(table(shown))
    PICTURE.write_text(picture(shown), encoding="utf-8")


async def measure(size: int) -> dict[str, float]:
    vault = Vault(b"0123456789abcdef0123456789abcdef")
    graph = Graph(vault, utc_now)
    base = Base(size, vault, graph, graph_operations.Operations(graph, vault, utc_now))
    with tempfile.TemporaryDirectory(dir=os.environ.get("HUILIU_BENCH_DIR")) as folder:
        path = Path(folder) / "huiliu.db"
        database = Database(f"sqlite:///{path}", vault)
        await database.open()
        await database.close()
        started = time.perf_counter()
        fill(path, base)
        figures = {"load s": time.perf_counter() - started, "file MB": path.stat().st_size / 1e6}
        await database.open()
        try:
            figures |= await resolve(database, path, base)
            figures |= await propose(database, base)
            for name in OPERATIONS:
                figures |= points(name, await timed(database, base, name))
        finally:
            await database.close()
    for name, value in figures.items():
        print(f"  {size:,} {name}: {value:.4g}", file=sys.stderr)
    return figures


# Filling


def fill(path: Path, base: Base) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in _FAST:
        connection.execute(f"PRAGMA {pragma}")
    kept = _drop_indexes(connection, ("identity", "identity_edge", "match_record", "block_key"))
    connection.execute("BEGIN")
    _fill_graph(connection, base)
    _fill_matching(connection, base)
    for statement in kept:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()


def _drop_indexes(connection: sqlite3.Connection, tables: Sequence[str]) -> list[str]:
    """They are made again at the end, sorted, in one go."""
    marks = ", ".join("?" for _ in tables)
    found = connection.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({marks})",
        tables,
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [statement for _, statement in found]


def _fill_graph(connection: sqlite3.Connection, base: Base) -> None:
    """Sorted by id: the automatic indexes of the keys cannot be dropped and grow at their end only."""
    size = base.size
    ids = np.empty(size * 3, dtype="S24")
    for person in range(size):
        ids[person * 3 : person * 3 + 3] = base.ids(person)
    order = np.argsort(ids, kind="stable")
    connection.executemany(
        "INSERT INTO identity (tenant, id, lookup, epoch, begins_at, namespace, value, proven, device, shared, customer_id, "
        "access_id, first_seen, last_seen) VALUES ('demo', ?, ?, 0, 0, ?, ?, 1, 0, 0, ?, ?, ?, ?)",
        _identities(base, ids, order),
    )
    edges = np.empty((size * 2, 2), dtype="S24")
    trios = ids.reshape(size, 3)
    for row, (one, other) in enumerate(((0, 1), (1, 2))):
        pair = np.sort(trios[:, [one, other]], axis=1)
        edges[row::2] = pair
    connection.executemany(
        "INSERT INTO identity_edge (tenant, a, b, evidence, strength, score, at, actor, model_version, suppressed) "
        f"VALUES ('demo', ?, ?, 'bench', {int(Strength.PROVEN)}, 1.0, {AT}, '', '', '')",
        ((a.decode(), b.decode()) for a, b in edges[np.lexsort((edges[:, 1], edges[:, 0]))]),
    )


def _identities(base: Base, ids: Any, order: Any) -> Iterator[tuple[Any, ...]]:
    """The label of a customer is the id of their oldest name."""
    for place in order:
        person, which = divmod(int(place), 3)
        namespace, value = base.names(person)[which]
        own, label = ids[place].decode(), ids[person * 3].decode()
        seen = AT + person * 3
        yield own, own, namespace, base.vault.seal(value), label, label, seen + which, seen + which


def _fill_matching(connection: sqlite3.Connection, base: Base) -> None:
    """Records in the order of their identities, keys in their own."""
    rules = online.starting_model().blocking
    names, keys, owners = [], [], []
    rows: list[tuple[str, bytes, int]] = []
    for person, one in enumerate(_everybody(base.size)):
        derived = features.derive(Record(one.attributes))
        identity_id = base.id_of(*base.names(person)[2])
        names.append(identity_id)
        rows.append((identity_id, base.vault.seal(records._render(derived)), AT))
        found = blocking.block_keys(base.vault, DEMO, derived.columns, rules)
        keys.append(np.asarray(found, np.int64))
        owners.append(np.full(len(found), person, np.int32))
    rows.sort()
    connection.executemany(
        "INSERT INTO match_record (tenant, identity_id, features, updated_at) VALUES ('demo', ?, ?, ?)", rows
    )
    rows.clear()
    all_keys, all_owners = np.concatenate(keys), np.concatenate(owners)
    order = np.argsort(all_keys, kind="stable")
    connection.executemany(
        "INSERT OR IGNORE INTO block_key (tenant, k, identity_id) VALUES ('demo', ?, ?)",
        ((int(all_keys[place]), names[all_owners[place]]) for place in order),
    )
    connection.execute(
        "INSERT INTO match_state (tenant, version, population, counted_at) VALUES ('demo', NULL, ?, ?)",
        (base.size, round(time.time() * 1000)),
    )


def _everybody(size: int) -> Iterator[people.Seen]:
    """In pieces, so that a million need not be held at once; the same people for every size."""
    for start in range(0, size, CHUNK):
        yield from people.accounts(min(CHUNK, size - start), SEED + start)


# Measuring


async def resolve(database: Database, path: Path, base: Base) -> dict[str, float]:
    """Both in one loop, so that they meet the same state of the page cache; different people each time."""
    chance = random.Random(SEED)
    drawn = (chance.randrange(base.size) for _ in range(LOOKUPS * 2))
    # A few of the numbers look made up, and are refused as such.
    wanted = [one for one in drawn if normalise.find("phone", base.phone(one))][:LOOKUPS]
    others = [chance.randrange(base.size) for _ in range(LOOKUPS)]
    keys = [base.ids(person)[0] for person in others]
    bare = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)

    statement = "SELECT customer_id FROM identity WHERE tenant = :tenant AND id = :id"
    by_key = sa.text(statement)

    def run(connection: sa.Connection) -> list[list[float]]:
        whole, same, plain = [], [], []
        for person, key in zip(wanted, keys, strict=True):
            typed = base.phone(person)
            started = time.perf_counter()
            number = normalise.parse("phone", typed).key
            name = Identifier(namespace="phone", value=number, proven=True)
            found = base.graph.find_label(connection, DEMO, name, ConversationId(""))
            whole.append(time.perf_counter() - started)
            assert found is not None
            values = {"tenant": "demo", "id": key}
            # Whoever comes first meets the cold page: by turns.
            for which in (0, 1) if len(whole) % 2 else (1, 0):
                started = time.perf_counter()
                row: Any
                if which:
                    row = connection.execute(by_key, values).one_or_none()
                    same.append(time.perf_counter() - started)
                else:
                    row = bare.execute(statement, values).fetchone()
                    plain.append(time.perf_counter() - started)
                assert row is not None
        return [whole, same, plain]

    await database.read(run)  # once to warm the caches of all
    whole, same, plain = await database.read(run)
    bare.close()
    return points("bare key", plain) | points("same key", same) | points("resolve", whole)


async def propose(database: Database, base: Base) -> dict[str, float]:
    matcher = Matcher(base.vault, utc_now)
    population = list(_everybody(min(base.size, CHUNK)))
    seen = people.sightings(population, PROPOSALS, SEED + 1)

    def run(connection: sa.Connection) -> tuple[list[float], list[int]]:
        spent, compared = [], []
        for number, one in enumerate(seen):
            started = time.perf_counter()
            proposal = matcher.propose(connection, DEMO, f"new{number}", Record(one.attributes))
            spent.append(time.perf_counter() - started)
            compared.append(proposal.compared)
        return spent, compared

    await database.read(run)
    spent, compared = await database.read(run)
    return points("propose", spent) | {"compared mean": statistics.mean(compared)}


def _pairs(base: Base, name: str) -> list[tuple[str, str]]:
    """Two people each, of whom only one has an account, because nobody has two; no person twice."""
    count, start = OPERATED * len(OPERATIONS), list(OPERATIONS).index(name) * OPERATED
    chance = random.Random(SEED)
    with_account, without = (chance.sample(range(base.size // 2), count) for _ in range(2))
    chosen = zip(with_account[start:][:OPERATED], without[start:][:OPERATED], strict=True)
    return [(base.ids(one * 2)[0], base.ids(other * 2 + 1)[0]) for one, other in chosen]


def _link(connection: sa.Connection, base: Base, pair: tuple[str, str]) -> int:
    linked = base.operations.link(connection, DEMO, *pair, actor="bench", reason="the same person")
    assert linked.op is not None
    assert not linked.refused, linked.refused
    return linked.op


def _split(connection: sa.Connection, base: Base, pair: tuple[str, str]) -> int:
    return base.operations.split(connection, DEMO, pair[:1], actor="bench", reason="somebody else")


def _undo(connection: sa.Connection, base: Base, op: int) -> None:
    base.operations.undo(connection, DEMO, op, actor="bench", reason="it was not")


def _talk(connection: sa.Connection, base: Base, pair: tuple[str, str]) -> str:
    """Somebody who has written ten messages."""
    now, talk = utc_now(), ConversationId(f"talk-{pair[0]}")
    conversations.ensure(
        connection, talk, tenant=DEMO, channel="bench", account="main", recipient=pair[0], now=now
    )
    for number in range(10):
        draft = conversations.Draft(id=f"m{number}", role="customer", text="where is my parcel", sent_at=now)
        conversations.append(connection, DEMO, talk, draft)
    places.set_entrance(connection, DEMO, talk, pair[0])
    return pair[0]


def _erase(connection: sa.Connection, base: Base, one: str) -> None:
    whom = erasure.find(connection, base.graph, DEMO, one, identity=one)
    counts = erasure.erase(connection, base.graph, base.vault, whom, erasure_id=f"era-{one}", now=utc_now())
    assert (counts["identity"], counts["message"]) == (len(whom.identities), 10)


def _nothing(_connection: sa.Connection, _base: Base, pair: tuple[str, str]) -> tuple[str, str]:
    return pair


OPERATIONS: dict[str, tuple[Any, Any]] = {
    "merge": (_nothing, _link), "undo": (_link, _undo), "split": (_nothing, _split),
    "erase": (_talk, _erase),
}  # fmt: skip
"""What must be there first, and what is timed with its commit."""


async def timed(database: Database, base: Base, name: str) -> list[float]:
    prepare, act = OPERATIONS[name]
    spent = []
    for pair in _pairs(base, name):

        def before(connection: sa.Connection, pair: tuple[str, str] = pair) -> Any:
            return prepare(connection, base, pair)

        ready = await database.write(before)

        def run(connection: sa.Connection, ready: Any = ready) -> Any:
            return act(connection, base, ready)

        started = time.perf_counter()
        await database.write(run)
        spent.append(time.perf_counter() - started)
    return spent


# Telling


def points(name: str, seconds: Sequence[float]) -> dict[str, float]:
    parts = statistics.quantiles(seconds, n=20)
    return {f"{name} p50": parts[9] * 1000, f"{name} p95": parts[18] * 1000}


if __name__ == "__main__":
    asyncio.run(main([int(one) for one in sys.argv[1:]] or SIZES))
