"""Intensities in a result: by hand, beside the trivial row, under every protocol, and in comparisons."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from tests.evaluation.examples import gold, predicted, rated, reordered, without_tasks
from tests.labelled import labels_of

from mien.errors import DataError
from mien.evaluation.compare import SeedRun, compare_runs, score_setting
from mien.evaluation.decisions import ChosenOn, paper_decisions
from mien.evaluation.headline import lower_is_better
from mien.evaluation.result import Bootstrap, evaluate_predictions
from mien.evaluation.suite import compare_with_reference
from mien.evaluation.summary import summarize
from mien.evaluation.trivial import TrainMajority
from mien.metrics.regression import GradeRule, grades
from mien.schema import EMOTIONS, SentimentValues
from mien.storage.predictions import Predictions
from mien.tasks import PAPER_TASKS

DECISIONS = dataclasses.replace(paper_decisions(), chosen_on=ChosenOn.VALID)
MAJORITY = TrainMajority(
    {
        "sentiment": (1.0,),
        "emotion": (0.0,) * 7,
        "sentiment_intensity": (0.5,),
        "emotion_intensity": (0.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    }
)
PATHS = {
    "sentiment_intensity.mae",
    "sentiment_intensity.pearson",
    "sentiment_intensity.accuracy7_round",
    "emotion_intensity.mae_mean6",
    "emotion_intensity.pearson_mean6",
}


def evaluated(predictions, **more):
    return evaluate_predictions(predictions, decisions=DECISIONS, bootstrap=Bootstrap(300), **more)


def test_by_hand():
    emotions = np.zeros((4, 6))
    emotions[:, 3] = [3, 0, 1, 0]
    emotions[3] = np.nan
    rows = Predictions(
        video_id=np.array(["a", "a", "b", "b"], dtype=object),
        index=np.array([0, 1, 0, 1]),
        labels=labels_of([1.0, -1 / 3, np.nan, 3.0], emotions),
        outputs={
            "sentiment_intensity": np.array([[0.6], [0.1], [2.0], [1.5]]),
            "emotion_intensity": np.column_stack([np.full((4, 3), 0.3), [2.0, 0, 0.5, 9], np.full((4, 2), 0.0)]),
        },
    )
    result = evaluated(rows, majority=MAJORITY)
    assert set(result.parts) == {"sentiment_intensity", "emotion_intensity"}
    part = result.parts["sentiment_intensity"]
    assert part["mae"] == pytest.approx((0.4 + 0.1 + 1 / 3 + 1.5) / 3)
    # every pair stands in the right order; only 0.6 falls into the rounded class of its label, as 0.1 into that of -1/3
    assert part["concordance_index"] == 1.0
    assert part["accuracy7_round"] == pytest.approx(2 / 3)
    assert part["accuracy7_sdk"] == pytest.approx(1 / 3)
    assert part["accuracy5_round"] == 1.0
    assert part["accuracy5_sdk"] == pytest.approx(2 / 3)
    assert part["n_scored"] == 3
    happy = result.parts["emotion_intensity"]["per_emotion"]["happy"]
    assert happy["mae"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert (happy["n_nonzero"], result.parts["emotion_intensity"]["n_scored"]) == (2, 3)
    assert result.parts["emotion_intensity"]["mae_mean6"] == pytest.approx((3 * 0.3 + 0.5) / 6)
    # the others have constant labels: no correlation to average
    assert result.parts["emotion_intensity"]["pearson_mean6"] == pytest.approx(happy["pearson"])
    trivial = result.trivial["sentiment_intensity"]
    assert trivial["mae"] == pytest.approx((0.5 + 5 / 6 + 2.5) / 3)
    assert np.isnan(trivial["pearson"])
    assert result.trivial["emotion_intensity"]["per_emotion"]["happy"]["mae"] == pytest.approx((2 + 1 + 0) / 3)
    assert set(result.trivial) == set(result.parts)
    facts = result.to_json()
    assert facts["sentiment"] is facts["emotion"] is facts["trivial"]["sentiment"] is None


def test_the_parts_are_the_metrics_and_the_order_of_rows_changes_nothing():
    rows = rated(gold())
    result = evaluated(rows)
    truth, said = rows.sentiment, rows.outputs["sentiment_intensity"][:, 0]
    known = ~np.isnan(truth)
    for key, expected in (
        ("mae", sk.mean_absolute_error(truth[known], said[known])),
        ("pearson", stats.pearsonr(truth[known], said[known]).statistic),
        ("accuracy5_sdk", np.mean(grades(truth[known], GradeRule.SDK, 5) == grades(said[known], GradeRule.SDK, 5))),
    ):
        assert result.parts["sentiment_intensity"][key] == pytest.approx(expected)
    for column, name in enumerate(EMOTIONS):
        row = result.parts["emotion_intensity"]["per_emotion"][name]
        assert row["mae"] == pytest.approx(
            np.nanmean(np.abs(rows.emotions[:, column] - rows.outputs["emotion_intensity"][:, column]))
        )
    order = np.random.default_rng(1).permutation(len(rows.index))
    again = evaluated(reordered(rows, order)).to_json()
    assert again["sentiment_intensity"] == pytest.approx(result.parts["sentiment_intensity"])
    for path, interval in result.intervals.items():
        assert again["intervals"][path] == pytest.approx(interval)
    assert set(again["intervals"]) == PATHS


def test_thresholds_do_not_matter_and_the_upper_bound_takes_each_best_epoch():
    tables = {epoch: rated(gold(), epoch, skill) for epoch, skill in ((1, 0.5), (2, 2.0), (3, 1.0))}
    scores = {epoch: evaluated(table).parts["sentiment_intensity"] for epoch, table in tables.items()}
    fixed = evaluate_predictions(tables[2], protocol="fixed", bootstrap=Bootstrap(0))
    assert fixed.parts["sentiment_intensity"] == pytest.approx(scores[2])
    bound = evaluate_predictions(tables, protocol="released")
    for key, best in (("mae", min), ("pearson", max), ("accuracy7_round", max)):
        assert bound.parts["sentiment_intensity"][key] == best(each[key] for each in scores.values())
    assert bound.parts["sentiment_intensity"]["chosen"]["mae"] == {"epoch": 2}
    happy = bound.parts["emotion_intensity"]["per_emotion"]["happy"]
    parts = [evaluated(table).parts["emotion_intensity"] for table in tables.values()]
    assert happy["mae"] == min(part["per_emotion"]["happy"]["mae"] for part in parts)
    assert bound.intervals == {}


def test_classes_have_no_degrees_to_score():
    rows = rated(gold())
    classes = dataclasses.replace(
        rows,
        labels=labels_of(np.where(rows.sentiment >= 0, 1.0, -1.0), 1.0 * (rows.emotions > 0)),
        sentiment_values=SentimentValues.HAS0_CLASS,
    )
    result = evaluated(classes, majority=MAJORITY)
    assert result.parts["sentiment_intensity"]["mae"] is None
    assert np.isnan(result.parts["emotion_intensity"]["mae_mean6"])
    assert result.intervals == {}
    assert sum("classes, which have no degrees" in note for note in result.notes) == 2


def test_unusable_intensities_are_refused():
    rows = rated(gold())
    rows.outputs["sentiment_intensity"][3] = np.nan
    with pytest.raises(DataError, match="Expected finite intensities in the predictions, but got 1 that are not"):
        evaluated(rows)


def test_several_runs_have_mean_and_sd_of_all_four_parts():
    some = [evaluated(rated(predicted(gold(), seed), seed), majority=MAJORITY) for seed in range(3)]
    summary = summarize(some)
    values = [result.parts["sentiment_intensity"]["mae"] for result in some]
    assert summary["mean"]["sentiment_intensity"]["mae"] == pytest.approx(np.mean(values))
    assert summary["sd"]["sentiment_intensity"]["mae"] == pytest.approx(np.std(values, ddof=1))
    assert set(PAPER_TASKS) <= set(summary["mean"]) & set(summary["mean"]["trivial"])
    assert summary["mean"]["emotion"]["weighted_accuracy_mean6"] is not None
    single = summarize([evaluated(predicted(gold()))])
    assert single["mean"]["sentiment_intensity"] is None


def runs(skill, seeds=5):
    return [SeedRun(rated(gold(), 100 * int(10 * skill) + seed, skill), DECISIONS, seed) for seed in range(seeds)]


def test_the_better_system_is_the_one_with_the_smaller_error_and_the_larger_correlation():
    comparison = compare_runs(runs(2.0), runs(0.5), name_a="sharp", name_b="blurred", bootstrap=Bootstrap(400))
    assert set(comparison.metrics) == PATHS
    for path, row in comparison.metrics.items():
        assert (row.difference < 0) == lower_is_better(path)
        if path != "sentiment_intensity.accuracy7_round":
            assert row.winner == "sharp", path
    other = compare_runs(runs(0.5), runs(2.0), name_a="blurred", name_b="sharp", bootstrap=Bootstrap(400))
    assert other.metrics["sentiment_intensity.mae"].winner == "sharp"


def test_each_task_is_compared_with_its_own_reference():
    bootstrap = Bootstrap(2000)

    def setting(name, skill, absent=()):
        kept = [SeedRun(without_tasks(run.predictions, *absent), run.decisions, run.seed) for run in runs(skill)]
        return score_setting(name, kept, bootstrap)

    both = setting("SI+EI", 2.0)
    alone = [setting("SI", 0.5, ["emotion_intensity"]), setting("EI", 2.1, ["sentiment_intensity"])]
    references = {"sentiment_intensity": "SI", "emotion_intensity": "EI"}
    tests, notes = compare_with_reference([*alone, both], "SI+EI", references)
    assert notes == []
    assert set(tests) == {"SI+EI"}
    assert set(tests["SI+EI"]) == PATHS
    for path, test in tests["SI+EI"].items():
        assert test["reference"] == references[path.split(".")[0]]
    assert tests["SI+EI"]["sentiment_intensity.mae"]["winner"] == "SI+EI"
    assert tests["SI+EI"]["sentiment_intensity.mae"]["difference"] < 0
    # the family holds all five tests, over both references
    ordered = sorted(test["p_bootstrap"] for test in tests["SI+EI"].values())
    smallest = min(test["p_bootstrap_holm"] for test in tests["SI+EI"].values())
    assert smallest == pytest.approx(min(1.0, 5 * ordered[0]))
    lacking, notes = compare_with_reference([alone[0], both], "SI+EI", references)
    assert set(lacking["SI+EI"]) == {path for path in PATHS if path.startswith("sentiment")}
    assert notes == ["nothing is compared with EI, which has no finished run"]
