from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.readers.examples import RULES

from mien.readers import READERS, rules
from mien.readers.rules import (
    attach_rows,
    attach_vector,
    finite_mean,
    parts_without_absurd,
    without_absurd,
)
from mien.schema import Modality, Utterance

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.mark.parametrize(
    ("value", "label", "n_clamped"), [(3.33, 3.0, 1), (-4.0, -3.0, 1), (3.0, 3.0, 0), (-1.5, -1.5, 0)]
)
def test_sentiment_is_clamped_into_its_range_and_counted(value: float, label: float, n_clamped: int) -> None:
    notes: Counter[str] = Counter()
    assert rules.sentiment_label(value, notes) == label
    assert notes[rules.LABEL_CLAMPED] == n_clamped


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sentiment_that_is_not_finite_is_missing_not_clamped(value: float) -> None:
    notes: Counter[str] = Counter()
    assert rules.sentiment_label(value, notes) is None
    assert notes == {rules.LABEL_NOT_FINITE: 1}


def test_every_emotion_outside_its_range_counts() -> None:
    notes: Counter[str] = Counter()
    clamped = rules.emotion_labels(np.array([-0.1, 0, 1, 3.33, 3, 2]), notes)
    assert clamped is not None
    assert clamped.tolist() == [0, 0, 1, 3, 3, 2]
    assert notes == {rules.LABEL_CLAMPED: 2}


def test_six_emotions_are_missing_together() -> None:
    notes: Counter[str] = Counter()
    assert rules.emotion_labels(np.array([1, np.nan, 0, 0, 0, 0]), notes) is None
    assert rules.emotion_labels(np.full(6, np.nan), notes) is None
    assert notes == {rules.EMOTIONS_IN_PART: 1, rules.LABEL_NOT_FINITE: 1}


@pytest.mark.parametrize(
    ("start_s", "end_s", "kept"), [(1.0, 2.0, 2.0), (2.0, 2.0, None), (3.0, 2.0, None), (None, 2.0, 2.0)]
)
def test_an_end_that_does_not_follow_its_start_is_dropped(
    start_s: float | None, end_s: float, kept: float | None
) -> None:
    notes: Counter[str] = Counter()
    assert rules.usable_end(start_s, end_s, notes) == kept
    assert notes[rules.END_NOT_AFTER_START] == (kept is None)


def test_a_mean_leaves_out_what_is_not_finite_cell_by_cell() -> None:
    notes: Counter[str] = Counter()
    rows = np.array([[1.0, -np.inf], [3.0, 5.0], [np.nan, 1e300]])
    mean = finite_mean(rows, notes)
    assert mean is not None
    assert mean.tolist() == [2.0, 5.0]
    assert notes == {rules.VALUE_NOT_FINITE: 3}


def test_a_column_without_a_finite_value_makes_the_vector_missing() -> None:
    notes: Counter[str] = Counter()
    assert finite_mean(np.array([[1.0, np.nan], [2.0, np.inf]]), notes) is None
    assert finite_mean(np.zeros((0, 2)), Counter()) is None
    assert notes[rules.VECTOR_NOT_FINITE] == 1


def test_a_stored_vector_is_kept_whole_or_not_at_all() -> None:
    notes: Counter[str] = Counter()
    utterance = Utterance(0)
    attach_vector(utterance, Modality.TEXT, np.array([1.0, np.nan]), notes)
    attach_vector(utterance, Modality.VISUAL, np.array([0.0, 0.0]), notes)
    assert list(utterance.features) == [Modality.VISUAL]
    assert notes == {rules.VECTOR_NOT_FINITE: 1}


def test_a_row_that_is_not_finite_is_an_absent_word() -> None:
    notes: Counter[str] = Counter()
    utterance = Utterance(0)
    attach_rows(utterance, Modality.ACOUSTIC, np.array([[1.0, 2.0], [3.0, np.nan]]), True, notes)
    assert utterance.features[Modality.ACOUSTIC].tolist() == [2.0, 2.0]
    assert utterance.words[Modality.ACOUSTIC].tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert utterance.word_present[Modality.ACOUSTIC].tolist() == [True, False]
    assert notes == {rules.VALUE_NOT_FINITE: 1, rules.WORD_NOT_FINITE: 1}


