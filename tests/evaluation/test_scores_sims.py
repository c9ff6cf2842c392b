"""Scores of CH-SIMS: the classes of MMSA's published evaluation, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.labelled import AROUSAL

from mien.benchmark.tables import is_plain, shown_columns
from mien.evaluation.decisions import ChosenOn, constant_decisions
from mien.evaluation.result import Bootstrap, evaluate_predictions
from mien.metrics.regression import interval_classes
from mien.readers.mmsa import SIMS_SPACE
from mien.storage.predictions import Predictions
from mien.tasks import tasks_of

TASKS = tasks_of([SIMS_SPACE])
N = 400
KEYS = {"accuracy2_sims", "accuracy3_sims", "accuracy5_sims", "weighted_f1_sims"}


def predictions_of(tasks=TASKS, name="sentiment", task="sentiment_intensity"):
    rng = np.random.default_rng(3)
    gold = rng.choice(np.arange(-5, 6) / 5, (N, 1)).astype(np.float32).astype(float)
    gold[rng.random(N) < 0.1] = np.nan
    said = np.clip(np.nan_to_num(gold) + rng.normal(0, 0.4, (N, 1)), -1, 1)
    video = np.array([f"v{i // 8}" for i in range(N)], dtype=object)
    return Predictions(video, np.arange(N) % 8, {name: gold}, {task: said}, tasks=tasks)


def scored(predictions):
    decisions = constant_decisions(0.5, 0.5, predictions.tasks, chosen_on=ChosenOn.VALID)
    return evaluate_predictions(predictions, decisions=decisions, bootstrap=Bootstrap(30))


def test_a_bound_belongs_to_the_lower_class():
    scores = np.array([-1, -0.7, -0.69, -0.1, -0.09, 0, 0.1, 0.11, 0.7, 0.71, 1])
    assert interval_classes(scores, (-0.7, -0.1, 0.1, 0.7)).tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    assert interval_classes(scores, (-0.1, 0.1)).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    stored = np.array([0.1, 0.7, -0.1, -0.7], dtype=np.float32).astype(np.float64)
    assert interval_classes(stored, (-0.7, -0.1, 0.1, 0.7)).tolist() == [2, 3, 1, 0]


def test_scores_are_those_of_scikit_learn():
    predictions = predictions_of()
    gold, said = (each[:, 0] for each in (predictions.labels["sentiment"], predictions.outputs["sentiment_intensity"]))
    known = ~np.isnan(gold)
    gold, said = gold[known], said[known]
    part = scored(predictions).parts["sentiment_intensity"]
    cuts = {"accuracy2_sims": [0], "accuracy3_sims": [-0.1, 0.1], "accuracy5_sims": [-0.7, -0.1, 0.1, 0.7]}
    for key, bounds in cuts.items():
        classes = [np.sum([values > bound for bound in bounds], axis=0) for values in (gold, said)]
        assert part[key] == pytest.approx(sk.accuracy_score(*classes), abs=1e-12), key
    expected = sk.f1_score(gold > 0, said > 0, average="weighted")
    assert part["weighted_f1_sims"] == pytest.approx(expected, abs=1e-12)
    assert part["mae"] == pytest.approx(sk.mean_absolute_error(gold, said), abs=1e-12)
    assert part["pearson"] == pytest.approx(np.corrcoef(gold, said)[0, 1], abs=1e-12)
    assert not any("accuracy7" in key for key in part)


def test_they_are_headline_scores_with_intervals_and_columns():
    result = scored(predictions_of())
    paths = {f"sentiment_intensity.{key}" for key in KEYS | {"mae", "pearson"}}
    assert set(result.intervals) == paths
    columns = shown_columns([result.to_json()])
    assert columns == {
        "MAE": "sentiment_intensity.mae",
        "r": "sentiment_intensity.pearson",
        "acc2": "sentiment_intensity.accuracy2_sims",
        "F1 (acc2)": "sentiment_intensity.weighted_f1_sims",
        "acc3": "sentiment_intensity.accuracy3_sims",
        "acc5": "sentiment_intensity.accuracy5_sims",
    }
    assert [name for name, path in columns.items() if is_plain(path)] == ["MAE", "r"]


def test_a_score_without_a_neutral_value_has_no_such_classes():
    predictions = predictions_of(tasks_of([AROUSAL]), "arousal", "arousal")
    assert not KEYS & set(scored(predictions).parts["arousal"])
