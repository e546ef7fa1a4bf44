"""Shows a run record to people: a table in the terminal, a page that can be mailed. `commands` calls it.

The page is one file without scripts and without anything from elsewhere; texts of cases are escaped.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table

from evals.record import CaseRecord, Comparison, RunRecord, SuiteRecord

WORST_SHOWN = 10


def show(record: RunRecord, console: Console) -> None:
    table = Table(title=f"Evaluations  {record.commit or 'no commit'}  {record.seconds:.0f} s")
    for heading in ("suite", "cases", "metric", "wanted", "got", ""):
        table.add_column(heading, justify="right" if heading in ("cases", "wanted", "got") else "left")
    for suite in record.suites:
        _add_suite(table, suite)
        table.add_section()
    console.print(table)
    for suite in record.suites:
        _show_worst(suite, console)
    for comparison in record.comparisons:
        console.print(_sentence(comparison), style="red" if comparison.regression else "")


def html(record: RunRecord) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["sentence"] = _sentence
    return environment.get_template("report.html").render(record=record)


def _add_suite(table: Table, suite: SuiteRecord) -> None:
    wanted = {threshold.metric: threshold for threshold in suite.thresholds}
    names = [*wanted, *(name for name in suite.metrics if name not in wanted)]
    for place, name in enumerate(names):
        threshold, got = wanted.get(name), suite.metrics.get(name)
        table.add_row(
            suite.name if place == 0 else "",
            str(len(suite.cases)) if place == 0 else "",
            name,
            "" if threshold is None else f"{'≤' if threshold.at_most else '≥'} {threshold.wanted:g}",
            "–" if got is None else f"{got:.4f}",
            "" if threshold is None else ("ok" if threshold.met else "missed"),
            style="red" if threshold is not None and not threshold.met else None,
        )


def _show_worst(suite: SuiteRecord, console: Console) -> None:
    """Every case that fell through the fence, and the wrong cases of small suites."""
    wrong = [case for case in suite.cases if case.error or (case.score < 1 and suite.kind == "journey")]
    for case in wrong[:WORST_SHOWN]:
        console.print(f"{suite.name} {case.id}: {_why(case)}", markup=False, highlight=False)
    if len(wrong) > WORST_SHOWN:
        console.print(f"{suite.name}: … and {len(wrong) - WORST_SHOWN} more", markup=False)


def _why(case: CaseRecord) -> str:
    return case.error or case.note or f"expected {case.expected}, got {case.got}"


def _sentence(comparison: Comparison) -> str:
    verdict = "regression" if comparison.regression else "no regression"
    cases = "" if comparison.same_cases else " (the cases changed; only those with the same id are compared)"
    return (
        f"{comparison.suite}: {comparison.before:.4f} → {comparison.after:.4f} on {comparison.cases} cases{cases}, "
        f"{len(comparison.newly_wrong)} newly wrong, {len(comparison.newly_right)} newly right: {verdict} "
        f"({comparison.method}, chance {comparison.chance:.3f})"
    )