def test_a_value_far_beyond_its_column_is_replaced_and_counted() -> None:
    notes: Counter[str] = Counter()
    values = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    values[:, 1] = 0  # a column that is mostly zero has the scale of its other values
    values[3, 1] = 2.0
    placed = values.copy()
    placed[7, 0], placed[9, 1], placed[2, 2] = -1e38, 1e10, np.inf
    usual = without_absurd(placed, notes)
    assert usual is not placed
    assert placed[7, 0] == np.float32(-1e38)
    assert [tuple(each) for each in np.argwhere(np.isnan(usual)).tolist()] == [(7, 0), (9, 1)]
    assert notes == {rules.VALUE_ABSURD: 2}


@pytest.mark.parametrize(
    "column",
    [
        [1e-9, 1.0, 1e8, np.nan],  # a wide range of values that occur
        [3e13, 1e14, 2e14, 1e13],  # large in every row
        [-1e38, -1e38, -1e38, -1e38],  # says nothing, and harms no other value
        [0.0, 0.0, 0.0, 1e38],  # no other value to compare with
        [np.inf, -np.inf, 0.0, 1.0],  # not finite: counted elsewhere
    ],
)
def test_other_columns_stay_the_same_object(column: list[float]) -> None:
    notes: Counter[str] = Counter()
    values = np.array(column)[:, None]
    assert without_absurd(values, notes) is values
    assert notes == {}


def test_a_column_may_be_mostly_placeholders() -> None:
    notes: Counter[str] = Counter()
    values = np.full((40, 1), -1e38)
    values[:5] = 1.0
    assert np.isnan(without_absurd(values, notes)).sum() == notes[rules.VALUE_ABSURD] == 35


def test_a_limit_applies_where_only_some_rows_are_known() -> None:
    notes: Counter[str] = Counter()
    assert np.isnan(without_absurd(np.full((4, 1), -1e38), notes, rules.ABSURD_ALWAYS)).all()
    assert notes == {rules.VALUE_ABSURD: 4}


def test_dialogues_are_compared_with_each_other() -> None:
    notes: Counter[str] = Counter()
    parts = [np.array([[-1e38, 1.0]]), np.ones((30, 2))]
    first, second = parts_without_absurd(parts, notes)
    assert np.isnan(first).tolist() == [[True, False]]
    np.testing.assert_array_equal(second, parts[1])
    assert notes == {rules.VALUE_ABSURD: 1}
    uneven = [np.ones((1, 2)), np.ones((1, 3))]
    assert [each is part for each, part in zip(parts_without_absurd(uneven, notes), uneven, strict=True)] == [True] * 2


def test_names_of_what_was_not_read_are_short_plain_and_few() -> None:
    assert rules.with_names("rule", ["Text", 3, "a\x1b[2J"], ["text"]) == "rule: Text (perhaps text), 3, a\\x1b[2J"
    assert rules.with_names("rule", ["x" * 500]) == f"rule: {'x' * rules.SHOWN_CHARACTERS}"
    many = rules.with_names("rule", list(range(rules.SHOWN_NAMES + 2)))
    assert many.endswith("11, and 2 more")


def test_the_largest_number_of_half_precision_is_missing_where_others_are_far_smaller() -> None:
    values = np.linspace(-5, 5, 12, dtype=np.float16).reshape(6, 2)
    values[2, 1], values[4, 1] = 65504, -65504
    notes: Counter[str] = Counter()
    usual = rules.without_absurd(values, notes)
    assert np.argwhere(np.isnan(usual)).tolist() == [[2, 1], [4, 1]]
    assert values[2, 1] == 65504
    assert notes == {rules.VALUE_ABSURD: 2}
    large = np.array([[60000], [65504], [1000]], dtype=np.float16)
    assert rules.without_absurd(large, notes) is large


def test_every_rule_is_in_the_document() -> None:
    document = FORMATS.read_text(encoding="utf-8")
    assert [rule for rule in sorted(RULES) if f"`{rule}`" not in document] == []


def test_every_reader_and_field_is_in_the_document() -> None:
    document = FORMATS.read_text(encoding="utf-8")
    for name, entry in READERS.items():
        section = re.search(rf"^### `{name}`$(.*?)(?=^##|\Z)", document, re.MULTILINE | re.DOTALL)
        assert section, name
        assert [field for field in entry.fields if f"`{field}`" not in section[1]] == [], name


def test_the_document_says_on_what_each_reader_was_tested() -> None:
    document = FORMATS.read_text(encoding="utf-8")
    table = re.search(r"^\| reader \| tested on \|\n\|---\|---\|\n((?:\|.*\n)+)", document, re.MULTILINE)
    assert table
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]
    assert {name.strip("`"): text for name, text in rows} == {name: each.tested_on for name, each in READERS.items()}
