import dataclasses
import json

import numpy as np
import pytest
from tests.evaluation.examples import gold, predicted, reordered, without_tasks
from tests.labelled import relabelled

from mien.errors import DataError
from mien.evaluation.decisions import (
    N_VOTES,
    ChosenOn,
    Decisions,
    OperatingPoint,
    candidate_thresholds,
    constant_decisions,
    fit_decisions,
    paper_decisions,
    voted_thresholds,
)
from mien.metrics.confusion import count_decisions, weighted_accuracy, weighted_f1
from mien.metrics.significance import video_weights
from mien.schema import EMOTION_OUTPUTS, emotion_multihot7
from mien.tasks import PAPER_TASKS


def brute_force(target, probability, score):
    """Best score and all distinct thresholds, by deciding anew for every candidate."""
    values = sorted(set(probability.tolist()))
    cuts = [(a + b) / 2 for a, b in zip([0.0, *values], [*values, 1.0], strict=True)]
    if values[-1] == 1:
        cuts = cuts[:-1]
    scores = [float(score(count_decisions(target, probability >= cut))) for cut in cuts]
    best = [cut for cut, value in zip(cuts, scores, strict=True) if value >= max(scores) - 1e-12]
    return max(scores), best


def best_threshold(target, probability, score):
    """A vote of one: every video drawn once."""
    return voted_thresholds(target, probability, np.ones((1, len(target))), {"": score})[""]


@pytest.mark.parametrize("score", [weighted_accuracy, weighted_f1])
@pytest.mark.parametrize("digits", [2, 15])
@pytest.mark.parametrize("seed", range(6))
def test_threshold_equals_brute_force(score, digits, seed):
    rng = np.random.default_rng(seed)
    target = rng.random(97) < 0.2
    target[:2] = [True, False]
    probability = np.clip(0.3 * target + 0.8 * rng.random(97) ** 2, 0, 1).round(digits)
    highest, cuts = brute_force(target, probability, score)
    threshold = best_threshold(target, probability, score)
    assert score(count_decisions(target, probability >= threshold)) == pytest.approx(highest, abs=1e-12)
    assert threshold == cuts[len(cuts) // 2]


def test_every_cut_counts_what_its_threshold_decides():
    rng = np.random.default_rng(1)
    target, probability = rng.random(53) < 0.4, rng.random(53).round(1)
    thresholds, confusion = candidate_thresholds(target, probability)
    assert (np.diff(thresholds) > 0).all()
    for number, threshold in enumerate(thresholds):
        np.testing.assert_array_equal(confusion.take(number), count_decisions(target, probability >= threshold))


def test_neighbouring_floats_are_still_told_apart():
    lower = 0.5
    upper = np.nextafter(lower, 1)
    thresholds, _ = candidate_thresholds(np.array([False, True]), np.array([lower, upper]))
    assert lower < thresholds[1] <= upper
    highest = best_threshold(np.array([False, True]), np.array([lower, upper]), weighted_accuracy)
    assert highest == thresholds[1]


def test_the_middle_of_a_flat_top():
    target = np.array([False, True, False, True])
    probability = np.array([0.2, 0.4, 0.6, 0.8])
    # cuts: .1 (1/2), .3 (3/4), .5 (1/2), .7 (3/4), .9 (1/2): two maxima, the upper middle
    assert best_threshold(target, probability, weighted_accuracy) == pytest.approx(0.7)
    # all probabilities equal: everything present and everything absent tie, and absent is chosen
    assert best_threshold(target, np.full(4, 0.4), weighted_accuracy) == pytest.approx(0.7)
    # maxima at .15, .35 and .55: the middle one
    target = np.array([False, True, False, True, False, True])
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert best_threshold(target, probability, weighted_accuracy) == pytest.approx(0.35)


def test_a_probability_of_one_cannot_be_called_absent():
    target = np.array([True, False, True])
    thresholds, confusion = candidate_thresholds(target, np.array([1.0, 0.5, 0.2]))
    assert thresholds.tolist() == [0.1, 0.35, 0.75]
    assert confusion.predicted_positives.tolist() == [3, 2, 1]


def test_fit_is_the_median_of_the_best_cuts_of_resampled_videos():
    valid = predicted(gold(3), 3)
    decisions = fit_decisions(valid)
    labels, scored = emotion_multihot7(valid.emotions)
    videos = np.unique(valid.video_id[scored].astype(str))
    assert decisions.chosen_on is ChosenOn.VALID
    assert decisions.at(PAPER_TASKS["sentiment"]) == [0.5]
    assert decisions.f1_columns_at is OperatingPoint.WEIGHTED_ACCURACY
    assert (
        list(decisions.thresholds["emotion"]["weighted_accuracy"])
        == list(decisions.thresholds["emotion"]["weighted_f1"])
        == list(EMOTION_OUTPUTS)
    )
    column = EMOTION_OUTPUTS.index("sad")
    for point, score in (
        (OperatingPoint.WEIGHTED_ACCURACY, weighted_accuracy),
        (OperatingPoint.WEIGHTED_F1, weighted_f1),
    ):
        votes = []
        for draw in video_weights(len(videos), N_VOTES):
            # the rows of every drawn video, written out as often as it was drawn
            rows = [
                row
                for video, times in zip(videos, draw, strict=True)
                for row in np.flatnonzero(scored & (valid.video_id == video)).tolist() * times
            ]
            target, probability = labels[rows, column], valid.outputs["emotion"][rows, column]
            if 0 < target.sum() < len(target):
                cuts = brute_force(target, probability, score)[1]
                votes.append(cuts[len(cuts) // 2])
        assert decisions.at(PAPER_TASKS["emotion"], point)[column] == pytest.approx(np.median(votes), abs=1e-12)


def test_where_every_resample_agrees_the_vote_is_the_best_cut():
    target = np.array([False, True, False, True])
    probability = np.array([0.1, 0.7, 0.2, 0.9])
    draws = np.array([[1, 1, 1, 1], [2, 1, 2, 1], [0, 0, 0, 4]])
    # the third drew only one class and has no vote; the others cut between 0.2 and 0.7
    scores = {"accuracy": weighted_accuracy}
    assert voted_thresholds(target, probability, draws, scores) == pytest.approx({"accuracy": 0.45})
    only = np.array([[0, 0, 0, 4]])
    assert voted_thresholds(target, probability, only, scores) == pytest.approx({"accuracy": 0.45})


def test_fit_ignores_the_order_of_rows_and_unlabelled_rows():
    valid = predicted(gold(3), 3)
    expected = fit_decisions(valid)
    assert fit_decisions(reordered(valid, np.random.default_rng(0).permutation(len(valid.index)))) == expected
    labelled = np.flatnonzero(~np.isnan(valid.emotions).any(axis=1))
    assert len(labelled) < len(valid.index)
    assert fit_decisions(reordered(valid, labelled)) == expected


def test_an_emotion_without_a_case_falls_back_and_says_so():
    valid = predicted(gold(3), 3)
    emotions = valid.emotions.copy()
    emotions[:, 2] = np.where(np.isnan(emotions[:, 2]), np.nan, 0)
    decisions = fit_decisions(relabelled(valid, emotions=emotions))
    assert (
        decisions.thresholds["emotion"]["weighted_accuracy"]["fear"]
        == decisions.thresholds["emotion"]["weighted_f1"]["fear"]
        == 0.5
    )
    (note,) = decisions.notes
    assert note.startswith("the thresholds of fear are 0.5: valid has 0 utterances with it")


def test_no_emotion_head_no_thresholds():
    decisions = fit_decisions(without_tasks(predicted(gold(3), 3), "emotion"))
    assert "emotion" not in decisions.thresholds
    with pytest.raises(DataError, match="Expected a weighted_accuracy threshold for anger"):
        decisions.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_ACCURACY)


def test_json_round_trip_is_exact():
    for decisions in (fit_decisions(predicted(gold(5), 5)), paper_decisions(), Decisions(notes=("a",))):
        assert Decisions.from_json(json.loads(json.dumps(decisions.to_json()))) == decisions
    assert fit_decisions(predicted(gold(5), 5)).to_json()["chosen_on"] == "valid"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emotion": {}}, "Expected thresholds as decisions.json has them, but got KeyError"),
        ({"sentiment": "high"}, "ValueError"),
        ({"chosen_on": "test"}, "'test' is not a valid ChosenOn"),
        ({"sentiment": 1.5}, "Expected thresholds in \\[0, 1\\], but got 1.5"),
        ({"sentiment": float("nan")}, "Expected thresholds in \\[0, 1\\], but got nan"),
    ],
)
def test_damaged_json_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        Decisions.from_json(paper_decisions().to_json() | change)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_unusable_probabilities_are_refused(wrong):
    valid = predicted(gold(3), 3)
    probabilities = valid.outputs["emotion"].copy()
    probabilities[4, 2] = wrong
    with pytest.raises(DataError, match="Expected probabilities in \\[0, 1\\] in the predictions on valid, but got"):
        fit_decisions(dataclasses.replace(valid, outputs={"emotion": probabilities}))


