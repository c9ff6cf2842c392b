"""Risk and coverage by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mien.diagnosis.abstention import area_under_risk, class_weights, oracle_risk, risk_coverage


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
