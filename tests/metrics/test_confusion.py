import numpy as np
import pytest
from sklearn import metrics as sk

from mien.errors import DataError
from mien.metrics.confusion import (
    Confusion,
    accuracy,
    count_decisions,
    count_per_video,
    macro_f1,
    negative_f1,
    positive_f1,
    weighted_accuracy,
    weighted_f1,
)

SCIKIT_LEARN = {
    accuracy: sk.accuracy_score,
    weighted_accuracy: sk.balanced_accuracy_score,
    weighted_f1: lambda target, predicted: sk.f1_score(target, predicted, average="weighted"),
    macro_f1: lambda target, predicted: sk.f1_score(target, predicted, average="macro"),
    positive_f1: sk.f1_score,
    negative_f1: lambda target, predicted: sk.f1_score(target, predicted, pos_label=False),
}


def counts(tp, fp, fn, tn):
    return Confusion(*(np.asarray(part, dtype=float) for part in (tp, fp, fn, tn)))


def random_decisions(seed, shape=(211,), prevalence=0.2):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < prevalence, rng.random(shape) < 0.4


@pytest.mark.parametrize("function", SCIKIT_LEARN, ids=lambda function: function.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(function, seed):
    target, predicted = random_decisions(seed)
    assert function(count_decisions(target, predicted)) == pytest.approx(
        SCIKIT_LEARN[function](target, predicted), abs=1e-14
    )


def test_hand_computed():
    # P = 4, N = 6
    confusion = counts(tp=3, fp=2, fn=1, tn=4)
    assert accuracy(confusion) == 7 / 10
    assert weighted_accuracy(confusion) == (3 / 4 + 4 / 6) / 2
    assert positive_f1(confusion) == 6 / 9
    assert negative_f1(confusion) == 8 / 11
    assert macro_f1(confusion) == (6 / 9 + 8 / 11) / 2
    assert weighted_f1(confusion) == pytest.approx((4 * 6 / 9 + 6 * 8 / 11) / 10, abs=1e-15)


def test_weighted_accuracy_is_the_released_codes_formula():
    confusion = count_decisions(*random_decisions(3))
    tp, tn, p, n = confusion.tp, confusion.tn, confusion.positives, confusion.negatives
    assert weighted_accuracy(confusion) == pytest.approx((tp * n / p + tn) / (2 * n), abs=1e-15)


@pytest.mark.parametrize("prevalence", [0.068, 0.082, 0.095, 0.099, 0.15, 0.20, 0.2298, 0.30])
def test_weighted_f1_of_constants(prevalence):
    p = prevalence
    absent, present = counts(0, 0, p, 1 - p), counts(p, 1 - p, 0, 0)
    assert weighted_f1(absent) == pytest.approx(2 * (1 - p) ** 2 / (2 - p))
    assert weighted_f1(present) == pytest.approx(2 * p**2 / (1 + p))
    assert positive_f1(absent) == 0
    assert weighted_accuracy(absent) == weighted_accuracy(present) == 0.5
    assert accuracy(absent) == pytest.approx(1 - p)
    assert accuracy(present) == pytest.approx(p)


@pytest.mark.parametrize(
    ("prevalence", "percent"),
    [
        (0.068, 89.9),
        (0.082, 87.9),
        (0.095, 86.0),
        (0.099, 85.4),
        (0.15, 78.1),
        (0.20, 71.1),
        (0.2298, 67.0),
        (0.3, 57.6),
    ],
)
def test_weighted_f1_of_always_absent_in_figures(prevalence, percent):
    assert 100 * weighted_f1(counts(0, 0, prevalence, 1 - prevalence)) == pytest.approx(percent, abs=0.05)


def test_always_positive_on_the_current_release():
    negative, zero, positive = 1350, 1025, 2287
    has0 = counts(zero + positive, negative, 0, 0)
    non0 = counts(positive, negative, 0, 0)
    gt0_always_negative = counts(0, 0, positive, zero + negative)
    figures = [
        100 * function(part) for part in (has0, non0, gt0_always_negative) for function in (accuracy, weighted_f1)
    ]
    assert figures == pytest.approx([71.04, 59.01, 62.88, 48.55, 50.94, 34.39], abs=0.005)


@pytest.mark.parametrize("function", SCIKIT_LEARN, ids=lambda function: function.__name__)
def test_one_formula_for_any_shape(function):
    target, predicted = random_decisions(11, (101, 3, 7))
    whole = function(count_decisions(target, predicted))
    assert whole.shape == (3, 7)
    for row in range(3):
        for column in range(7):
            assert whole[row, column] == function(count_decisions(target[:, row, column], predicted[:, row, column]))


@pytest.mark.parametrize("function", SCIKIT_LEARN, ids=lambda function: function.__name__)
def test_masked_rows_and_their_order_change_nothing(function):
    target, predicted = random_decisions(5)
    expected = function(count_decisions(target, predicted))
    rng = np.random.default_rng(0)
    more_target = np.concatenate([target, rng.random(37) < 0.5])
    more_predicted = np.concatenate([predicted, rng.random(37) < 0.5])
    scored = np.arange(len(more_target)) < len(target)
    order = rng.permutation(len(more_target))
    assert function(count_decisions(more_target[order], more_predicted[order], scored[order])) == expected
    assert function(count_decisions(more_target, more_predicted)) != expected


def test_a_score_exists_or_not_whatever_is_predicted():
    for predicted in (np.array([False] * 5), np.array([True, False, True, False, False])):
        no_case = count_decisions(np.zeros(5, dtype=bool), predicted)
        assert np.isnan([weighted_accuracy(no_case), positive_f1(no_case), macro_f1(no_case)]).all()
        assert weighted_f1(no_case) == negative_f1(no_case) == 2 * no_case.tn / (2 * no_case.tn + no_case.fp)
        only_cases = count_decisions(np.ones(5, dtype=bool), predicted)
        assert np.isnan([weighted_accuracy(only_cases), negative_f1(only_cases), macro_f1(only_cases)]).all()


def test_nothing_scored_is_undefined():
    nothing = count_decisions(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))
    assert all(np.isnan(function(nothing)) for function in SCIKIT_LEARN)


