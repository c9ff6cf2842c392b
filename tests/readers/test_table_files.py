"""One table in every format gives the same rows; numbers with decimal commas are recognised."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.readers.examples import write_text

from mien.errors import DamagedFileError, DataError
from mien.readers.table_files import open_table_file, require_columns
from mien.readers.table_rows import TableRow

RECORDS: list[dict[str, Any]] = [
    {"video_id": "0012", "index": 3, "text": "naïve, no?", "score": -1.5},
    {"video_id": "b", "index": 4, "text": None, "score": None},
    {"video_id": "c", "index": 2**53 + 1, "text": "None", "score": 3.0},
]
CSV = "video_id,index,text,score\n" + '0012,3,"naïve, no?",-1.5\nb,4,,\nc,9007199254740993,None,3.0\n'
WRITERS: dict[str, Callable[[Path], object]] = {
    "t.csv": lambda path: write_text(path, CSV),
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "t.jsonl": lambda path: write_text(path, "\n\n".join(map(json.dumps, RECORDS))),
    "t.jsonl.gz": lambda path: path.write_bytes(gzip.compress("\n".join(map(json.dumps, RECORDS)).encode())),
    "t.json": lambda path: write_text(path, json.dumps(RECORDS, indent=1)),
    "t.parquet": lambda path: pd.DataFrame(RECORDS).to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_in_any_format_has_the_same_rows(tmp_path: Path, name: str) -> None:
    # the content tells the format, and the name does not
    path = tmp_path / "data"
    WRITERS[name](path)
    table = open_table_file(path, "table")
    assert table.header == ("video_id", "index", "text", "score")
    rows = list(table.rows())
    assert [row.cells["video_id"] for row in rows] == ["0012", "b", "c"]
    assert [row.integer("index") for row in rows] == [3, 4, 2**53 + 1]
    assert [row.cells["text"] for row in rows] == ["naïve, no?", "", "None"]
    assert [row.number("score") for row in rows] == [-1.5, None, 3.0]
    assert list(table.rows()) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "v,a\n".encode("utf-16-le"),
            r"got text in UTF-16 without a byte order mark \(save it as UTF-8\)",
            id="utf-16",
        ),
        pytest.param(b"\xfd7zXZ\0", r"got an xz archive \(unpack it first\)", id="xz"),
        pytest.param(b"\xd0\xcf\x11\xe0\0", r"got a file of an old Office program, perhaps \.xls", id="xls"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "got a Git LFS pointer in place", id="lfs"),
        pytest.param(b"<!DOCTYPE html>\n<p>404\n", "got a web page", id="html"),
        pytest.param(b"\x89HDF\r\n\x1a\n\0\0", "got an HDF5 file .reader csd.", id="hdf5"),
        pytest.param(b"PK\x03\x04\0\0", "got File is not a zip file; save it again", id="cut zip"),
        pytest.param(
            gzip.compress(b"PAR1abc"), "a gzipped text file in .*, but got another archive in it; unpack", id="packed"
        ),
    ],
)
def test_what_a_file_really_is_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_table_file(tmp_path / "t.csv", "table")


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    pd.DataFrame(RECORDS).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match=r"a table in .*t\.parquet"):
        open_table_file(tmp_path / "t.parquet", "table")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_decimal_commas_are_recognised_by_column(tmp_path: Path, separator: str) -> None:
    lines = ["video_id;a;b;c;d;e", "1,5;0,5;1;x;1,5;-2,5e-1", "2;-1,25;2;1,5;1.5;", "3;7;3;;;+3,0"]
    path = write_text(tmp_path / "t.csv", "\n".join(lines).replace(";", separator))
    table = open_table_file(path, "table")
    # b has only whole numbers, c has a word, and d has a number with a point
    commas = table.decimal_comma_columns(["a", "b", "c", "d", "e", "missing"])
    assert commas == {"a", "e"}
    rows = list(table.rows(commas))
    assert [row.number("a") for row in rows] == [0.5, -1.25, 7.0]
    assert [row.number("e") for row in rows] == [-0.25, None, 3.0]
    assert rows[0].cells["video_id"] == "1,5"


def test_between_commas_no_number_has_a_decimal_comma(tmp_path: Path) -> None:
    table = open_table_file(write_text(tmp_path / "t.csv", 'a,b\n"1,5","2,5"\n'), "table")
    assert table.decimal_comma_columns(["a", "b"]) == frozenset()


@pytest.mark.parametrize(
    ("text", "number"),
    [("9223372036854775807", 2**63 - 1), ("-9223372036854775807", -(2**63) + 1), ("007", 7), ("3.0", 3), ("1e3", 1000)],
)
def test_whole_numbers_are_exact(text: str, number: int) -> None:
    assert TableRow(Path("t.csv"), 2, {"index": text}).integer("index") == number


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "18446744073709551615", "1e19", "9007199254740993.0", "1" * 2000]
)
def test_a_whole_number_that_does_not_fit_names_its_cell(text: str) -> None:
    with pytest.raises(DataError, match=r"a whole number in column 'index', line 2 of t\.csv, but got"):
        TableRow(Path("t.csv"), 2, {"index": text}).integer("index")


def test_the_remedy_for_one_column_is_not_a_mapping(tmp_path: Path) -> None:
    table = open_table_file(write_text(tmp_path / "t.csv", "video_id text\nv a\n"), "table")
    with pytest.raises(DataError, match="got video_id text; separate the columns by commas, semicolons, tabs or"):
        require_columns(table, {"text": "text"})
    table = open_table_file(write_text(tmp_path / "t.json", '{"data": 1}'), "table")
    with pytest.raises(DataError, match="got data; give every row all its columns"):
        require_columns(table, {"text": "text"})
    table = open_table_file(write_text(tmp_path / "t.csv", "Labels of May;;\nvideo_id;text;sad\nv;a;1\n"), "table")
    with pytest.raises(DataError, match="the first row needs the names of the columns: remove the rows above it"):
        require_columns(table, {"text": "text"})
    table = open_table_file(write_text(tmp_path / "t.csv", "video_id,text,sad\nv,a,1\n"), "table")
    with pytest.raises(DataError, match="or read those that there are with --label emotion=LABEL=COLUMN"):
        require_columns(table, {"fear": "fear"})


@pytest.mark.parametrize("text", ['{"data": [{"video_id": "v"}]}', '{"video_id": {"0": "v"}, "text": {"0": "a"}}'])
def test_columns_in_place_of_rows_are_named_as_the_reason(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"but got one object with lists or objects in .*records"):
        open_table_file(write_text(tmp_path / "t.json", text), "table")


def test_columns_of_bytes_and_lists_are_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": ["v"], "audio": [b"\x00\xff"], "words": [np.array([1.0, 2.0])], "said": [True]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = open_table_file(tmp_path / "t.parquet", "table")
    assert (table.header, table.unreadable) == (("video_id", "said"), ("audio", "words"))
    assert [row.cells["said"] for row in table.rows()] == ["1"]
