"""Calibration errors by hand, and those of resampled videos."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from mien.metrics.calibration_error import (
    Bins,
    brier,
    calibration_error,
    equal_count_edges,
    reliability,
    resampled_calibration_error,
)


@pytest.fixture
def case():
    rng = np.random.default_rng(2)
    probability = rng.random(307).round(2)  # with ties
    return rng.random(307) < probability, probability


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


def test_a_resampled_calibration_error_is_that_of_the_drawn_videos():
    rng = np.random.default_rng(2)
    video = np.repeat(np.arange(4), [3, 5, 2, 6])
    probability = rng.random(16)
    target = rng.random(16) < probability
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 0, 4, 0]])
    expected = []
    for row in weights:
        drawn = np.repeat(np.arange(16), row[video])
        expected.append(calibration_error(target[drawn], probability[drawn]))
    np.testing.assert_allclose(resampled_calibration_error(target, probability, video, weights), expected)