def test_undefined_columns_leave_the_others_alone():
    target = np.array([[True, False], [False, False], [True, False]])
    score = weighted_accuracy(count_decisions(target, target))
    assert score[0] == 1
    assert np.isnan(score[1])


def test_per_video_counts_add_up_to_the_whole():
    target, predicted = random_decisions(7, (211, 6))
    rng = np.random.default_rng(1)
    video, scored = rng.integers(0, 13, 211), rng.random(211) < 0.8
    per_video = count_per_video(target, predicted, video, 17, scored)
    assert per_video.tp.shape == (17, 6)
    assert not per_video.take(slice(13, None)).total.any()
    for part, whole in zip(per_video.summed(), count_decisions(target, predicted, scored), strict=True):
        np.testing.assert_array_equal(part, whole)
    third = count_decisions(target[video == 3], predicted[video == 3], scored[video == 3])
    np.testing.assert_array_equal(per_video.take(3), third)


def test_lengths_must_agree():
    with pytest.raises(DataError, match="Expected target, prediction and mask of one length, but got 3, 4 and 3"):
        count_decisions(np.zeros(3, bool), np.zeros(4, bool), np.ones(3, bool))


def test_counts_by_hand():
    target = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    predicted = np.array([1, 1, 0, 1, 0, 0, 0], bool)
    counted = count_decisions(target, predicted)
    assert (counted.tp, counted.fp, counted.fn, counted.tn) == (2, 1, 1, 3)
    assert (counted.positives, counted.negatives, counted.predicted_positives) == (3, 4, 3)
    predicted[4] = True
    assert count_decisions(target, predicted).predicted_positives == 4
