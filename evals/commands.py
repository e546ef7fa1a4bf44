"""What `huiliu evals run` does: suites by name or folder in, a report out, and an exit code that a pipeline can act on.

0: everything reached. 1: a threshold or the baseline was missed. 2: a suite or the baseline cannot be read; nothing ran.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from evals import compare, record, report, runner, suite
from evals.kinds.contract import Tick
from evals.world import Stage
from foundation import errors

PASSED, MISSED, UNREADABLE = 0, 1, 2


def run(
    names_or_folders: Sequence[str],
    stage: Stage,
    *,
    as_json: bool = False,
    baseline: Path | None = None,
    save: Path | None = None,
) -> int:
    """No names: all of ours. `save` gets the record, and the page beside it with the ending .html. Results go to
    standard output, progress and complaints to standard error."""
    terminal = Console(stderr=True)
    try:
        earlier = record.load(baseline) if baseline is not None else None
        suites = _load(names_or_folders)
    except errors.InvalidInput as error:
        terminal.print(error.public_text, markup=False, highlight=False, soft_wrap=True)
        return UNREADABLE
    with _progress(terminal) as tick:
        done = asyncio.run(runner.run(suites, stage, tick))
    if earlier is not None:
        done = done.model_copy(update={"comparisons": compare.compare(earlier, done)})
    if as_json:
        print(done.model_dump_json(indent=1))
    else:
        report.show(done, Console())
    if save is not None:
        write(done, save)
    return PASSED if done.passed else MISSED


def write(done: record.RunRecord, path: Path) -> None:
    path = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(done.model_dump_json(indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".html").write_text(report.html(done), encoding="utf-8")


def _load(names_or_folders: Sequence[str]) -> list[suite.Suite]:
    """All complaints about all suites at once."""
    complaints: list[str] = []
    loaded: list[suite.Suite] = []
    for name in names_or_folders or [str(folder) for folder in suite.ours()]:
        try:
            one = suite.load(suite.find(name))
            runner.check_thresholds(one)
            loaded.append(one)
        except suite.UnreadableSuite as error:
            complaints.append(error.public_text)
    names = [one.name for one in loaded]
    complaints += [
        f"Two suites have the name {name}." for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if complaints:
        raise errors.InvalidInput("\n".join(complaints), code="suite_unreadable")
    return loaded


@contextmanager
def _progress(terminal: Console) -> Iterator[Tick]:
    """A bar in a terminal; a line for each phase elsewhere, so that a log shows that it is alive."""
    if not terminal.is_terminal:
        seen: set[str] = set()

        def line(what: str, _done: int, total: int) -> None:
            if what not in seen:
                seen.add(what)
                print(f"{what}: {total}", file=sys.stderr)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tick(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield tick
