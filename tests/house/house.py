"""Where the house tests look: our packages' Python files. Every walk asserts that it saw some."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "foundation", "channels", "retrieval", "customers", "prompts", "agent", "operations", "service", "evals",
)  # fmt: skip


def python_files(*packages: str) -> list[Path]:
    found = sorted(
        path
        for package in packages or PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "migrations/versions" not in path.as_posix()
    )
    assert len(found) > 10, "the walk found nothing to look at"
    return found


def parsed(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in python_files(*packages):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
