"""How well outputs order the cases, by counting pairs."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.metrics.calibration_error import brier, calibration_error
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


def test_roc_auc_refuses_what_is_no_number():
    with pytest.raises(DataError, match="Expected finite predictions, but got 1 that"):
        roc_auc(np.array([True, False, True]), np.array([0.2, np.nan, 0.4]))


def test_roc_auc_of_a_constant_is_a_half():
    assert roc_auc(np.array([True, False, True]), np.full(3, 0.3)) == 0.5


@pytest.mark.parametrize("target", [np.ones(3, bool), np.zeros(3, bool), np.zeros(0, bool)])
def test_roc_auc_of_one_class_is_undefined(target):
    assert np.isnan(roc_auc(target, np.full(len(target), 0.3)))


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


def test_concordance_is_the_share_of_pairs_in_the_right_order(case):
    """Of the pairs with different gold values; a tie of the predictions counts one half."""
    _, prediction = case
    target = np.random.default_rng(5).integers(-3, 4, prediction.size).astype(float)
    order = np.sign(target[:, None] - target[None, :])
    other = np.sign(prediction[:, None] - prediction[None, :])
    pairs = order > 0
    expected = np.mean((other[pairs] > 0) + 0.5 * (other[pairs] == 0))
    assert concordance_index(target, prediction) == pytest.approx(expected)
