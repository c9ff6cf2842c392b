"""Scores of classes, levels, several labels and degrees of a user's own equal those of scikit-learn on random data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.labelled import ACTS, AROUSAL, EFFORT, HURT, TOPIC, random_labels

from mien.evaluation.counts import decided_class, decided_positive
from mien.evaluation.decisions import Decisions, fit_decisions
from mien.evaluation.protocols import released
from mien.evaluation.result import evaluate_predictions
from mien.evaluation.scores import score_at
from mien.evaluation.trivial import TrainMajority
from mien.labels import SENTIMENT_SPACE
from mien.schema import SentimentRule
from mien.storage.predictions import Predictions, read_predictions, write_predictions
from mien.tasks import class_probabilities, tasks_of

N = 403
TABLE = tasks_of([SENTIMENT_SPACE, AROUSAL, TOPIC, ACTS, HURT, EFFORT], {"sentiment": "ordinal"})


def random_values(task, rng):
    shape = (N, len(task.outputs))
    if task.predicts_degrees:
        return rng.uniform(*task.range, shape)
    if task.cuts:
        return -np.sort(-rng.random(shape), axis=1)
    return rng.dirichlet(np.ones(shape[1]), N) if task.classes else rng.random(shape)


@pytest.fixture(scope="module", params=range(3))
def rows(request):
    rng = np.random.default_rng(request.param)
    labels = {task.space.name: random_labels(task.space, N, request.param) for task in TABLE.values()}
    for number, values in enumerate(labels.values()):
        values[rng.choice(N, 5 + number, replace=False)] = np.nan
    return Predictions(
        video_id=np.array([f"v{row // 7}" for row in range(N)], dtype=object),
        index=np.arange(N) % 7,
        labels=labels,
        outputs={name: random_values(task, rng) for name, task in TABLE.items()},
        tasks=TABLE,
    )


@pytest.fixture(scope="module")
def scored(rows):
    decisions = fit_decisions(rows)
    return decisions, score_at(rows, decisions).parts


def require_equal(part, gold, decided, probabilities, names):
    near = {"abs": 1e-12}
    assert part["accuracy"] == pytest.approx(sk.accuracy_score(gold, decided), **near)
    assert part["weighted_f1"] == pytest.approx(sk.f1_score(gold, decided, average="weighted"), **near)
    assert part["macro_f1"] == pytest.approx(sk.f1_score(gold, decided, average="macro"), **near)
    assert part["log_loss"] == pytest.approx(sk.log_loss(gold, probabilities, labels=range(len(names))), **near)
    expected = sk.roc_auc_score(gold, probabilities, multi_class="ovr", average="macro")
    assert part["roc_auc_of_classes"] == pytest.approx(expected, **near)
    counts = sk.confusion_matrix(gold, decided, labels=range(len(names)))
    assert {name: list(row.values()) for name, row in part["confusion"].items()} == dict(
        zip(names, counts.tolist(), strict=True)
    )
    precision, recall, f1, support = sk.precision_recall_fscore_support(gold, decided, labels=range(len(names)))
    for number, name in enumerate(names):
        row = part["per_class"][name]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(
            [precision[number], recall[number], f1[number]], **near
        )
        assert row["n_positive"] == support[number]


def test_classes(rows, scored):
    known = ~np.isnan(rows.labels["topic"][:, 0])
    gold, said = rows.labels["topic"][known, 0].astype(int), rows.outputs["topic"][known]
    require_equal(scored[1]["topic"], gold, said.argmax(axis=1), said, TOPIC.names)


def test_levels_of_an_ordinal(rows, scored):
    known = ~np.isnan(rows.labels["effort"][:, 0])
    gold, (first, second) = rows.labels["effort"][known, 0].astype(int), rows.outputs["effort"][known].T
    levels = np.stack([1 - first, first - second, second], axis=1)
    require_equal(scored[1]["effort"], gold, levels.argmax(axis=1), levels, EFFORT.names)
    assert "accuracy_has0" not in scored[1]["effort"]


def test_levels_of_sentiment_and_the_two_classes_that_follow_from_them(rows, scored):
    part = scored[1]["sentiment"]
    known = ~np.isnan(rows.labels["sentiment"][:, 0])
    score, (first, second) = rows.labels["sentiment"][known, 0], rows.outputs["sentiment"][known].T
    levels = np.stack([1 - first, first - second, second], axis=1)
    require_equal(
        part, (np.sign(score) + 1).astype(int), levels.argmax(axis=1), levels, ("negative", "neutral", "positive")
    )
    assert part["accuracy_has0"] == pytest.approx(sk.accuracy_score(score >= 0, first >= 0.5), abs=1e-12)
    assert part["roc_auc"] == pytest.approx(sk.roc_auc_score(score >= 0, first), abs=1e-12)
    away = score != 0
    ratio = second[away] / (second[away] + 1 - first[away])
    assert part["accuracy_non0"] == pytest.approx(sk.accuracy_score(score[away] > 0, ratio >= 0.5), abs=1e-12)
    expected = sk.f1_score(score[away] > 0, ratio >= 0.5, average="weighted")
    assert part["weighted_f1_non0"] == pytest.approx(expected, abs=1e-12)
    assert part["n_scored_non0"] == away.sum()


def test_several_labels_and_degrees(rows, scored):
    decisions, parts = scored
    known = ~np.isnan(rows.labels["acts"]).any(axis=1)
    gold, said = rows.labels["acts"][known] > 0, rows.outputs["acts"][known]
    decided = said >= decisions.at(TABLE["acts"])
    for number, name in enumerate(ACTS.names):
        row = parts["acts"]["per_output"][name]
        expected = sk.balanced_accuracy_score(gold[:, number], decided[:, number])
        assert row["weighted_accuracy"] == pytest.approx(expected, abs=1e-12)
        assert row["roc_auc"] == pytest.approx(sk.roc_auc_score(gold[:, number], said[:, number]), abs=1e-12)
    known = ~np.isnan(rows.labels["arousal"][:, 0])
    gold, said = rows.labels["arousal"][known, 0], rows.outputs["arousal"][known, 0]
    assert parts["arousal"]["mae"] == pytest.approx(sk.mean_absolute_error(gold, said), abs=1e-12)
    assert parts["arousal"]["pearson"] == pytest.approx(np.corrcoef(gold, said)[0, 1], abs=1e-12)
    ccc = 2 * np.cov(gold, said, bias=True)[0, 1] / (gold.var() + said.var() + (gold.mean() - said.mean()) ** 2)
    assert parts["arousal"]["ccc"] == pytest.approx(ccc, abs=1e-12)
    assert "accuracy7_round" not in parts["arousal"]
    assert set(parts["hurt_intensity"]["per_output"]) == {"body", "mind"}


def test_stored_predictions_read_back_equal_with_their_label_spaces(rows, tmp_path):
    write_predictions(tmp_path / "p.parquet", rows)
    again = read_predictions(tmp_path / "p.parquet")
    assert again.tasks == dict(TABLE)
    for name, values in rows.labels.items():
        np.testing.assert_array_equal(again.labels[name], values)
    for name, values in rows.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], values)
    table = rows.to_pandas()
    assert set(table["topic"].dropna()) == set(TOPIC.names)
    assert "probability_at_least_neutral" in table.columns


def test_decisions_survive_json_and_the_result_has_intervals_and_a_trivial_row(rows):
    decisions = fit_decisions(rows)
    assert Decisions.from_json(decisions.to_json(TABLE), TABLE) == decisions
    assert "topic" not in decisions.to_json(TABLE)
    majority = TrainMajority.from_labels(rows, TABLE)
    assert TrainMajority.from_json(majority.to_json(), TABLE) == majority
    assert sum(majority.constants["topic"]) == 1
    result = evaluate_predictions(rows, decisions=decisions, majority=majority)
    low, high = result.intervals["topic.weighted_f1"]
    assert low < result.parts["topic"]["weighted_f1"] < high
    assert result.trivial["topic"]["macro_f1"] < 0.2
    assert {"label_spaces", "task_kinds"} <= set(result.to_json())
    assert "confusion" not in released({1: rows, 2: rows}).parts["topic"]


def test_decided_classes_are_the_most_probable_ones_and_two_classes_follow_the_threshold(rows):
    decisions = fit_decisions(rows)
    for name in ("topic", "sentiment", "effort"):
        values = rows.outputs[name]
        expected = class_probabilities(TABLE[name], values).argmax(axis=1)
        np.testing.assert_array_equal(decided_class(TABLE[name], values, decisions), expected)
    two = tasks_of([SENTIMENT_SPACE])
    said = dataclasses.replace(rows, outputs={"sentiment": np.array([[0.29], [0.3]])}, tasks=two)
    strict = Decisions({"sentiment": {point: {"positive": 0.3} for point in ("weighted_accuracy", "weighted_f1")}})
    assert decided_class(two["sentiment"], said.outputs["sentiment"], strict).tolist() == [0, 1]
    assert decided_positive(said, two["sentiment"], strict, SentimentRule.NON0).tolist() == [False, True]
