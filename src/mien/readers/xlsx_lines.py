"""Rows of the first sheet of an Excel file (.xlsx), which is a zip archive of XML files.

Only texts and numbers are read; formulas count as the value that Excel stored with them.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from mien.errors import DamagedFileError, DataError
from mien.limits import MIB, current_limits
from mien.readers.csv_lines import require_cells
from mien.readers.input_files import wrong_format

WORKBOOK = "xl/workbook.xml"
RELATIONS = "xl/_rels/workbook.xml.rels"
SHARED_TEXTS = "xl/sharedStrings.xml"
OPEN_DOCUMENT = "content.xml"
# a cell is named by its column in letters and its row: "AB12"
CELL_NAME = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
# columns of the largest sheet that Excel writes
MOST_COLUMNS = 16_384
PIECE_BYTES = 1 << 16
DAMAGE = (zipfile.BadZipFile, ElementTree.ParseError, KeyError, struct.error, zlib.error, lzma.LZMAError)
DOCUMENT_TYPE = b"<!DOCTYPE"


def xlsx_lines(path: Path, reader: str) -> Callable[[], Iterator[tuple[int, Sequence[str]]]]:
    """Return a function that reads the rows of the first sheet of an Excel file.

    Args:
        path: The file.
        reader: Name of the reader, for error messages.

    Returns:
        Function that yields the number and the cells of each row that is not empty, the header first.

    Raises:
        DataError: The file is another zip archive, is damaged, or exceeds a limit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if WORKBOOK not in names:
                raise _other_archive(path, names, reader)
            sheet = _first_sheet(path, archive)
            texts = list(_shared_texts(path, archive)) if SHARED_TEXTS in names else []
    except DAMAGE as error:
        raise _damaged(path, error) from None

    def lines() -> Iterator[tuple[int, Sequence[str]]]:
        width = n_cells = 0
        try:
            with zipfile.ZipFile(path) as archive:
                for number, cells in _sheet_rows(path, archive, sheet, texts):
                    if not any(cells):
                        continue
                    # The sheet stores no empty cells at the end of a row.
                    width = width or len(cells)
                    n_cells += width
                    require_cells(path, n_cells)
                    yield number, cells + [""] * (width - len(cells))
        except DAMAGE as error:
            raise _damaged(path, error) from None

    return lines


def _other_archive(path: Path, names: Collection[str], reader: str) -> DataError:
    if OPEN_DOCUMENT in names:
        return DataError(
            f"Expected a table in {path}, but got an OpenDocument file; save the sheet as .xlsx or CSV UTF-8"
        )
    tables = sorted(name for name in names if name.lower().endswith((".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")))
    if tables:
        return DataError(
            f"Expected a table in {path}, but got a zip archive with {', '.join(tables[:3])}; unpack it first"
        )
    return wrong_format(path, "a table (CSV, JSON lines, Parquet or .xlsx)", reader)


def _damaged(path: Path, error: Exception) -> DamagedFileError:
    return DamagedFileError(
        f"Expected an Excel file in {path}, but got {error}; save it again, or save the sheet as CSV UTF-8"
    )


def _first_sheet(path: Path, archive: zipfile.ZipFile) -> str:
    """Return the name of the first sheet in the archive."""
    key = ""
    for element in _elements(path, archive, WORKBOOK):
        if _tag(element) == "sheet" and not key:
            key = next((value for name, value in element.attrib.items() if name.endswith("}id")), "")
    for element in _elements(path, archive, RELATIONS):
        if _tag(element) == "Relationship" and element.get("Id") == key:
            target = element.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise DataError(f"Expected a sheet in {path}, but got none; save the table as CSV UTF-8")


def _shared_texts(path: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    for element in _elements(path, archive, SHARED_TEXTS):
        if _tag(element) == "si":
            yield _text(element)
            element.clear()


def _sheet_rows(
    path: Path, archive: zipfile.ZipFile, sheet: str, texts: Sequence[str]
) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for element in _elements(path, archive, sheet):
        if _tag(element) != "row":
            continue
        stated = element.get("r", "")
        number = int(stated) if stated.isdecimal() and len(stated) < len(str(MIB * MIB)) else number + 1
        cells: list[str] = []
        column = -1
        for cell in element:
            column = _column(cell.get("r", ""), column + 1)
            if not (value := _value(cell, texts)):
                continue
            if not len(cells) <= column < MOST_COLUMNS:
                raise DataError(
                    f"Expected cells in order in row {number} of {path}, but got {cell.get('r')!r}; "
                    "save the sheet as CSV UTF-8"
                )
            cells += [""] * (column - len(cells))
            cells.append(value)
        element.clear()
        yield number, cells


def _column(name: str, following: int) -> int:
    """Return the index of the column of a cell, from 0; `following` if the cell has no name."""
    match = CELL_NAME.fullmatch(name)
    if not match:
        return following
    index = 0
    for letter in match[1]:
        index = 26 * index + ord(letter) - ord("A") + 1
    return index - 1


def _value(cell: ElementTree.Element, texts: Sequence[str]) -> str:
    """Return the content of a cell as text. An error, such as a division by zero, is an empty cell."""
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _text(cell)
    value = next((child.text or "" for child in cell if _tag(child) == "v"), "")
    if kind == "s":
        return texts[int(value)] if value.isdecimal() and int(value) < len(texts) else ""
    return "" if kind == "e" else value


def _text(element: ElementTree.Element) -> str:
    """Return the text of an element with its parts of different format, without the pronunciation of Japanese words."""
    parts = [element] if _tag(element) == "t" else [part for part in element if _tag(part) in ("t", "r", "is")]
    if parts == [element]:
        return element.text or ""
    return "".join(map(_text, parts))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _elements(path: Path, archive: zipfile.ZipFile, name: str) -> Iterator[ElementTree.Element]:
    """Yield the elements of an XML file of the archive as soon as they end.

    A file with a document type is refused, because it could define texts that expand without limit.
    """
    limit = current_limits().largest_unpacked(path.stat().st_size)
    parser: Any = ElementTree.XMLPullParser(("end",))
    n_bytes = 0
    last = b""
    with archive.open(name) as handle:
        for piece in _pieces(handle):
            n_bytes += len(piece)
            if n_bytes > limit:
                raise DataError(
                    f"Expected at most {limit // MIB} MiB in {name} of {path}, but got more; allow more with "
                    "--limit unpacked_mib=N or unpacked_ratio=N"
                )
            # a file in UTF-16 has a zero byte after each letter
            if DOCUMENT_TYPE in (last + piece).replace(b"\0", b""):
                raise DataError(f"Expected no document type in {name} of {path}, but got one; save the sheet as CSV")
            last = piece[-2 * len(DOCUMENT_TYPE) :]
            parser.feed(piece)
            for _, element in parser.read_events():
                yield element


def _pieces(handle: IO[bytes]) -> Iterator[bytes]:
    while piece := handle.read(PIECE_BYTES):
        yield piece
