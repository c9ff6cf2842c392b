"""Tables in JSON and Parquet: their rows as texts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from mien.errors import DataError
from mien.limits import MIB, current_limits, require_shallow
from mien.readers.csv_lines import bounded_lines, not_utf8, open_text, require_cells
from mien.storage.parquet import read_parquet

# the number and the cells of each line
Lines = Iterator[tuple[int, Sequence[str]]]
PARQUET_ROWS = 4096
SHOWN_COLUMNS = 5


def json_lines(path: Path) -> Callable[[], Lines]:
    """Return a function that reads a file with one JSON object per line, or one list of objects.

    Args:
        path: The file. The columns are all keys of the objects, in the order of their first occurrence. A missing key
            is an empty cell.

    Returns:
        Function that yields the number and the cells of each line, the header first.

    Raises:
        DataError: The file has something other than objects.
    """
    columns: dict[str, None] = {}
    for number, (_, record) in enumerate(_json_records(path), 1):
        columns.update(dict.fromkeys(record))
        require_cells(path, number * len(columns))
    _require_rows(path, columns)
    header = [_clean(name) for name in columns]

    def lines() -> Lines:
        yield 1, header
        for line, record in _json_records(path):
            yield line, [_cell(record.get(name)) for name in columns]

    return lines


def _require_rows(path: Path, columns: Collection[str]) -> None:
    """Raise DataError if a file has one object, all of whose values are lists or objects: columns in place of rows."""
    records = _json_records(path)
    first = next(records, None)
    if first is None or next(records, None) is not None or not columns:
        return
    if all(isinstance(value, list | dict) for value in first[1].values()):
        raise DataError(
            f"Expected a JSON object per row in {path}, but got one object with lists or objects in "
            f"{', '.join(list(columns)[:SHOWN_COLUMNS])}; write one object per row (pandas: "
            "to_json(orient='records', lines=True))"
        )


def _json_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON file, each with the number of its line, or its number in the list."""
    line, is_first = 0, True
    try:
        with open_text(path) as handle:
            for line, text in enumerate(bounded_lines(handle), 1):
                if is_first and text.lstrip().startswith("["):
                    content = _parsed(text + _rest(handle))
                    yield from ((number, _object(path, each, number)) for number, each in enumerate(content, 1))
                    return
                if text.strip():
                    is_first = False
                    yield line, _object(path, _parsed(text), line)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from None
    except ValueError as error:
        raise DataError(
            f"Expected one JSON object per line in {path}, but got {error} in line {line}; write one object per row"
        ) from None


def _rest(handle: TextIO) -> str:
    """Return the rest of a text file. Raises ValueError if it is longer than the limit `text_mib`."""
    largest = current_limits().text_mib * MIB
    text = handle.read(largest + 1)
    if len(text) > largest:
        raise ValueError(
            f"more than {largest // MIB} MiB (--limit text_mib=N allows more; one object per line has none)"
        )
    return text


def _parsed(text: str) -> Any:
    # numbers stay text, as in a CSV file: none is rounded, and none has too many digits
    value = json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None)
    require_shallow(value)
    return value


def _object(path: Path, value: Any, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            f"Expected a JSON object per row in {path}, but got {type(value).__name__} in row {line}; "
            "write each row as an object with the names of the columns as keys"
        )
    return value


def parquet_lines(path: Path) -> tuple[Callable[[], Lines], tuple[str, ...]]:
    """Return a function that reads a Parquet file, and its columns that cannot be read as text.

    Args:
        path: The file.

    Returns:
        ``(lines, unreadable)``: function that yields the number and the cells of each row, the header first; and names
        of the columns of bytes, lists and structures, which are left out.

    Raises:
        DamagedFileError: The file is damaged or exceeds a limit.
    """
    table = read_parquet(path, "a table")
    kept = [number for number, column in enumerate(table.schema) if not _is_opaque(column.type)]
    unreadable = tuple(column.name for column in table.schema if _is_opaque(column.type))
    table = table.select(kept)
    require_cells(path, table.num_rows * table.num_columns)

    def lines() -> Lines:
        yield 1, [_clean(name) for name in table.column_names]
        row = 1
        for batch in table.to_batches(max_chunksize=PARQUET_ROWS):
            values = [column.to_pylist() for column in batch.columns]
            for cells in zip(*values, strict=True):
                row += 1
                yield row, [_cell(value) for value in cells]

    return lines, unreadable


def _is_opaque(kind: pa.DataType) -> bool:
    """Return whether the values of a column are bytes or have parts."""
    return any(check(kind) for check in (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary))


def _cell(value: object) -> str:
    """Return a value as the text of a cell. A missing value is an empty text."""
    match value:
        case None:
            return ""
        case str():
            return _clean(value)
        case bool():
            return str(int(value))
        case float():
            return "" if math.isnan(value) else repr(value)
        case list() | dict():
            return _clean(json.dumps(value, ensure_ascii=False))
        case _:
            return _clean(str(value))


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can contain and Unicode text cannot."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
