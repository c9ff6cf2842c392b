"""Folds are scored as one run, each at its own thresholds: against one run, and against decisions made by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from tests.labelled import TOPIC, labels_of

from mien.errors import DataError, UsageError
from mien.evaluation.decisions import ChosenOn, OperatingPoint, constant_decisions
from mien.evaluation.folds import FoldRun, evaluate_folds, join_folds
from mien.evaluation.result import Bootstrap, evaluate_predictions
from mien.evaluation.trivial import TrainMajority
from mien.schema import EMOTION, EMOTION_OUTPUTS, EMOTIONS, SENTIMENT
from mien.storage.files import to_json_text
from mien.storage.predictions import Predictions
from mien.tasks import PAPER_TASKS, tasks_of

N = 60
SAME = constant_decisions(0.3, 0.6, chosen_on=ChosenOn.VALID)
THRESHOLDS = (0.2, 0.5, 0.7)
MAJORITY = TrainMajority({SENTIMENT: (1.0,), EMOTION: (0.0,) * 7, "sentiment_intensity": (0.0,)})
FEW = Bootstrap(20)


def predictions_of(prefix: str, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    return Predictions(
        video_id=np.array([f"{prefix}{i // 5}" for i in range(N)], dtype=object),
        index=np.arange(N) % 5,
        labels=labels_of(rng.choice([-1.0, 0.0, 2.0, np.nan], size=N), rng.choice([0.0, 1.0], size=(N, 6))),
        outputs={SENTIMENT: rng.random((N, 1)), EMOTION: rng.random((N, 7))},
    )


# the ids of the videos of two folds alternate when they are sorted
PARTS = [predictions_of("b", 0), predictions_of("a", 1), predictions_of("B", 2)]


def folds_at(thresholds) -> list[FoldRun]:
    decisions = [constant_decisions(each, 0.9, chosen_on=ChosenOn.VALID) for each in thresholds]
    return [FoldRun(part, each, MAJORITY) for part, each in zip(PARTS, decisions, strict=True)]


def all_rows(field: str) -> np.ndarray:
    return np.concatenate([getattr(part, field) for part in PARTS])


def one_table() -> Predictions:
    outputs = {task: np.concatenate([part.outputs[task] for part in PARTS]) for task in (SENTIMENT, EMOTION)}
    labels = labels_of(all_rows("sentiment"), all_rows("emotions"))
    return Predictions(all_rows("video_id"), all_rows("index"), labels, outputs)


def test_folds_with_equal_thresholds_are_scored_as_one_run():
    folds = [FoldRun(part, SAME, MAJORITY) for part in PARTS]
    joined = evaluate_folds(folds, bootstrap=FEW)
    alone = evaluate_predictions(one_table(), decisions=SAME, majority=MAJORITY, bootstrap=FEW)
    assert (joined.n_videos, joined.n_utterances) == (36, 3 * N)
    assert joined.notes[0].startswith("3 folds: each utterance is scored once")
    facts, expected = joined.to_json(), alone.to_json()
    for key in set(expected) - {"notes"}:
        assert to_json_text(facts[key]) == to_json_text(expected[key]), key


def test_every_fold_is_decided_at_its_own_threshold():
    result = evaluate_folds(folds_at(THRESHOLDS), bootstrap=FEW)
    for column, name in enumerate(EMOTIONS):
        gold = np.concatenate([part.emotions[:, column] > 0 for part in PARTS])
        decided = np.concatenate(
            [part.outputs[EMOTION][:, column] >= each for part, each in zip(PARTS, THRESHOLDS, strict=True)]
        )
        row = result.parts[EMOTION]["per_emotion"][name]
        assert row["weighted_accuracy"] == pytest.approx(balanced_accuracy_score(gold, decided), abs=1e-12)
        assert row["weighted_f1"] == pytest.approx(f1_score(gold, decided, average="weighted"), abs=1e-12)
        assert row["n_predicted_positive"] == decided.sum()
        assert row["threshold"] == pytest.approx(np.mean(THRESHOLDS))
    points = result.operating_points
    assert points["weighted_accuracy"]["thresholds"] == {key: list(THRESHOLDS) for key in EMOTION_OUTPUTS}
    assert points["weighted_f1"]["thresholds"] == dict.fromkeys(EMOTION_OUTPUTS, 0.9)
    low, high = result.intervals["emotion.weighted_accuracy_mean6"]
    assert low <= result.parts[EMOTION]["weighted_accuracy_mean6"] <= high
    to_json_text(result.to_json())


def test_the_trivial_row_is_the_majority_of_each_folds_own_train_split():
    other = dataclasses.replace(MAJORITY, constants={**MAJORITY.constants, SENTIMENT: (0.0,)})
    folds = [FoldRun(part, SAME, each) for part, each in zip(PARTS, (MAJORITY, other, MAJORITY), strict=True)]
    gold = all_rows("sentiment")
    said = np.repeat([1, 0, 1], N)[~np.isnan(gold)]
    trivial = evaluate_folds(folds, bootstrap=FEW).trivial[SENTIMENT]
    assert trivial["accuracy_has0"] == pytest.approx(((gold[~np.isnan(gold)] >= 0) == said).mean())


def test_the_thresholds_follow_the_rows_of_the_joined_predictions():
    joined = join_folds(folds_at(THRESHOLDS))
    expected = [THRESHOLDS["baB".index(video[0])] for video in joined.predictions.video_id]
    assert joined.decisions.at(PAPER_TASKS[EMOTION])[:, 3].tolist() == expected
    assert joined.decisions.at(PAPER_TASKS[SENTIMENT]).tolist() == [0.5]
    assert joined.decisions.at(PAPER_TASKS[EMOTION], OperatingPoint.WEIGHTED_F1).tolist() == [0.9] * 7


def test_folds_of_labels_of_a_users_own_are_joined():
    tasks = tasks_of([TOPIC])
    majority = TrainMajority({"topic": (0.0, 1.0, 0.0, 0.0)}, tasks)
    folds, gold, decided = [], [], []
    for number, part in enumerate(PARTS):
        rng = np.random.default_rng(number)
        labels, probabilities = rng.integers(0, 4, (N, 1)).astype(float), rng.dirichlet(np.ones(4), N)
        own = Predictions(part.video_id, part.index, {"topic": labels}, {"topic": probabilities}, tasks=tasks)
        folds.append(FoldRun(own, SAME, majority))
        gold.append(labels[:, 0])
        decided.append(probabilities.argmax(axis=1))
    result = evaluate_folds(folds, bootstrap=FEW)
    expected = f1_score(np.concatenate(gold), np.concatenate(decided), average="weighted")
    assert result.parts["topic"]["weighted_f1"] == pytest.approx(expected, abs=1e-12)
    assert result.trivial["topic"]["accuracy"] == pytest.approx((np.concatenate(gold) == 1).mean())
    with pytest.raises(DataError, match="other labels"):
        evaluate_folds(
            [folds[0], FoldRun(dataclasses.replace(folds[1].predictions, tasks=PAPER_TASKS), SAME, MAJORITY)]
        )


def test_what_cannot_be_one_run_is_refused():
    with pytest.raises(UsageError, match="Expected at least one fold"):
        evaluate_folds([])
    with pytest.raises(DataError, match="Expected every utterance once"):
        evaluate_folds([folds_at(THRESHOLDS)[0]] * 2)
    shifted = dataclasses.replace(PARTS[0], index=PARTS[0].index + 100)
    with pytest.raises(DataError, match="Expected every video in one fold, but got b0 in two"):
        evaluate_folds([folds_at(THRESHOLDS)[0], FoldRun(shifted, SAME, MAJORITY)])
    less = dataclasses.replace(PARTS[1], outputs={SENTIMENT: PARTS[1].outputs[SENTIMENT]})
    with pytest.raises(DataError, match="Expected predictions of sentiment, emotion in every fold, but got sentiment"):
        evaluate_folds([folds_at(THRESHOLDS)[0], FoldRun(less, SAME, MAJORITY)])
    unfit = dataclasses.replace(SAME, chosen_on=ChosenOn.NOTHING)
    with pytest.raises(UsageError, match="chosen on valid under the protocol clean, but got .* nothing"):
        evaluate_folds([FoldRun(PARTS[0], SAME, MAJORITY), FoldRun(PARTS[1], unfit, MAJORITY)])