def test_an_utterance_twice_is_refused():
    valid = predicted(gold(3), 3)
    with pytest.raises(DataError, match=r"Expected every utterance once .* utterance 0 of video video0 twice"):
        fit_decisions(reordered(valid, np.append(np.arange(len(valid.index)), 0)))


def test_thresholds_of_one_point_alone_are_read_back():
    facts = constant_decisions(0.3, 0.6).to_json()
    facts["emotion"]["weighted_f1"] = {}
    read = Decisions.from_json(facts)
    np.testing.assert_array_equal(read.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_ACCURACY), 0.3)
    with pytest.raises(DataError):
        read.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_F1)


@pytest.mark.parametrize(("value", "is_allowed"), [(0.0, True), (1.0, True), (-0.01, False), (1.01, False)])
def test_a_threshold_lies_between_0_and_1(value, is_allowed):
    facts = constant_decisions(0.3, 0.6).to_json()
    facts["emotion"]["weighted_f1"]["sad"] = value
    if is_allowed:
        assert Decisions.from_json(facts).to_json() == facts
    else:
        with pytest.raises(DataError, match="threshold"):
            Decisions.from_json(facts)


def test_the_constants_of_the_paper():
    paper = paper_decisions()
    np.testing.assert_array_equal(paper.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_ACCURACY), 0.2)
    np.testing.assert_array_equal(paper.at(PAPER_TASKS["emotion"], OperatingPoint.WEIGHTED_F1), 0.4)
    assert paper.to_json()["sentiment"] == 0.5
