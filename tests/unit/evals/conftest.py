"""Writes suites into temporary folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

WriteSuite = Callable[..., Path]


@pytest.fixture
def write_suite(tmp_path: Path) -> WriteSuite:
    def write(
        kind: str,
        cases: Sequence[dict[str, Any]],
        *,
        name: str = "mine",
        head: str = "",
        train: Sequence[dict[str, Any]] = (),
        labels: Sequence[dict[str, Any]] = (),
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "suite.yaml").write_text(f"kind: {kind}\ntitle: Mine\n{head}", encoding="utf-8")
        for file, lines in (("cases", cases), ("train", train), ("labels", labels)):
            if lines:
                text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
                (folder / f"{file}.jsonl").write_text(text + "\n", encoding="utf-8")
        if kind == "retrieval":
            (folder / "articles").mkdir(exist_ok=True)
        return folder

    return write
