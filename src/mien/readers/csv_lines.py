"""Lines of CSV files: encoding, gzip, separator, and limits for the length of lines and cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mien.errors import DamagedFileError, DataError
from mien.limits import MIB, current_limits
from mien.readers.input_files import GZIP_MAGIC, HEAD_BYTES

# a line of a CSV file may have this many times the characters of a cell
CELLS_PER_LINE = 8
# separator -> its name for error messages, in the order of preference
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Excel writes the separator into the first line
SEPARATOR_LINE = "sep="
# UTF-32 is not looked for: its mark begins like that of UTF-16, and no program writes it by default
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# JSON, Parquet and Excel store no empty cells, so that a small file can have many. A table may have this many times the
# limit `items`.
CELLS_PER_ITEM = 16
DAMAGED_ARCHIVE = (EOFError, zlib.error, gzip.BadGzipFile)


class _Unpacked(io.RawIOBase):
    """Content of a gzipped file, up to the limit of decompressed bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed by `close`
        self._n_left = current_limits().largest_unpacked(path.stat().st_size)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        try:
            content = self._file.read(len(buffer))
        except DAMAGED_ARCHIVE as error:
            raise DamagedFileError(
                f"Expected a gzip archive in {self._path}, but got {error}; it is cut or altered: copy or download it "
                "again"
            ) from None
        self._n_left -= len(content)
        if self._n_left < 0:
            raise DataError(
                f"Expected at most {current_limits().largest_unpacked(self._path.stat().st_size) // MIB} MiB in "
                f"{self._path}, but got more when it was unpacked; allow more with --limit unpacked_mib=N or "
                "unpacked_ratio=N"
            )
        buffer[: len(content)] = content
        return len(content)


def first_bytes(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, unpacked if it is gzipped, and whether it is gzipped."""
    with open(path, "rb") as handle:
        head = handle.read(HEAD_BYTES)
    if not head.startswith(GZIP_MAGIC):
        return head, False
    with io.BufferedReader(_Unpacked(path)) as unpacked:
        return unpacked.read(HEAD_BYTES), True


def open_text(path: Path) -> TextIO:
    """Open a text file in UTF-8 (with or without byte order mark) or UTF-16 with byte order mark, perhaps gzipped."""
    head, is_packed = first_bytes(path)
    encoding = "utf-16" if head.startswith(UTF_16_MARKS) else "utf-8-sig"
    if is_packed:
        return io.TextIOWrapper(io.BufferedReader(_Unpacked(path)), encoding=encoding, newline="")
    return open(path, encoding=encoding, newline="")


def csv_lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file, the header first. A line that names the separator (Excel) is left out.

    Args:
        path: The file.
        separator: Character between the cells.

    Yields:
        The number of the line on which the row begins, from 1, and its cells.

    Raises:
        DataError: A quote is not closed, the text is not UTF-8, or a line or cell is too long.
    """
    line = 1
    try:
        with open_text(path) as handle:
            reader = csv.reader(bounded_lines(handle), strict=True, delimiter=separator)
            for cells in reader:
                if cells and not (line == 1 and _is_separator_line(cells)):
                    yield line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except (csv.Error, ValueError) as error:
        if "field limit" in str(error):
            largest = current_limits().cell_characters
            raise DataError(
                f"Expected cells of at most {largest} characters in {path}, but got a longer one in line {line}; "
                "close its quotes, or allow more with --limit cell_characters=N"
            ) from None
        raise DataError(f"Expected a CSV file in {path}, but got {error} in line {line}; check its quotes") from None


def not_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    """Create the error for a text file in another encoding than UTF-8 or UTF-16."""
    return DataError(
        f"Expected UTF-8 text in {path}, but got byte 0x{error.object[error.start]:02x} that is none; "
        "save the file as CSV UTF-8"
    )


def bounded_lines(handle: TextIO) -> Iterator[str]:
    """Yield the lines of a text file. Raises ValueError at a line that is too long, before all of it is in memory."""
    largest = current_limits().cell_characters
    # the csv module has a limit of its own, which is smaller
    csv.field_size_limit(largest)
    while line := handle.readline(CELLS_PER_LINE * largest + 1):
        if len(line) > CELLS_PER_LINE * largest:
            raise ValueError(f"more than {CELLS_PER_LINE * largest} characters (--limit cell_characters=N allows more)")
        yield line


def require_cells(path: Path, n_cells: int) -> None:
    """Raise DataError if a table has too many cells, also empty ones."""
    largest = CELLS_PER_ITEM * current_limits().items
    if n_cells > largest:
        raise DataError(
            f"Expected at most {largest} cells in {path}, but got more; leave out columns, or allow more with "
            "--limit items=N"
        )


def find_separator(path: Path) -> str:
    """Find the character between the cells of a CSV file: comma, semicolon, tab or vertical bar.

    It is the one that divides the header and the first row into the same number of cells, gives every column a name of
    its own, and gives the most columns. Only the first column, which may number the rows, needs no name.

    Args:
        path: The file.

    Returns:
        The separator; a comma if there is only one column.
    """
    try:
        with open_text(path) as handle:
            first = handle.readline(HEAD_BYTES)
        if _is_separator_line([first]):
            return first[len(SEPARATOR_LINE)]
        others = [mark for mark in SEPARATOR_NAMES if mark in first and mark != ","]
        if first.strip() and not others and "\n" in first:
            return ","
        return max(SEPARATOR_NAMES, key=lambda separator: (*_n_cells(path, separator), separator == ","))
    except UnicodeDecodeError:
        # reading the rows names the byte
        return ","


def _is_separator_line(cells: list[str]) -> bool:
    text = cells[0].lower().rstrip("\r\n")
    rest = text.removeprefix(SEPARATOR_LINE)
    return text != rest and not any(cells[1:]) and (rest == "" or rest in SEPARATOR_NAMES)


def _n_cells(path: Path, separator: str) -> tuple[bool, bool, int]:
    """Return how well a separator divides a file.

    Returns:
        Whether the header and the first row have the same number of cells above one, whether every column has a name
        of its own, and the number of cells of the header.
    """
    try:
        rows = [cells for _, cells in itertools.islice(csv_lines(path, separator), 2)]
    except DataError:
        rows = []
    header = rows[0] if rows else []
    is_named = all(name.strip() for name in header[1:]) and len(set(header)) == len(header)
    return len(header) > 1 and len(rows[-1]) == len(header), is_named, len(header)
