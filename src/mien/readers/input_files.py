"""Input files of the readers: lists them, checks their format, and reads CSV rows.

The cells of a CSV file are text; `CsvRow` converts them to numbers.
"""

from __future__ import annotations

import codecs
import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.limits import SHOWN_CHARACTERS, current_limits

AnyArray = NDArray[Any]
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NPY_MAGIC = b"\x93NUMPY"
HEAD_BYTES = 512
LAST_PICKLE_PROTOCOL = 5
LARGEST_INDEX = 2**63 - 1
LARGEST_CODE_POINT = 0x10FFFF
LARGEST_TEXT_NUMBER_BITS = 64
# a line of a CSV file may have this many times the characters of a cell
CELLS_PER_LINE = 8


def input_files(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> list[Path]:
    """List the files to read, in the order of `paths`.

    Args:
        paths: Files and folders. A file may have any suffix. For a folder, its files with one of the suffixes are
            listed, sorted by name.
        suffixes: Suffixes in lower case with the dot, for example ".csv".
        reader: Name of the reader, for error messages.

    Returns:
        At least one path; each file exists and is not empty.

    Raises:
        DataError: There is no file, or a file is missing, empty or listed twice.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files_inside = sorted(each for each in path.iterdir() if each.is_file() and each.suffix.lower() in suffixes)
            if not files_inside:
                raise DataError(
                    f"Expected files ending in {' or '.join(suffixes)} in the folder {path} for the reader "
                    f"{reader!r}, but got none; check the path"
                )
            files.extend(files_inside)
        else:
            files.append(path)
    if not files:
        raise DataError(f"Expected at least one file for the reader {reader!r}, but got none; name the files to read")
    for path in files:
        require_file(path, reader)
    duplicates = [
        path for number, path in enumerate(files) if path.resolve() in [each.resolve() for each in files[:number]]
    ]
    if duplicates:
        raise DataError(f"Expected every file once, but got {duplicates[0]} twice; leave one out")
    return files


def only_file(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> Path:
    """Find the single file to read.

    Args:
        paths: One file, or a folder that contains one file with one of the suffixes.
        suffixes: Suffixes in lower case with the dot.
        reader: Name of the reader, for error messages.

    Returns:
        The path of the file, which exists and is not empty.

    Raises:
        DataError: There is no such file, it is empty, or there is more than one.
    """
    files = input_files(paths, suffixes, reader)
    if len(files) > 1:
        raise DataError(
            f"Expected one file for the reader {reader!r}, but got {len(files)} "
            f"({', '.join(path.name for path in files)}); import them one by one"
        )
    return files[0]


def require_file(path: Path, reader: str) -> None:
    """Check that a file exists and is not empty.

    Args:
        path: File to check.
        reader: Name of the reader, for error messages.

    Raises:
        DataError: The file is missing or empty.
    """
    if not path.is_file():
        raise DataError(f"Expected a file at {path} for the reader {reader!r}, but got nothing there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected data in {path}, but got an empty file; copy or download it again")


def looks_like(path: Path) -> str:
    """Guess the format of a file from its first bytes, and describe it for error messages.

    If mien has a reader for this format, the description names the reader.
    """
    with open(path, "rb") as handle:
        head = handle.read(HEAD_BYTES)
    if head.startswith(HDF5_MAGIC):
        return "an HDF5 file (reader csd)"
    if head.startswith(ZIP_MAGIC):
        return "a zip archive, perhaps .npz (reader arrays or npz)"
    if head.startswith(NPY_MAGIC):
        return "a single .npy array"
    if head[:1] == b"\x80" and head[1:2] and head[1] <= LAST_PICKLE_PROTOCOL:
        return "a pickle (reader mmsa or mult)"
    try:
        # an incremental decoder accepts a head that ends within a character
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "binary data of an unknown kind"
    return "binary data of an unknown kind" if b"\0" in head else "text (reader table or meld)"


def wrong_format(path: Path, expected: str, reader: str) -> DataError:
    """Create the error for a file that has another format than its reader expects.

    Args:
        path: The file.
        expected: Expected format, with an article, for example "a CSV file".
        reader: Name of the reader.

    Returns:
        The error to raise.
    """
    return DataError(
        f"Expected {path} to be {expected} for the reader {reader!r}, but got {looks_like(path)}; "
        "name the reader that fits the file"
    )


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row of a CSV file, with the file and the line where it was found."""

    path: Path
    # number of the line on which the row begins, from 1
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
        """Return the whole number in a cell. Raises DataError if the cell is empty or not a whole number."""
        text = self.cells[column].strip()
        value = finite_number(text)
        digits = text.lstrip("+-")
        if (
            value is None
            or not value.is_integer()
            or abs(value) > LARGEST_INDEX
            or len(digits) > current_limits().integer_digits
        ):
            raise self.refuse(column, "a whole number", "correct the cell, or map another column with --map")
        return int(text) if digits.isdecimal() else int(value)

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


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names of a CSV file.

    Raises DataError if a name occurs twice, or if the file is not a CSV file in UTF-8.
    """
    _, cells = next(_csv_lines(path), (0, []))
    if not any(cells):
        raise DataError(f"Expected a header with column names in {path}, but got an empty line; add the header")
    duplicates = sorted(name for name, count in Counter(cells).items() if count > 1 and name)
    if duplicates:
        raise DataError(
            f"Expected every column once in {path}, but got {', '.join(duplicates)} twice; rename one of them"
        )
    return tuple(cells)


def read_rows(path: Path) -> Iterator[CsvRow]:
    """Yield the rows of a CSV file below its header. Blank lines are skipped.

    Raises DataError if a row has more or fewer cells than the header.
    """
    header = read_header(path)
    lines = _csv_lines(path)
    next(lines)
    largest = current_limits().items
    for number, (line, cells) in enumerate(lines):
        if number == largest:
            raise DataError(f"Expected at most {largest} rows in {path}, but got more; allow more with --limit items=N")
        if len(cells) != len(header):
            raise DataError(
                f"Expected {len(header)} cells in line {line} of {path}, but got {len(cells)}; "
                "quote cells that hold commas or line breaks"
            )
        yield CsvRow(path, line, dict(zip(header, cells, strict=True)))


def require_columns(path: Path, needed: Mapping[str, str], columns: tuple[str, ...]) -> None:
    """Check that a file has all needed columns.

    Args:
        path: The file, for the error message.
        needed: Field -> name of its column.
        columns: All column names of the file.

    Raises:
        DataError: A needed column is missing; the message lists the columns of the file.
    """
    for field, column in needed.items():
        if column not in columns:
            raise DataError(
                f"Expected a column {column!r} in {path}, but got {', '.join(columns)}; "
                f"name the column that holds it with --map {field}=COLUMN"
            )


def finite_number(text: str) -> float | None:
    """Return the number that a text contains; None if it contains none, or NaN or infinity."""
    try:
        # float() also accepts "1_000", which is not a number in a CSV file
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(line, cells)`` for each row: the number of the line on which it begins, from 1, and its cells.

    Raises DataError if a quote is not closed.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(_bounded_lines(handle), strict=True)
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
    except (csv.Error, ValueError) as error:
        raise DataError(f"Expected a CSV file in {path}, but got {error} in line {line}; check its quotes") from None


def _bounded_lines(handle: TextIO) -> Iterator[str]:
    """Yield the lines of a CSV file. Raises ValueError if a line is too long, without reading all of it into memory."""
    largest = current_limits().cell_characters
    csv.field_size_limit(largest)
    while line := handle.readline(CELLS_PER_LINE * largest + 1):
        if len(line) > CELLS_PER_LINE * largest:
            raise ValueError(f"more than {CELLS_PER_LINE * largest} characters (--limit cell_characters=N allows more)")
        yield line


def as_text(values: AnyArray) -> list[str]:
    """Convert an array of texts, bytes (UTF-8), whole numbers, or objects of these kinds to a flat list of texts.

    Bytes that are not UTF-8, and halves of surrogate pairs, become U+FFFD.

    Raises:
        DataError: A text has a code point above U+10FFFF, or a number has too many digits.
    """
    if values.dtype.kind == "U" and values.size:
        codes = np.ascontiguousarray(values).reshape(-1).view(np.dtype("u4").newbyteorder(values.dtype.byteorder))
        if codes.max(initial=0) > LARGEST_CODE_POINT:
            raise DataError("Expected Unicode text, but got a code point above U+10FFFF; the file is damaged")
    return [_to_text(value) for value in values.reshape(-1).tolist()]


def _to_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int) and value.bit_length() > LARGEST_TEXT_NUMBER_BITS:
        raise DataError("Expected text or a whole number below 2 ** 64, but got a larger number; the file is damaged")
    text = str(value)
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
