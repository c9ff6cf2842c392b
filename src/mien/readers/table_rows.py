"""One row of a table, whose cells are text, and the numbers in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError
from mien.limits import SHOWN_CHARACTERS, current_limits

LARGEST_INDEX = 2**63 - 1
INDEX_DIGITS = 18  # a whole number with at most this many digits is below LARGEST_INDEX
# whole numbers up to this one are exact as float64
LARGEST_EXACT_FLOAT = 2**53 - 1


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table, with the file and the line where it was found."""

    path: Path
    # number of the line on which the row begins, from 1; in a format without lines, of the row
    line: int
    # column -> text
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        """The file and the line of the row, as a text for error messages."""
        return f"line {self.line} of {self.path}"

    def number(self, column: str) -> float | None:
        """Return the number in a cell, or None if the cell is empty. Raises DataError if it is not a finite number."""
        text = self.cells[column].strip()
        value = finite_number(text)
        if text and value is None:
            raise self.refuse(column, "a number", "correct the cell, or leave it empty where the value is missing")
        return value

    def integer(self, column: str) -> int:
        """Return the whole number in a cell. Raises DataError if the cell is empty or not a whole number of 64 bits."""
        text = self.cells[column].strip()
        digits = text.lstrip("+-")
        value = finite_number(text)
        is_short = len(digits) <= INDEX_DIGITS or len(digits) <= current_limits().integer_digits
        is_plain = digits.isdecimal() and is_short
        if value is not None and is_plain and abs(int(text)) <= LARGEST_INDEX:
            return int(text)
        if value is None or digits.isdecimal() or not value.is_integer() or abs(value) > LARGEST_EXACT_FLOAT:
            raise self.refuse(column, "a whole number", "correct the cell, or map another column with --map")
        return int(value)

    def refuse(self, column: str, expected: str, remedy: str) -> DataError:
        """Create the error for an invalid cell.

        Args:
            column: Column of the cell.
            expected: Description of the expected value.
            remedy: Advice to the user on how to correct the cell.

        Returns:
            The error to raise.
        """
        value = self.cells[column][:SHOWN_CHARACTERS]
        return DataError(f"Expected {expected} in column {column!r}, {self.where}, but got {value!r}; {remedy}")


def finite_number(text: str) -> float | None:
    """Return the number that a text contains; None if it contains none, or NaN or infinity."""
    try:
        # float() also accepts "1_000", which is not a number in a table
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
