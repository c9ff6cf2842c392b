"""Suspected placeholders in columns of features."""

from __future__ import annotations

import numpy as np
import pytest

from mien.storage.column_checks import ColumnCheck


def suspected(rows, n_parts=3, names=()):
    rows = np.asarray(rows, dtype=np.float32)
    check = ColumnCheck(rows.shape[1])
    for part in np.array_split(rows, n_parts):
        check.add(part)
    return check.suspected(names)


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


def test_usual_features_are_not_suspected(rows):
    rows[:, 1] = np.maximum(rows[:, 1], 0)  # a floor at zero
    rows[:, 2] = rows[:, 2] > 0
    rows[:, 3] = np.sign(rows[:, 3])
    rows[:, 4] = 7
    assert suspected(rows) == []
    assert suspected(np.zeros((20, 2))) == []
    assert suspected(rows[:0]) == []


@pytest.mark.parametrize("value", [-1e38, 1e38, 3e9])
@pytest.mark.parametrize("n", [1, 7])
def test_an_absurd_value_is_found_with_its_column_and_number(rows, value, n):
    rows[5 : 5 + n, 3] = value
    (found,) = suspected(rows)
    assert found == {"column": 3, "value": pytest.approx(value), "utterances": n, "reason": "absurd"}
    assert suspected(rows, names=("a", "b", "c", "pitch", "e"))[0]["column"] == "pitch"


def test_a_repeated_extreme_is_found_at_either_end(rows):
    rows[::10, 0] = -999
    rows[::10, 4] = 255
    found = suspected(rows)
    assert [(each["column"], each["value"], each["utterances"]) for each in found] == [(0, -999, 6), (4, 255, 6)]
    assert {each["reason"] for each in found} == {"repeated extreme"}
    rows[:, 0] = np.arange(60)
    rows[2, 0] = -998  # once is an outlier
    assert [each["column"] for each in suspected(rows)] == [4]


def test_the_pieces_do_not_matter(rows):
    rows[[0, 20, 59], 2] = -1e30
    rows[::7, 1] = 4000
    assert suspected(rows, 1) == suspected(rows, 4) == suspected(rows[::-1], 17)


def test_few_rows_have_no_usual_size(rows):
    rows[0, 0] = 1e38
    assert suspected(rows[:7]) == []


def test_a_usual_placeholder_is_found_even_once_and_any_other_value_if_it_is_very_far() -> None:
    for value, is_found in ((-999, True), (9999, True), (65504, True), (-500, False), (123_456, True)):
        rows = np.random.default_rng(4).normal(size=(50, 3)).astype(np.float32)
        rows[7, 1] = value
        found = [(each["column"], each["value"], each["utterances"], each["reason"]) for each in suspected(rows)]
        assert found == ([(1, value, 1, "far extreme")] if is_found else [])
    rows = np.tile(np.arange(-1000, 1000, 40, dtype=np.float32)[:, None], (1, 3))
    rows[7, 1] = -999  # not far from the others
    assert suspected(rows) == []
