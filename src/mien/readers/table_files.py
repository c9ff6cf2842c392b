"""Files that contain a table: CSV with any usual separator, JSON lines, Parquet and Excel, as they are or gzipped.

`open_table_file` finds out the format from the content. All cells become text, see `table_rows`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError
from mien.limits import current_limits
from mien.readers.csv_lines import SEPARATOR_NAMES, UTF_16_MARKS, csv_lines, find_separator, first_bytes, open_text
from mien.readers.input_files import GZIP_MAGIC, KINDS, PARQUET_MAGIC, ZIP_MAGIC, wrong_format
from mien.readers.table_formats import Lines, json_lines, parquet_lines
from mien.readers.table_rows import TableRow
from mien.readers.xlsx_lines import xlsx_lines
from mien.schema import EMOTION, EMOTIONS

# A folder is read as the files of the first of these kinds that it has.
SUFFIXES = ((".csv",), (".tsv",), (".csv.gz", ".tsv.gz"), (".parquet",), (".jsonl", ".jsonl.gz"), (".xlsx",))
COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file that contains a table. Its rows can be read several times."""

    path: Path
    header: tuple[str, ...]
    # opens the file and yields the number and the cells of each line, the header first
    lines: Callable[[], Lines]
    # separator of a CSV file; empty for other formats
    separator: str = ""
    # columns whose values cannot be converted to text, such as bytes or lists
    unreadable: tuple[str, ...] = ()

    def rows(self, decimal_commas: Collection[str] = ()) -> Iterator[TableRow]:
        """Yield the rows below the header. Blank lines are skipped.

        Args:
            decimal_commas: Columns whose numbers have a decimal comma. It is replaced by a decimal point.

        Yields:
            Each row.

        Raises:
            DataError: A row has more or fewer cells than the header, or there are too many rows.
        """
        header, lines = self.header, self.lines()
        next(lines)
        largest = current_limits().items
        for number, (line, cells) in enumerate(lines):
            if number == largest:
                raise DataError(
                    f"Expected at most {largest} rows in {self.path}, but got more; allow more with --limit items=N"
                )
            if len(cells) != len(header):
                remedy = "name every column in the first row"
                if self.separator:
                    remedy = f"quote cells that hold {SEPARATOR_NAMES[self.separator]} or line breaks"
                raise DataError(
                    f"Expected {len(header)} cells in line {line} of {self.path}, but got {len(cells)}; {remedy}"
                )
            by_column = dict(zip(header, cells, strict=True))
            for column in decimal_commas:
                by_column[column] = by_column[column].replace(",", ".")
            yield TableRow(self.path, line, by_column)

    def decimal_comma_columns(self, columns: Collection[str]) -> frozenset[str]:
        """Find the columns whose numbers have a decimal comma.

        Each of their cells is empty, a whole number, or a number with one comma, and at least one has a comma. In a
        file with commas between the cells, no column is taken for one.

        Args:
            columns: Columns that should contain numbers.

        Returns:
            Those with decimal commas.
        """
        candidates = {column for column in columns if column in self.header}
        if self.separator == "," or not candidates:
            return frozenset()
        with_comma: set[str] = set()
        for row in self.rows():
            for column in list(candidates):
                text = row.cells[column].strip()
                if COMMA_NUMBER.fullmatch(text):
                    with_comma.add(column)
                elif text and not text.lstrip("+-").isdecimal():
                    candidates.discard(column)
        return frozenset(candidates & with_comma)


def open_table_file(path: Path, reader: str) -> TableFile:
    """Open a table, and read its header.

    Args:
        path: CSV file, lines of JSON or a JSON list, Parquet or .xlsx file. All but the last two may be gzipped.
        reader: Name of the reader, for error messages.

    Returns:
        The opened table.

    Raises:
        DataError: The file has another format, is not UTF-8 or UTF-16, or has no header or a column twice.
    """
    head, is_packed = first_bytes(path)
    unreadable: tuple[str, ...] = ()
    separator = ""
    lines: Callable[[], Lines]
    if not is_packed and head.startswith(PARQUET_MAGIC):
        lines, unreadable = parquet_lines(path)
    elif not is_packed and head.startswith(ZIP_MAGIC):
        lines = xlsx_lines(path, reader)
    elif head.startswith((PARQUET_MAGIC, ZIP_MAGIC, GZIP_MAGIC)):
        raise DataError(f"Expected a gzipped text file in {path}, but got another archive in it; unpack the file first")
    elif head.startswith(tuple(KINDS)) or (b"\0" in head and not head.startswith(UTF_16_MARKS)):
        raise wrong_format(path, "a table (CSV, JSON lines, Parquet or .xlsx)", reader)
    elif _first_character(path) in ("{", "["):
        lines = json_lines(path)
    else:
        separator = find_separator(path)
        lines = lambda: csv_lines(path, separator)  # noqa: E731 - one of several formats
    return TableFile(path, _checked_header(path, lines), lines, separator, unreadable)


def _first_character(path: Path) -> str:
    try:
        with open_text(path) as handle:
            return handle.read(1024).lstrip()[:1]
    except UnicodeDecodeError:
        # the reader of the format names the byte
        return ""


def _checked_header(path: Path, lines: Callable[[], Lines]) -> tuple[str, ...]:
    """Return the column names. Raise DataError if there are none, or if a name occurs twice."""
    _, cells = next(lines(), (0, ()))
    if not any(cells):
        raise DataError(f"Expected a header with column names in {path}, but got an empty line; add the header")
    duplicates = sorted(name for name, count in Counter(cells).items() if count > 1 and name)
    if duplicates:
        raise DataError(
            f"Expected every column once in {path}, but got {', '.join(duplicates)} twice; rename one of them"
        )
    return tuple(cells)


def require_columns(table: TableFile, needed: Mapping[str, str]) -> None:
    """Check that a file has all needed columns.

    Args:
        table: The file.
        needed: Field -> name of its column.

    Raises:
        DataError: A needed column is missing; the message lists the columns of the file.
    """
    for field, column in needed.items():
        if column not in table.header:
            remedy = f"name the column that holds it with --map {field}=COLUMN"
            if field in EMOTIONS:
                remedy += f", or read those that there are with --label {EMOTION}=LABEL=COLUMN,...:multilabel:0..3"
            if 2 * sum(not name.strip() for name in table.header) > len(table.header):
                remedy = "the first row needs the names of the columns: remove the rows above it"
            elif len(table.header) == 1:
                separators = "separate the columns by commas, semicolons, tabs or |"
                remedy = separators if table.separator else "give every row all its columns"
            raise DataError(
                f"Expected a column {column!r} in {table.path}, but got {', '.join(table.header)}; {remedy}"
            )
