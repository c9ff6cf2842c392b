"""The cases are found by the rule that the module states: hand-made predictions, gains counted by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.evaluation.examples import gold, predicted, reordered
from tests.labelled import labels_of

from mien.benchmark.cases import find_cases
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import constant_decisions, fit_decisions
from mien.schema import EMOTIONS
from mien.storage.predictions import Predictions

HALF = constant_decisions(0.5, 0.9)


def sets(*names):
    """Seven probabilities: 0.8 for the named emotions (A is anger and so on), 0.1 for the others."""
    return np.array([[0.8 if emotion[:2] in name.split() else 0.1 for emotion in (*EMOTIONS, "--")] for name in names])


def run(seed, emotions=None, positive=None, gold_sets=("an di", "ha", "", "sa"), sentiment=(-1.0, 2.0, 0.0, np.nan)):
    """Four utterances of two videos; sentiment of the last is not labelled."""
    intensities = sets(*gold_sets)[:, :6] > 0.5
    return SeedRun(
        Predictions(
            video_id=np.array(["a", "a", "b", "b"], dtype=object),
            index=np.array([0, 1, 0, 1]),
            labels=labels_of(sentiment, intensities.astype(float)),
            outputs=({} if positive is None else {"sentiment": np.array(positive, float)[:, None]})
            | ({} if emotions is None else {"emotion": sets(*emotions)}),
        ),
        HALF,
        seed,
    )


def test_the_papers_example_by_hand():
    joint = [run(0, ("an di ha sa", "ha", "", "sa"), (0.2, 0.9, 0.6, 0.5))]
    single = {
        "emotion": [run(0, ("di ha sa", "ha", "fe", "sa"))],
        "sentiment": [run(0, positive=(0.7, 0.9, 0.4, 0.5))],
    }
    cases = find_cases(joint, single)
    first, second = cases.joint_better
    # a/0: Jaccard 2/4 against 1/4, sentiment right against wrong; b/0: nothing said of nothing is right
    assert (second.video_id, second.index, second.gain) == ("a", 0, pytest.approx(0.25 + 1))
    assert (first.video_id, first.index, first.gain) == ("b", 0, pytest.approx(1 + 1))
    assert second.gold_emotions == ("anger", "disgust")
    assert second.gold_positive is False
    assert second.single.emotions == ("disgust", "happy", "sad")
    assert (str(second.single.precision), str(second.single.recall)) == ("1/3", "1/2")
    assert second.single.wrong == ("happy", "sad")
    assert second.single.missed == ("anger",)
    assert second.single.positive is True
    assert (str(second.joint.precision), str(second.joint.recall)) == ("2/4", "2/2")
    assert str(first.joint.precision) == "0/0"
    assert cases.single_better == ()
    assert (cases.n_joint_better, cases.n_single_better, cases.n_equal) == (2, 0, 2)


def test_scores_are_averaged_over_seeds_and_labels_shown_by_majority():
    said = [("an", "ha", "", "sa"), ("an di", "ha", "", "sa"), ("di", "ha", "", "sa")]
    joint = [run(seed, emotions, (0.1, 0.9, 0.9, 0.9)) for seed, emotions in enumerate(said)]
    single = [run(seed, ("", "ha", "", "sa")) for seed in range(3)]
    cases = find_cases(joint, {"emotion": single})
    (case,) = cases.joint_better
    assert case.gain == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert case.joint.jaccard == pytest.approx(2 / 3)
    assert case.joint.emotions == ("anger", "disgust")  # each in two of three
    assert case.single.emotions == ()
    assert case.joint.sentiment_right is None  # nothing to hold it against
    assert cases.seeds == (0, 1, 2)


def test_half_of_the_seeds_is_no_majority():
    joint = [run(0, ("an di", "ha", "", "sa"), (0.1,) * 4), run(1, ("an", "ha", "", "sa"), (0.1,) * 4)]
    (case,) = find_cases(joint, {"emotion": [run(seed, ("", "ha", "", "sa")) for seed in (0, 1)]}).joint_better
    assert case.joint.emotions == ("anger",)


def test_both_ways_and_ties_by_video_then_index():
    wrong, right = ("fe", "fe", "fe", "fe"), ("an di", "ha", "", "sa")
    joint, single = [run(0, right, (0.5,) * 4)], [run(0, wrong)]
    forth = find_cases(joint, {"emotion": single}, k=3)
    assert [(case.video_id, case.index) for case in forth.joint_better] == [("a", 0), ("a", 1), ("b", 0)]
    assert forth.n_joint_better == 4
    back = find_cases([run(0, wrong, (0.5,) * 4)], {"emotion": [run(0, right)]}, k=2)
    assert [(case.video_id, case.index, case.gain) for case in back.single_better] == [("a", 0, -1.0), ("a", 1, -1.0)]
    assert back.joint_better == ()


def test_a_missing_label_counts_for_neither():
    joint = [run(0, ("an di", "ha", "", "sa"), (0.1, 0.9, 0.9, 0.9))]
    single = {"sentiment": [run(0, positive=(0.9, 0.9, 0.9, 0.1))]}
    cases = find_cases(joint, single)
    # the last utterance is judged differently, but has no gold sentiment
    assert [(case.video_id, case.index) for case in cases.joint_better] == [("a", 0)]
    assert cases.n_equal == 3
    assert cases.joint_better[0].joint.emotions is None


def test_the_operating_point_is_that_of_weighted_accuracy():
    joint = [run(0, ("an di", "ha", "", "sa"), (0.5,) * 4)]  # 0.8: above 0.5, below the F1 threshold of 0.9
    assert find_cases(joint, {"emotion": [run(0, ("", "", "", ""))]}).n_joint_better == 3


def test_the_order_of_rows_and_runs_changes_nothing():
    rows = gold()
    joint, single = (
        [SeedRun(one := predicted(rows, seed + shift), fit_decisions(one), seed) for seed in range(3)]
        for shift in (0, 10)
    )
    expected = find_cases(joint, {"emotion": single, "sentiment": single})
    assert expected.joint_better
    assert expected.single_better
    order = np.random.default_rng(0).permutation(len(rows.index))
    moved = [dataclasses.replace(each, predictions=reordered(each.predictions, order)) for each in reversed(joint)]
    assert find_cases(moved, {"emotion": single, "sentiment": single}) == expected
    mirrored = find_cases(single, {"emotion": joint, "sentiment": joint})
    assert [(case.video_id, case.index) for case in mirrored.single_better] == [
        (case.video_id, case.index) for case in expected.joint_better
    ]


def test_what_cannot_be_compared_is_refused():
    joint = [run(0, ("", "", "", ""), (0.5,) * 4)]
    with pytest.raises(DataError, match="same utterances"):
        find_cases(joint, {"emotion": [run(0, ("", "", "", ""), gold_sets=("an", "ha", "", "sa"))]})
