import numpy as np
import pytest
from sklearn import metrics as sk

from mien.errors import DataError
from mien.metrics.calibration import Bins, brier, calibration_error, equal_count_edges, reliability
from mien.metrics.ranking import concordance_index, roc_auc


@pytest.fixture
def case():
    rng = np.random.default_rng(2)
    probability = rng.random(307).round(2)  # with ties
    return rng.random(307) < probability, probability


def test_roc_auc_is_the_share_of_pairs_in_the_right_order(case):
    target, probability = case
    difference = probability[target][:, None] - probability[~target][None, :]
    assert roc_auc(target, probability) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_roc_auc_of_a_constant_is_a_half():
    assert roc_auc(np.array([True, False, True]), np.full(3, 0.3)) == 0.5


@pytest.mark.parametrize("target", [np.ones(3, bool), np.zeros(3, bool), np.zeros(0, bool)])
def test_roc_auc_of_one_class_is_undefined(target):
    assert np.isnan(roc_auc(target, np.full(len(target), 0.3)))


def test_calibration_error_by_hand():
    probability = np.array([0.05, 0.10, 0.15, 0.95, 1.0])
    target = np.array([False, True, False, True, True])
    # bins [0, .1): {.05}, [.1, .2): {.10, .15}, [.9, 1]: {.95, 1}
    expected = (1 * 0.05 + 2 * abs(0.5 - 0.125) + 2 * abs(1 - 0.975)) / 5
    assert calibration_error(target, probability) == pytest.approx(expected)


@pytest.mark.parametrize("bins", Bins)
@pytest.mark.parametrize("n_bins", [1, 7, 10])
def test_calibration_error_against_a_loop(case, bins, n_bins):
    target, probability = case
    if bins is Bins.EQUAL_WIDTH:
        edges = np.arange(1, n_bins) / n_bins
    else:
        edges = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    error = 0.0
    for number in range(n_bins):
        inside = np.array([sum(p >= edge for edge in edges) == number for p in probability])
        if inside.any():
            error += inside.mean() * abs(target[inside].mean() - probability[inside].mean())
    assert calibration_error(target, probability, n_bins, bins) == pytest.approx(error)


def test_reliability_bins_are_those_of_the_calibration_error(case):
    target, probability = case
    bins = reliability(target, probability, equal_count_edges(probability, 7))
    used = bins.n_cases > 0
    gaps = np.abs(bins.share - bins.probability)[used] * bins.n_cases[used] / len(target)
    assert gaps.sum() == pytest.approx(calibration_error(target, probability, 7, Bins.EQUAL_COUNT))
    assert bins.n_cases.sum() == len(target)
    assert bins.n_present.sum() == target.sum()


def test_reliability_by_hand_with_an_empty_bin():
    target = np.array([True, False, True, True])
    bins = reliability(target, np.array([0.2, 0.3, 0.5, 0.9]), np.array([0.4, 0.4, 0.9]))
    np.testing.assert_allclose(bins.probability, [0.25, np.nan, 0.5, 0.9])
    np.testing.assert_allclose(bins.share, [0.5, np.nan, 1, 1])
    assert bins.n_cases.tolist() == [2, 0, 1, 1]


def test_calibration_needs_no_discrimination():
    target = np.arange(1000) % 4 == 0
    assert calibration_error(target, np.full(1000, 0.25)) == pytest.approx(0)
    assert calibration_error(target, np.full(1000, 0.75)) == pytest.approx(0.5)


def test_brier_equals_scikit_learn(case):
    assert brier(*case) == pytest.approx(sk.brier_score_loss(*case))


def test_nothing_scored_is_undefined():
    empty = np.zeros(0)
    for value in (brier(empty > 0, empty), calibration_error(empty > 0, empty), concordance_index(empty, empty)):
        assert np.isnan(value)


def test_a_missing_gold_value_is_left_out_of_the_concordance():
    target, prediction = np.array([1.0, 2.0, -3.0, 0.5]), np.array([0.5, 0.2, -1.0, 1.5])
    expected = concordance_index(target, prediction)
    longer = np.append(target, np.nan), np.append(prediction, 2.0)
    assert concordance_index(*longer) == expected
    assert concordance_index(np.nan_to_num(longer[0]), longer[1]) != expected
    assert concordance_index(longer[0], np.append(prediction, np.nan)) == expected


def test_unusable_predictions_are_refused():
    with pytest.raises(DataError, match="Expected finite predictions, but got 1"):
        concordance_index(np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="Expected one prediction per gold value"):
        concordance_index(np.zeros(3), np.zeros(2))
