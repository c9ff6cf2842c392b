"""Rows in JSON: missing keys and values, numbers as they are written, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.readers.examples import write_text

from mien.errors import DataError, MienError
from mien.limits import set_limits
from mien.readers.table_formats import json_lines


def cells(path: Path) -> list[list[str]]:
    return [list(line) for _, line in json_lines(path)()]


def test_the_columns_are_the_keys_of_all_rows(tmp_path: Path) -> None:
    path = write_text(tmp_path / "t.jsonl", '{"a": 1, "b": null}\n{"b": "x", "c": NaN}\n{"a": 0.10, "c": true}\n')
    assert cells(path) == [["a", "b", "c"], ["1", "", ""], ["", "x", ""], ["0.10", "", "1"]]


def test_a_byte_order_mark_and_a_list_over_several_lines_are_read(tmp_path: Path) -> None:
    path = write_text(tmp_path / "t.json", '\ufeff\n[\n{"a": "x",\n"b": [1, 2]}\n]')
    assert cells(path) == [["a", "b"], ["x", '["1", "2"]']]


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    path = write_text(tmp_path / "t.jsonl", '{"a": "\\ud83d", "b": "\\ud83d\\ude00"}\n')
    assert cells(path)[1] == ["\ufffd", "\U0001f600"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', r"one JSON object per line in .*, but got .* in line 2; write one object per row"),
        ('{"a": 1}\n[1]\n', "a JSON object per row in .*, but got .* in row"),
        ("[1, 2]", "a JSON object per row in .*, but got str in row 1; write each row as an object"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "more than 100 levels"),
    ],
)
def test_other_content_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        json_lines(write_text(tmp_path / "t.jsonl", text))


def test_rows_with_keys_of_their_own_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_LIMITS", "")
    set_limits({"items": 100})
    path = write_text(tmp_path / "t.jsonl", "\n".join(json.dumps({f"key{number}": 1}) for number in range(100)))
    with pytest.raises(MienError, match="at most 1600 cells"):
        json_lines(path)
