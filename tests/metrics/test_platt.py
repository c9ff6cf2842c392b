"""Platt scaling, by other people's code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mien.metrics.platt import fit_platt, logit, sigmoid


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


def test_a_constant_decision_says_the_smoothed_share():
    """Platt's targets of 3 present and 1 absent: 4/5 each and 1/3; their mean is the probability of all."""
    slope, intercept = fit_platt(np.zeros(4), np.array([True, True, True, False]))
    share = (3 * 4 / 5 + 1 / 3) / 4
    assert slope == 0
    assert intercept == pytest.approx(np.log(share / (1 - share)))
