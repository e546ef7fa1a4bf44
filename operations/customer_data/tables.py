"""Tables for spreadsheets: rows in, lines of CSV out, in UTF-8 with the mark by which Excel knows it. Pure.

What a customer wrote may begin like a formula. Such a cell gets an apostrophe in front, and so stays text; our own import
takes it away again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MARK = "\ufeff"
MEDIA_TYPE = "text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LEFT_OUT_HEAD = ("行 row", "列 column", "原因", "reason")


def line(cells: Iterable[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow([safe("" if cell is None else str(cell)) for cell in cells])
    return written.getvalue()


def safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def left_out_head(header: Sequence[str]) -> str:
    return MARK + line([*_LEFT_OUT_HEAD, *header])


def left_out_line(number: int, body: Mapping[str, Any]) -> str:
    """Where, why in both languages, and the row itself, to mend it in place."""
    problems = body["problems"]
    columns = " / ".join(dict.fromkeys(one["column"] for one in problems if one["column"]))
    reasons = [" ".join(dict.fromkeys(one[language] for one in problems)) for language in ("zh", "en")]
    return line([number, columns, *reasons, *body["cells"]])
