"""Kinds of tasks: all names in them exist, and labels of every kind become the right targets."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from tests.labelled import (
    EFFORT,
    EMOTION,
    EMOTION_INTENSITY,
    OF_EVERY_KIND,
    OWN_SPACES,
    SENTIMENT,
    SENTIMENT_INTENSITY,
    TOPIC,
    labels_of,
    random_labels,
)

from mien.errors import UnknownNameError
from mien.evaluation.counts import COUNTERS
from mien.evaluation.decisions import RULES
from mien.evaluation.scores import SCORERS
from mien.labels import PAPER_SPACES, SENTIMENT_SPACE, LabelKind, LabelSpace
from mien.models.heads import ACTIVATIONS
from mien.schema import EMOTION_OUTPUTS
from mien.task_kinds import TASK_KINDS
from mien.tasks import (
    PAPER_TASKS,
    TARGETS,
    class_probabilities,
    kinds_of,
    spaces_of,
    targets_of,
    tasks_from_json,
    tasks_of,
    tasks_to_json,
)
from mien.training.losses import LOSSES
from mien.training.validation import ORDERINGS

LABELS = SimpleNamespace(
    labels=labels_of(
        [-1.0, 0.0, np.nan, 2.5], np.array([[0, 0, 0, 1 / 3, 0, 2.0], [0.0] * 6, [np.nan] * 6, [3.0] * 6])
    ),
    index=np.arange(4),
)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_name_in_a_row_is_in_its_table(kind):
    row = TASK_KINDS[kind]
    assert row.target in TARGETS
    assert row.activation in ACTIVATIONS
    assert row.loss in LOSSES
    assert row.ordering in ORDERINGS
    assert row.scores in SCORERS
    assert row.scores in COUNTERS
    assert row.decision in RULES


def test_the_paper_s_four_tasks_keep_their_names_columns_and_letters():
    assert list(PAPER_TASKS) == ["sentiment", "emotion", "sentiment_intensity", "emotion_intensity"]
    assert [task.letters for task in PAPER_TASKS.values()] == ["S", "E", "SI", "EI"]
    assert SENTIMENT.columns == ("probability_positive",)
    assert EMOTION.columns == tuple(f"probability_{name}" for name in EMOTION_OUTPUTS)
    assert SENTIMENT_INTENSITY.columns == ("intensity_sentiment",)
    assert EMOTION_INTENSITY.columns[0] == "intensity_anger"
    names = [task.export_name for task in PAPER_TASKS.values()]
    assert names == ["sentiment_probability", "emotion_probabilities", "sentiment_intensity", "emotion_intensities"]
    assert [task.on_request for task in PAPER_TASKS.values()] == [False, False, True, True]
    assert (EMOTION.means, EMOTION_INTENSITY.means) == ({"mean6": 6, "mean7": 7}, {"mean6": 6})
    assert [task.n_logits for task in PAPER_TASKS.values()] == [2, 7, 1, 6]


def test_tasks_of_a_user_s_own_labels():
    tasks = tasks_of((*PAPER_SPACES, *OWN_SPACES))
    assert list(tasks) == [
        *("sentiment", "emotion", "arousal", "topic", "acts", "hurt", "effort"),
        *("sentiment_intensity", "emotion_intensity", "hurt_intensity"),
    ]
    assert tasks["arousal"].range == (-1, 1)
    assert tasks["topic"].outputs == ("art", "sport", "war", "weather")
    assert tasks["acts"].outputs == ("ask", "tell", "joke")
    assert tasks["effort"].outputs == ("at_least_middle", "at_least_high")
    assert tasks["hurt_intensity"].columns == ("intensity_hurt_body", "intensity_hurt_mind")
    names = [name for task in tasks.values() for name in (*task.columns, task.letters, task.export_name)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_a_kind_that_does_not_suit_or_is_unknown_is_refused_by_name():
    with pytest.raises(UnknownNameError, match="the kind of the task topic to be one of classes, but got 'score'"):
        tasks_of([TOPIC], {"topic": "score"})
    with pytest.raises(UnknownNameError, match="Expected task to be one of topic, but got 'topics'"):
        tasks_of([TOPIC], {"topics": "classes"})
    no_neutral = LabelSpace("valence", LabelKind.SCORE, low=0.0, high=1.0)
    with pytest.raises(UnknownNameError, match="one of score, but got 'ordinal'"):
        tasks_of([no_neutral], {"valence": "ordinal"})


def test_tasks_survive_json_and_pickle():
    tasks = tasks_of((*PAPER_SPACES, *OWN_SPACES), {"sentiment": "ordinal"})
    facts = tasks_to_json(tasks)
    assert facts["task_kinds"] == {"sentiment": "ordinal"}
    assert tasks_from_json(facts) == tasks == pickle.loads(pickle.dumps(tasks))
    assert tasks_from_json({}) == dict(PAPER_TASKS)
    assert (spaces_of(PAPER_TASKS), kinds_of(PAPER_TASKS)) == (PAPER_SPACES, {})


def test_sentiment_is_positive_from_zero_on():
    targets, scored = targets_of(SENTIMENT, LABELS)
    assert scored.tolist() == [True, True, False, True]
    assert targets[scored].tolist() == [[False], [True], [True]]


def test_sentiment_in_three_levels_tells_at_least_neutral_from_above():
    task = tasks_of([SENTIMENT_SPACE], {"sentiment": "ordinal"})["sentiment"]
    assert task.classes == ("negative", "neutral", "positive")
    targets, scored = targets_of(task, LABELS)
    assert targets[scored].tolist() == [[False, False], [True, False], [True, True]]


def test_an_ordinal_reaches_the_cuts_that_are_not_above_it():
    task = tasks_of([EFFORT])["effort"]
    rows = SimpleNamespace(labels={"effort": np.array([[0.0], [1.0], [2.0], [np.nan]])}, index=np.arange(4))
    targets, scored = targets_of(task, rows)
    assert targets[scored].tolist() == [[False, False], [True, False], [True, True]]
    assert scored.tolist() == [True, True, True, False]


def test_an_emotion_is_present_in_any_degree_and_none_where_all_are_absent():
    targets, scored = targets_of(EMOTION, LABELS)
    assert scored.tolist() == [True, True, False, True]
    said = [[name for name, present in zip(EMOTION_OUTPUTS, row, strict=True) if present] for row in targets[scored]]
    assert said == [["happy", "surprise"], ["none"], list(EMOTION_OUTPUTS[:6])]
    assert not targets[2].any()


def test_degrees_are_the_labels_and_zero_where_they_are_missing():
    targets, scored = targets_of(SENTIMENT_INTENSITY, LABELS)
    assert (targets.tolist(), scored.tolist()) == ([[-1], [0], [0], [2.5]], [True, True, False, True])
    targets, scored = targets_of(EMOTION_INTENSITY, LABELS)
    np.testing.assert_array_equal(targets, np.nan_to_num(LABELS.labels["emotion"]))
    assert scored.tolist() == [True, True, False, True]


def test_a_data_set_without_a_label_space_has_no_labels_of_its_tasks():
    targets, scored = targets_of(tasks_of([TOPIC])["topic"], LABELS)
    assert targets.shape == (4, 4)
    assert not scored.any()


@pytest.mark.parametrize("task", [each for each in OF_EVERY_KIND if each.classes], ids=lambda task: task.name)
def test_targets_as_predictions_give_their_class_probability_one(task):
    labels = random_labels(task.space, 300)
    targets, _ = targets_of(task, SimpleNamespace(labels={task.space.name: labels}, index=np.arange(300)))
    probabilities = class_probabilities(task, targets.astype(float))
    assert set(probabilities.sum(axis=1)) == {1.0}
    assert (probabilities.max(axis=1) == 1).all()
    chosen = probabilities.argmax(axis=1)
    values = np.sign(labels[:, 0]) + 1 if task.space.kind is LabelKind.SCORE else labels[:, 0]
    np.testing.assert_array_equal(chosen, values)
    assert set(chosen) == set(range(len(task.classes)))


def test_positions_follow_the_order_of_the_tasks():
    tasks = tasks_of((*PAPER_SPACES, *OWN_SPACES))
    assert all(a.position < b.position for a, b in itertools.pairwise(tasks.values()))
