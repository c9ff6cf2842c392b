"""The files a reader is given: which ones, CSV rows as text, arrays of .npz archives, and what a wrong file looks like.

Cells of a CSV file stay text until a reader asks for a number. Object arrays of an archive are pickles inside and are
refused.
"""

from __future__ import annotations

import codecs
import csv
import math
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError

AnyArray = NDArray[Any]
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"
NPY_MAGIC = b"\x93NUMPY"
HEAD_BYTES = 512
LAST_PICKLE_PROTOCOL = 5
LARGEST_INDEX = 2**63 - 1
# what numpy and zipfile raise on archives that are cut, altered or not made by numpy
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    OSError,
    KeyError,
    MemoryError,
    NotImplementedError,
    SyntaxError,
)


def input_files(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> list[Path]:
    """The files to read: a file as it is given, a folder as its files with one of the suffixes, by name.

    Raises DataError when there is none, when one is missing or empty, and when one is given twice.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.is_file() and each.suffix.lower() in suffixes)
            if not inside:
                raise DataError(
                    f"Expected files ending in {' or '.join(suffixes)} in the folder {path} for the reader "
                    f"{reader!r}, but got none; check the path"
                )
            files.extend(inside)
        else:
            files.append(path)
    if not files:
        raise DataError(f"Expected at least one file for the reader {reader!r}, but got none; name the files to read")
    for path in files:
        require_file(path, reader)
    twice = [path for number, path in enumerate(files) if path.resolve() in [each.resolve() for each in files[:number]]]
    if twice:
        raise DataError(f"Expected every file once, but got {twice[0]} twice; leave one out")
    return files


def only_file(paths: Sequence[Path], suffixes: tuple[str, ...], reader: str) -> Path:
    """The one file to read. Raises DataError when there is none or more than one."""
    files = input_files(paths, suffixes, reader)
    if len(files) > 1:
        raise DataError(
            f"Expected one file for the reader {reader!r}, but got {len(files)} "
            f"({', '.join(path.name for path in files)}); import them one by one"
        )
    return files[0]


def require_file(path: Path, reader: str) -> None:
    """Raise DataError unless the file is there and holds something."""
    if not path.is_file():
        raise DataError(f"Expected a file at {path} for the reader {reader!r}, but got nothing there; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"Expected data in {path}, but got an empty file; copy or download it again")


def looks_like(path: Path) -> str:
    """What the first bytes of a file say it is, for error messages; "mien import READER" where one reads it."""
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
        # incremental, because the cut may fall inside a character
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "binary data of an unknown kind"
    return "binary data of an unknown kind" if b"\0" in head else "text (reader table or meld)"


def wrong_format(path: Path, expected: str, reader: str) -> DataError:
    """The error for a file of another format than its reader reads."""
    return DataError(
        f"Expected {path} to be {expected} for the reader {reader!r}, but got {looks_like(path)}; "
        "name the reader that fits the file"
    )


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


def array_names(path: Path, reader: str) -> list[str]:
    """Names of the arrays in an archive. Raises DataError when it is none."""
    with open(path, "rb") as handle:
        if not handle.read(len(ZIP_MAGIC)).startswith(ZIP_MAGIC):
            raise wrong_format(path, "an .npz archive", reader)
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except READ_ERRORS as error:
        raise _damaged(path, error) from None


def read_arrays(path: Path, names: Collection[str], reader: str) -> dict[str, AnyArray]:
    """The named arrays; names that are not there are left out. Raises DataError on objects and damaged archives."""
    there = array_names(path, reader)
    arrays: dict[str, AnyArray] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in there:
                if name in names:
                    arrays[name] = archive[name]
    except READ_ERRORS as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"Expected arrays of numbers and text in {path}, but got Python objects in {name!r}, which only a "
                "pickle can hold; save it again as a plain array (nothing of it was executed)"
            ) from None
        raise _damaged(path, error) from None
    return arrays


def require_arrays(path: Path, names: Sequence[str], there: Collection[str]) -> None:
    """Raise DataError, naming what is there, unless all the named arrays are."""
    for name in names:
        if name not in there:
            raise DataError(
                f"Expected an array {name!r} in {path}, but got {', '.join(there) or 'none'}; check that this is the "
                "file the reader expects"
            )


def as_text(values: AnyArray) -> list[str]:
    """Text of an array, in one row, of text, bytes (UTF-8) or whole numbers, or of objects of these kinds."""
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in values.reshape(-1).tolist()
    ]


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"Expected an .npz archive of arrays in {path}, but got {error or type(error).__name__}; "
        "the file was cut or altered: copy or download it again"
    )
