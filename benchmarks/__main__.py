"""Runs each benchmark in a process of its own and keeps what it printed under `benchmarks/reports/`; `make bench`.

Every figure that counts is a ratio of two things measured in the same run; absolute numbers belong to the machine
they were measured on, which each report names. With HUILIU_BENCH_POSTGRES set to the URL of an empty database the bus
is measured on it too.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = ("turn", "accept", "start", "bus", "retrieval", "channels", "matching", "profile", "identities")


def main(names: list[str]) -> int:
    failed = 0
    (FOLDER / "reports").mkdir(exist_ok=True)
    for name in names or list(NAMES):
        postgres = [url] if name == "bus" and (url := os.environ.get("HUILIU_BENCH_POSTGRES")) else []
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *postgres],
            capture_output=True,
            text=True,
            check=False,
            cwd=FOLDER.parent,
        )
        failed += run.returncode != 0
        head = f"{name} · {datetime.now(UTC):%Y-%m-%d} · {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        text = f"{head}\n\n{run.stdout.strip()}\n"
        if run.returncode == 0:
            (FOLDER / "reports" / f"{name}.txt").write_text(text, encoding="utf-8")
        print(text if run.returncode == 0 else f"{head}\nfailed:\n{run.stderr[-3000:]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
