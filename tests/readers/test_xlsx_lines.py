"""The first sheet of an Excel file, built here as the XML that Excel writes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.readers.examples import write_xlsx

from mien.errors import DamagedFileError, DataError
from mien.limits import set_limits
from mien.readers.xlsx_lines import xlsx_lines

ROWS = """
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>v</t></is></c><c r="B2" t="s"><v>3</v></c><c r="C2"><v>-1.5</v></c></row>
<row r="3"/>
<row r="5"><c r="A5" t="str"><f>A2</f><v>w</v></c><c r="C5" t="e"><v>#DIV/0!</v></c></row>
<row r="6"><c r="A6" t="s"><v>3</v></c><c r="C6" t="b"><v>1</v></c></row>
"""


def test_the_cells_of_the_first_sheet_are_read_as_text(tmp_path: Path) -> None:
    lines = list(xlsx_lines(write_xlsx(tmp_path / "t.xlsx", ROWS), "table")())
    assert lines == [
        (1, ["video_id", "text", "sentiment"]),
        (2, ["v", "it is", "-1.5"]),
        (5, ["w", "", ""]),
        (6, ["it is", "", "1"]),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.npy", "but got a zip archive, perhaps .npz"),
        ("content.xml", "but got an OpenDocument file; save the sheet as .xlsx or CSV UTF-8"),
        ("labels.csv", "but got a zip archive with labels.csv; unpack it first"),
    ],
)
def test_another_archive_is_named(tmp_path: Path, name: str, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match=message):
        xlsx_lines(tmp_path / "t.zip", "table")


def test_a_damaged_sheet_and_cells_out_of_order_are_errors(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", '<row r="1"><c r="A1"><v>1</v></c>')
    with pytest.raises(DamagedFileError, match=r"an Excel file in .*, but got .*; save it again"):
        list(xlsx_lines(path, "table")())
    path = write_xlsx(tmp_path / "u.xlsx", '<row r="4"><c r="C4"><v>1</v></c><c r="B4"><v>1</v></c></row>')
    with pytest.raises(DataError, match="cells in order in row 4 of .*, but got 'B4'"):
        list(xlsx_lines(path, "table")())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(tmp_path: Path, encoding: str) -> None:
    # beyond the first piece that is read
    prolog = " " * 70_000 + '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    path = write_xlsx(tmp_path / "t.xlsx", ROWS, prolog, encoding)
    with pytest.raises(DataError, match=r"no document type in xl/worksheets/a\.xml of .*, but got one"):
        list(xlsx_lines(path, "table")())


def test_cells_that_the_file_does_not_store_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_LIMITS", "")
    set_limits({"items": 100})
    wide = '<row r="1"><c r="XFD1"><v>1</v></c></row>'
    with pytest.raises(DataError, match="at most 1600 cells"):
        list(xlsx_lines(write_xlsx(tmp_path / "t.xlsx", wide), "table")())
