"""What `benchmarks.identities` measured, as a table and as a picture."""

from __future__ import annotations

from benchmarks import plot

ROWS = (
    ("look-up by primary key, bare SQLite", "bare key"), ("the same through our connection", "same key"),
    ("exact resolve: normalise, key, find", "resolve"),
    ("one new record against all", "propose"), ("merge, durable", "merge"), ("split, durable", "split"),
    ("undo of a merge, durable", "undo"), ("erase a customer, durable", "erase"),
)  # fmt: skip


def table(shown: dict[int, dict[str, float]]) -> str:
    """Milliseconds; a column a size."""
    lines = [f"{'customers, three names each':38}" + "".join(f"{size:>22,}" for size in shown)]
    lines.append(f"{'milliseconds':38}" + f"{'p50':>13}{'p95':>9}" * len(shown))
    for title, name in ROWS:
        cells = "".join(
            f"{one[f'{name} p50']:13.3f}{one[f'{name} p95']:9.3f}"
            if f"{name} p50" in one
            else f"{'not run':>22}"
            for one in shown.values()
        )
        lines.append(f"{title:38}{cells}")
    for title, name in (
        ("resolve / same connection, p95", "same key"),
        ("resolve / bare SQLite, p95", "bare key"),
    ):
        ratios = [one["resolve p95"] / one[f"{name} p95"] for one in shown.values()]
        lines.append(f"{title:38}" + "".join(f"{one:22.2f}" for one in ratios))
    for title, name in (
        ("filled in seconds", "load s"),
        ("file, MB", "file MB"),
        ("compared with, mean", "compared mean"),
    ):
        lines.append(f"{title:38}" + "".join(f"{one[name]:22.0f}" for one in shown.values()))
    lines.append(
        "goals at a million: resolve at most 5 × a look-up by key, one new record p95 below 10 ms; picture: identities.svg"
    )
    return "\n".join(lines)


def picture(shown: dict[int, dict[str, float]]) -> str:
    lines = {
        title: [(size, one[f"{name} p95"]) for size, one in shown.items() if f"{name} p95" in one]
        for title, name in ROWS
    }
    return plot.draw("p95 in milliseconds as the base grows", "customers", lines)
