"""Rows of PAPER_TASKS: all names in them exist, and labels become the right targets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.labelled import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY

from mien.evaluation.scores import SCORERS
from mien.models.heads import ACTIVATIONS
from mien.schema import EMOTION_OUTPUTS
from mien.tasks import PAPER_TASKS, TARGETS, targets_of
from mien.training.losses import LOSSES
from mien.training.validation import ORDERINGS

LABELS = SimpleNamespace(
    sentiment=np.array([-1.0, 0.0, np.nan, 2.5]),
    emotions=np.array([[0, 0, 0, 1 / 3, 0, 2.0], [0.0] * 6, [np.nan] * 6, [3.0] * 6]),
)


@pytest.mark.parametrize("task", PAPER_TASKS)
def test_every_name_in_a_row_is_in_its_table(task):
    row = PAPER_TASKS[task]
    assert row.labels in (SENTIMENT, EMOTION)
    assert row.target in TARGETS
    assert row.activation in ACTIVATIONS
    assert row.loss in LOSSES
    assert row.ordering in ORDERINGS
    assert row.scores in SCORERS
    assert len(row.columns) == len(row.outputs)


def test_no_two_rows_share_a_column_letters_or_an_exported_name():
    names = [name for row in PAPER_TASKS.values() for name in (*row.columns, row.letters, row.export_name)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_sentiment_is_positive_from_zero_on():
    targets, scored = targets_of(SENTIMENT, LABELS)
    assert scored.tolist() == [True, True, False, True]
    assert targets[scored].tolist() == [[False], [True], [True]]


def test_more_cuts_are_more_outputs(monkeypatch):
    monkeypatch.setitem(PAPER_TASKS, "levels", replace(PAPER_TASKS[SENTIMENT], cuts=(-0.5, 0.0, 1.0)))
    targets, scored = targets_of("levels", LABELS)
    assert targets[scored].tolist() == [[False, False, False], [True, True, False], [True, True, True]]


def test_an_emotion_is_present_in_any_degree_and_none_where_all_are_absent():
    targets, scored = targets_of(EMOTION, LABELS)
    assert scored.tolist() == [True, True, False, True]
    said = [[name for name, present in zip(EMOTION_OUTPUTS, row, strict=True) if present] for row in targets[scored]]
    assert said == [["happy", "surprise"], ["none"], list(EMOTION_OUTPUTS[:6])]


def test_degrees_are_the_labels_and_zero_where_they_are_missing():
    targets, scored = targets_of(SENTIMENT_INTENSITY, LABELS)
    assert (targets.tolist(), scored.tolist()) == ([[-1], [0], [0], [2.5]], [True, True, False, True])
    targets, scored = targets_of(EMOTION_INTENSITY, LABELS)
    np.testing.assert_array_equal(targets, np.nan_to_num(LABELS.emotions))
    assert scored.tolist() == [True, True, False, True]
