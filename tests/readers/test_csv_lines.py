"""CSV files of other programs: separators, encodings, gzip, and limits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.readers.examples import write_text

from mien.errors import DamagedFileError, DataError
from mien.limits import set_limits
from mien.readers import csv_lines as module
from mien.readers.csv_lines import csv_lines, find_separator, require_cells

CELLS = [["video_id", "text", "x"], ["v", "one, two; three | four", "-1.5"], ["w", 'said "no"', ""]]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test sets end with the test."""
    monkeypatch.setenv("MIEN_LIMITS", "")


def table_text(separator: str, end: str = "\n") -> str:
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in CELLS]
    return "".join(separator.join(row) + end for row in quoted)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_separator_and_encoding_gives_the_same_cells(
    tmp_path: Path, separator: str, encoding: str, packed: bool
) -> None:
    mark = "\ufeff" if encoding.endswith("e") else ""
    content = (mark + table_text(separator, "\r\n")).encode(encoding)
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert find_separator(path) == separator
    assert [cells for _, cells in csv_lines(path, separator)] == CELLS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_line_in_which_excel_names_the_separator_is_no_row(tmp_path: Path, separator: str) -> None:
    path = write_text(tmp_path / "t.csv", f"sep={separator}\r\n" + table_text(separator))
    assert find_separator(path) == separator
    assert [line for line, _ in csv_lines(path, separator)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        pytest.param("video_id,text;with;many;marks\nv,a\n", ",", id="first row decides"),
        pytest.param("video_id;text;start, end\nv;a, b;1\n", ";", id="comma in a name"),
        pytest.param(",video_id,text;;b\n0,v,x;;y\n", ",", id="a column without a name"),
        pytest.param("text\na;b\n", ",", id="one column"),
        pytest.param("\n\nvideo_id;text\nv;a\n", ";", id="blank lines first"),
        pytest.param('"video_id";"long\ntext"\nv;a\n', ";", id="line break in a name"),
        pytest.param("", ",", id="empty"),
    ],
)
def test_the_separator_divides_header_and_first_row_alike(tmp_path: Path, text: str, separator: str) -> None:
    assert find_separator(write_text(tmp_path / "t.csv", text)) == separator


@pytest.mark.usefixtures("limits")
def test_a_cell_may_be_as_long_as_the_limit_and_not_longer(tmp_path: Path) -> None:
    path = write_text(tmp_path / "t.csv", f"video_id,text\nv,{'x' * 300_000}\n")
    assert [len(cells[1]) for _, cells in csv_lines(path, ",")] == [4, 300_000]
    set_limits({"cell_characters": 299_999})
    with pytest.raises(DataError, match=r"at most 299999 characters in .*, but got a longer one in line 2; close its"):
        list(csv_lines(path, ","))


def test_an_archive_that_is_cut_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(table_text(",").encode())[:-9])
    with pytest.raises(DamagedFileError, match=r"a gzip archive in .*t\.csv\.gz, but got .*; it is cut or altered"):
        list(csv_lines(path, ","))


@pytest.mark.usefixtures("limits")
def test_an_archive_that_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.limits.SMALL_MIB", 1)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"video_id,text\n" + b"v,aaaaaaaaaaaa\n" * 200_000))
    assert path.stat().st_size * 200 < 3_000_000
    with pytest.raises(DataError, match=r"at most \d+ MiB in .*, but got more when it was unpacked; allow more"):
        list(csv_lines(path, ","))


def test_text_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("video_id;text\nv;café\n".encode("cp1252"))
    with pytest.raises(DataError, match="got byte 0xe9 that is none; save the file as CSV UTF-8"):
        list(csv_lines(path, ";"))


@pytest.mark.usefixtures("limits")
def test_empty_cells_count(tmp_path: Path) -> None:
    set_limits({"items": 10})
    require_cells(tmp_path, 10 * module.CELLS_PER_ITEM)
    with pytest.raises(
        DataError, match="at most 160 cells in .*; leave out columns, or allow more with --limit items=N"
    ):
        require_cells(tmp_path, 10 * module.CELLS_PER_ITEM + 1)
