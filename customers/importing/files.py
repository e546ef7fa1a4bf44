"""A CSV file as spreadsheets and other systems really write it: bytes in, a header and numbered rows out. Pure.

UTF-8 with and without a mark, UTF-16 and GB18030; comma, semicolon or tab; line breaks within quotes. A row that cannot be
read is a row of its own with the reason, and the rows after it are read: a quote that is never closed costs its own line.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from foundation import errors

DELIMITERS = (",", ";", "\t")
MOST_COLUMNS = 100
MOST_ROWS = 200_000
LONGEST_CELL = 10_000
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SNIFFED = 20
"""Lines by which the delimiter is chosen."""
_MOST_LINES = 200
"""Lines that one row may span: more is a quote that somebody forgot to close."""
_TOLD = re.compile(r"sep=(.)", re.IGNORECASE)

Trouble = Literal["", "unreadable_row", "too_many_cells", "cell_too_long"]


@dataclass(frozen=True, slots=True)
class Row:
    """`number` is the line of the file on which it begins, from 1, as an editor shows it."""

    number: int
    cells: tuple[str, ...]
    trouble: Trouble = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


def read(content: bytes) -> Sheet:
    """Raises `InvalidInput` for what is no table at all; what is wrong with a row is in the row."""
    encoding, text = decode(content)
    lines = list(io.StringIO(text, newline=""))  # by the ends of lines alone, as csv counts them
    first = 0
    while first < len(lines) and not lines[first].strip():
        first += 1
    told = _TOLD.fullmatch(lines[first].strip()) if first < len(lines) else None
    if told is not None:
        first += 1
    if first >= len(lines):
        raise errors.InvalidInput("The file is empty.", code="empty_file")
    delimiter = told[1] if told is not None else _delimiter(lines[first : first + _SNIFFED])
    found = list(_records(lines, first, delimiter))
    header = found[0]
    names = tuple(name.strip() for name in header.cells)
    while names and not names[-1]:
        names = names[:-1]
    if header.trouble or not names:
        raise errors.InvalidInput("The first row must name the columns.", code="no_header")
    if len(names) > MOST_COLUMNS:
        raise errors.InvalidInput(f"A table has at most {MOST_COLUMNS} columns.", code="too_many_columns")
    rows = tuple(_fitted(row, len(names)) for row in found[1:] if row.trouble or any(row.cells))
    if not rows:
        raise errors.InvalidInput("There is no row below the names of the columns.", code="no_rows")
    if len(rows) > MOST_ROWS:
        raise errors.InvalidInput(f"Import at most {MOST_ROWS} rows at a time.", code="too_many_rows")
    return Sheet(encoding, delimiter, names, rows)


def decode(content: bytes) -> tuple[str, str]:
    """The name of the encoding and the text. Raises `InvalidInput`."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name, _decoded(content[len(mark) :], name)
    sample = content[:2000]
    if sample.count(0) > len(sample) // 4:  # letters of the Latin alphabet have a zero byte in UTF-16
        name = "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be"
        return name, _decoded(content, name)
    try:
        return "utf-8", content.decode("utf-8")
    except UnicodeDecodeError:
        return "gb18030", _decoded(content, "gb18030")


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode(name)
    except UnicodeDecodeError as error:
        raise errors.InvalidInput(
            "The file's characters cannot be read; save it as CSV in UTF-8.", code="unreadable_file"
        ) from error


def _delimiter(lines: Sequence[str]) -> str:
    """The one that cuts most lines into as many pieces as the first, and into the most pieces."""

    def fits(delimiter: str) -> tuple[int, int]:
        counts = [len(row.cells) for row in _records(lines, 0, delimiter) if any(row.cells)]
        wide = counts[0] if counts else 0
        return (0, 0) if wide < 2 else (sum(count == wide for count in counts), wide)

    return max(DELIMITERS, key=fits)


def _records(lines: Sequence[str], at: int, delimiter: str) -> Iterator[Row]:
    while at < len(lines):
        span = iter(lines[at : at + _MOST_LINES])
        reader = csv.reader(span, delimiter=delimiter, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            yield Row(at + 1, _cut(lines[at], delimiter), "unreadable_row")
            at += 1
            continue
        yield Row(at + 1, tuple(_unguarded(cell) for cell in cells))
        at += reader.line_num


def _cut(line: str, delimiter: str) -> tuple[str, ...]:
    """Roughly, to show it to somebody."""
    return tuple(cell.strip().strip('"') for cell in line.rstrip("\r\n").split(delimiter))


def _unguarded(cell: str) -> str:
    """Without the mark by which we and others keep spreadsheets from calculating a cell."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in "=+-@" else cell


def _fitted(row: Row, width: int) -> Row:
    """As many cells as there are columns; blank ones too many are no trouble."""
    cells = tuple(cell.strip() for cell in row.cells)
    if row.trouble:
        return Row(row.number, cells[:width], row.trouble)
    if any(cells[width:]):
        return Row(row.number, cells, "too_many_cells")
    if any(len(cell) > LONGEST_CELL for cell in cells):
        return Row(row.number, tuple(cell[:LONGEST_CELL] for cell in cells), "cell_too_long")
    return Row(row.number, cells[:width] + ("",) * (width - len(cells)))
