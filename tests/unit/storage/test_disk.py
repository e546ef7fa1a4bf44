"""What the operator hears about the embedded file's disk and SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from foundation.storage import disk


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_old_sqlite_is_named_when_it_has_the_race(
    version: tuple[int, int, int], affected: bool, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        disk.warn_about(tmp_path, version, slow_milliseconds=1e9)
    assert [entry["log_level"] for entry in logs] == (["info", "warning"] if affected else ["info"])


def test_slow_disk_is_named_with_its_time(tmp_path: Path) -> None:
    with capture_logs() as logs:
        disk.warn_about(tmp_path, (3, 53, 0), slow_milliseconds=-1)
    assert logs[-1]["log_level"] == "warning"
    assert logs[-1]["median_milliseconds"] >= 0
    assert list(tmp_path.iterdir()) == []
