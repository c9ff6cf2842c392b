"""Platt scaling, risk and coverage, word errors, resampled calibration errors: by hand, or by other people's code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mien.diagnosis.abstention import area_under_risk, class_weights, oracle_risk, risk_coverage
from mien.metrics.calibration import calibration_error, resampled_calibration_error
from mien.metrics.platt import fit_platt, logit, sigmoid
from mien.metrics.word_errors import word_edits, word_error_rate, words_of


def test_platt_scaling_is_logistic_regression_on_softened_targets():
    rng = np.random.default_rng(0)
    decision = rng.normal(size=300)
    present = rng.random(300) < sigmoid(0.6 * decision + 1)
    n_present = int(present.sum())
    soft = np.where(present, (n_present + 1) / (n_present + 2), 1 / (300 - n_present + 2))
    # a soft target is both classes, each with its share
    other = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(
        np.tile(decision, 2)[:, None], np.repeat([1, 0], 300), sample_weight=np.concatenate([soft, 1 - soft])
    )
    np.testing.assert_allclose(fit_platt(decision, present), (other.coef_[0, 0], other.intercept_[0]), rtol=1e-4)


def test_logit_undoes_sigmoid_and_is_finite_at_the_ends():
    values = np.linspace(-20, 20, 41)
    np.testing.assert_allclose(logit(sigmoid(values)), values, atol=1e-6)
    ends = logit(np.array([0.0, 1.0]))
    assert np.isfinite(ends).all()
    assert ends[0] == pytest.approx(-ends[1], rel=1e-4)


def test_risk_and_area_of_four_answers_by_hand():
    wrong = np.array([True, False, True, False])
    confidence = np.array([0.1, 3.0, 2.0, 1.0])
    # in order of confidence: right, wrong, right, wrong
    risk = risk_coverage(wrong, confidence)
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 2 / 4])
    assert area_under_risk(risk) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    np.testing.assert_allclose(oracle_risk(wrong), [0, 0, 1 / 3, 2 / 4])


def test_answers_of_equal_confidence_share_their_errors():
    wrong = np.array([True, False, False])
    np.testing.assert_allclose(risk_coverage(wrong, np.array([1.0, 1.0, 0.5])), [1 / 2, 1 / 2, 1 / 3])
    np.testing.assert_allclose(risk_coverage(wrong, np.zeros(3)), [1 / 3, 1 / 3, 1 / 3])


def test_class_weights_make_the_risk_of_all_the_lost_weighted_accuracy():
    present = np.array([True, False, False, False])
    wrong = np.array([True, False, False, True])
    weight = class_weights(present)
    np.testing.assert_allclose(weight, [1, 1 / 3, 1 / 3, 1 / 3])
    risk = risk_coverage(wrong, np.array([4.0, 3, 2, 1]), weight)
    # weighted accuracy is (0/1 + 2/3) / 2
    np.testing.assert_allclose(risk, [1, 1 / (4 / 3), 1 / (5 / 3), 1 - 1 / 3])


def test_no_order_of_answers_beats_the_oracle():
    rng = np.random.default_rng(1)
    wrong, weight = np.array([True, False, True, False, True]), rng.random(5)
    best = min(
        area_under_risk(risk_coverage(wrong, np.array(order, dtype=float), weight))
        for order in itertools.permutations(range(5))
    )
    # the order of the right answers is free, so an order that weighs them well may do as well, but none does better
    assert area_under_risk(oracle_risk(wrong, weight)) == pytest.approx(best)


@pytest.mark.parametrize(
    ("said", "expected", "edits"),
    [
        ("a b c", "a b c", 0),
        ("a x c", "a b c", 1),
        ("a c", "a b c", 1),
        ("a b b c", "a b c", 1),
        ("", "a b c", 3),
        ("x y", "", 2),
        ("b c d a", "a b c d", 2),
        ("the cat sat on mat", "the cat is sitting on the mat", 3),
    ],
)
def test_word_edits(said, expected, edits):
    assert word_edits(said.split(), expected.split()) == edits


def test_the_word_error_rate_is_that_of_all_words_together():
    assert word_error_rate(["a", "x y z"], ["b", "x y z"]) == 1 / 4
    assert np.isnan(word_error_rate([""], [""]))
    assert words_of(" don&#39;t  stop,\n") == ["don't", "stop,"]


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
