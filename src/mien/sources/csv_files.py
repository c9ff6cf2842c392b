"""CSV files as text: cells stay what they are until a source asks for a number."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError

LARGEST_INDEX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row with the place it stands at."""

    path: Path
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        """The place, for messages."""
        return f"line {self.line} of {self.path}"

    def number(self, column: str) -> float | None:
        """A finite number, or None where the cell is empty. Raises DataError for anything else."""
        text = self.cells[column].strip()
        value = _as_number(text)
        if text and value is None:
            raise self.refuse(column, "a number", "correct the cell, or leave it empty where the value is missing")
        return value

    def integer(self, column: str) -> int:
        """A whole number. Raises DataError for anything else, an empty cell included."""
        text = self.cells[column].strip()
        value = _as_number(text)
        if value is None or not value.is_integer() or abs(value) > LARGEST_INDEX:
            raise self.refuse(column, "a whole number", "correct the cell, or map another column with --map")
        return int(text) if text.lstrip("+-").isdecimal() else int(value)

    def refuse(self, column: str, expected: str, remedy: str) -> DataError:
        """The error for a cell that is not what it should be."""
        value = self.cells[column]
        return DataError(f"Expected {expected} in column {column!r}, {self.where}, but got {value!r}; {remedy}")


def read_header(path: Path) -> tuple[str, ...]:
    """Names of the columns. Raises DataError when a name stands twice or the file is not a UTF-8 CSV."""
    _, cells = next(_lines(path), (0, []))
    if not any(cells):
        raise DataError(f"Expected a header with column names in {path}, but got an empty line; add the header")
    twice = sorted({name for name in cells if cells.count(name) > 1 and name})
    if twice:
        raise DataError(f"Expected every column once in {path}, but got {', '.join(twice)} twice; rename one of them")
    return tuple(cells)


def read_rows(path: Path) -> Iterator[CsvRow]:
    """The rows below the header, blank lines left out. Raises DataError when a row has too few or too many cells."""
    header = read_header(path)
    lines = _lines(path)
    next(lines)
    for line, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"Expected {len(header)} cells in line {line} of {path}, but got {len(cells)}; "
                "quote cells that hold commas or line breaks"
            )
        yield CsvRow(path, line, dict(zip(header, cells, strict=True)))


def require_columns(path: Path, needed: Mapping[str, str], columns: tuple[str, ...]) -> None:
    """Raise DataError, naming what is there, unless every needed column (field -> column) is in the file."""
    for field, column in needed.items():
        if column not in columns:
            raise DataError(
                f"Expected a column {column!r} in {path}, but got {', '.join(columns)}; "
                f"name the column that holds it with --map {field}=COLUMN"
            )


def _as_number(text: str) -> float | None:
    try:
        # Python also reads "1_000", which no CSV means as a number
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """``(line, cells)``: the line is the one a row begins on. Strict, so that an open quote is no silent loss."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            line = 1
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise DataError(
            f"Expected UTF-8 text in {path}, but got byte 0x{error.object[error.start]:02x} that is none; "
            "save the file as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise DataError(f"Expected a CSV file in {path}, but got {error} in line {line}; check its quotes") from None
