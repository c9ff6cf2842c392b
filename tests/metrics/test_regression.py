"""Scores of degrees: order, classes of seven and five, and sums per video, each against something independent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mien.metrics.ranking import concordance_index, roc_auc
from mien.metrics.regression import GradeRule, grades, mean_absolute_error, moments_per_video, pearson
from mien.metrics.significance import video_weights


@pytest.fixture
def rows():
    """Labels in thirds, many of them equal, and predictions with ties."""
    rng = np.random.default_rng(8)
    target = rng.integers(-9, 10, 83) / 3
    return target, np.round(target + rng.normal(size=83), 1)


def test_concordance_is_the_share_of_pairs_in_the_right_order(rows):
    target, prediction = rows
    right = total = 0.0
    for i in range(len(target)):
        for j in range(len(target)):
            if target[i] > target[j]:
                total += 1
                right += (prediction[i] > prediction[j]) + 0.5 * (prediction[i] == prediction[j])
    assert concordance_index(target, prediction) == pytest.approx(right / total, abs=1e-12)
    somers = stats.somersd(target, prediction).statistic
    assert concordance_index(target, prediction) == pytest.approx((1 + somers) / 2, abs=1e-12)


def test_concordance_of_two_classes_is_the_roc_area(rows):
    target, prediction = rows
    assert concordance_index(1.0 * (target > 0.5), prediction) == pytest.approx(roc_auc(target > 0.5, prediction))
    assert concordance_index(target, np.zeros(83)) == 0.5
    assert np.isnan(concordance_index(np.ones(83), prediction))


# label or prediction: round7, round5, sdk7, sdk5
CLASSES = {
    -3.0: (-3, -2, -3, -2),
    -2.5: (-2, -2, -3, -2),
    -7 / 3: (-2, -2, -3, -2),
    -2.0: (-2, -2, -2, -2),
    -4 / 3: (-1, -1, -2, -2),
    -1.0: (-1, -1, -1, -1),
    -1 / 3: (0, 0, -1, -1),
    0.0: (0, 0, 0, 0),
    0.1: (0, 0, 0, 0),
    0.2: (0, 0, 1, 1),
    1 / 3: (0, 0, 1, 1),
    0.5: (0, 0, 1, 1),
    1.0: (1, 1, 1, 1),
    1.05: (1, 1, 1, 1),
    1.5: (2, 2, 2, 2),
    2.0: (2, 2, 2, 2),
    7 / 3: (2, 2, 3, 2),
    2.5: (2, 2, 3, 2),
    3.7: (3, 2, 3, 2),
}


@pytest.mark.parametrize("value", CLASSES)
def test_classes_by_hand(value):
    ways = [(GradeRule.ROUND, 7), (GradeRule.ROUND, 5), (GradeRule.SDK, 7), (GradeRule.SDK, 5)]
    assert tuple(int(grades(np.array([value]), rule, n)[0]) for rule, n in ways) == CLASSES[value]


def test_the_rules_of_the_label_readme_hold_for_every_label():
    labels = np.arange(-9, 10) / 3
    readme = [
        -3 if y < -2 else -2 if y < -1 else -1 if y < 0 else 0 if y == 0 else 1 if y <= 1 else 2 if y <= 2 else 3
        for y in labels
    ]
    assert grades(labels, GradeRule.SDK).tolist() == readme
    assert grades(labels, GradeRule.ROUND).tolist() == [round(y) for y in labels]


def moments(target, prediction):
    return moments_per_video(target, prediction, np.zeros(len(target), int), 1).summed()


def test_scores_equal_scikit_learn_and_scipy():
    rng = np.random.default_rng(4)
    target = rng.normal(size=101)
    prediction = target + rng.normal(size=101)
    sums = moments(target, prediction)
    assert mean_absolute_error(sums) == pytest.approx(sk.mean_absolute_error(target, prediction))
    assert pearson(sums) == pytest.approx(stats.pearsonr(target, prediction).statistic)


@pytest.mark.parametrize("function", [mean_absolute_error, pearson])
def test_a_missing_gold_value_is_left_out_not_zero(function):
    target, prediction = np.array([1.0, 2.0, -3.0, 0.5]), np.array([0.5, 2.5, -1.0, 1.5])
    expected = function(moments(target, prediction))
    longer = np.append(target, np.nan), np.append(prediction, 2.0)
    assert function(moments(*longer)) == expected
    assert function(moments(np.nan_to_num(longer[0]), longer[1])) != expected
    assert function(moments(longer[0], np.append(prediction, np.nan))) == expected


def test_sums_per_video_give_the_same_scores_also_of_a_resample(rows):
    target, prediction = rows
    target = np.where(np.arange(83) % 7 == 0, np.nan, target)
    video = np.repeat(np.arange(12), 7)[:83]
    per_video = moments_per_video(target, prediction, video, 13)
    known = ~np.isnan(target)
    expected = sk.mean_absolute_error(target[known], prediction[known])
    assert float(mean_absolute_error(per_video.summed())) == pytest.approx(expected)
    correlation = stats.pearsonr(target[known], prediction[known]).statistic
    assert float(pearson(per_video.summed())) == pytest.approx(correlation)
    weights = video_weights(13, 5)
    again = per_video.resampled(weights)
    for number, drawn in enumerate(weights):
        picked = np.concatenate([np.flatnonzero(video == v) for v in np.repeat(np.arange(13), drawn)])
        picked = picked[known[picked]]
        expected = sk.mean_absolute_error(target[picked], prediction[picked])
        assert mean_absolute_error(again)[number] == pytest.approx(expected)
        correlation = stats.pearsonr(target[picked], prediction[picked]).statistic
        assert pearson(again)[number] == pytest.approx(correlation)


def test_sums_of_several_columns_are_those_of_each(rows):
    target, prediction = (np.stack([each, each[::-1] * 2 + 1], axis=1) for each in rows)
    video = np.arange(83) % 5
    both = moments_per_video(target, prediction, video, 5).summed()
    for column in range(2):
        alone = moments_per_video(target[:, column], prediction[:, column], video, 5).summed()
        assert pearson(both)[column] == pytest.approx(float(pearson(alone)))


def test_a_constant_side_has_no_correlation_and_an_empty_split_no_score():
    video = np.zeros(4, int)
    constant = moments_per_video(np.array([1.0, 2, 3, 0]), np.full(4, 0.1), video, 1).summed()
    assert np.isnan(pearson(constant))
    assert np.isnan(pearson(moments(np.full(3, 0.1), np.array([1.0, 2.0, 3.0]))))
    assert np.isnan(pearson(moments(np.array([1.0]), np.array([1.0]))))
    assert float(mean_absolute_error(constant)) == pytest.approx(np.mean([0.9, 1.9, 2.9, 0.1]))
    nothing = moments_per_video(np.full(4, np.nan), np.zeros(4), video, 1).summed()
    assert np.isnan(pearson(nothing))
    assert np.isnan(mean_absolute_error(nothing))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_line_has_a_correlation_of_one(sign):
    x = np.array([0.1, 0.7, 1.9, -2.3])
    moments = moments_per_video(x[:, None], sign * (2 * x[:, None] + 1), np.zeros(4, dtype=np.intp), 1)
    assert pearson(moments.summed()) == pytest.approx(sign)
    assert abs(pearson(moments.summed())) <= 1
