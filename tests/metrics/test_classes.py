"""Scores of several classes equal those of scikit-learn, and hand-computed ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from mien.metrics.classes import accuracy_of_classes, class_f1, log_loss, macro_f1_of_classes, weighted_f1_of_classes
from mien.metrics.confusion import count_decisions


def against_the_rest(classes, n):
    return classes[:, None] == np.arange(n)


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_scikit_learn_s(seed):
    rng = np.random.default_rng(seed)
    n_classes, n = int(rng.integers(2, 8)), int(rng.integers(5, 400))
    gold, said = (rng.choice(n_classes, n, p=rng.dirichlet(np.ones(n_classes))) for _ in range(2))
    counts = count_decisions(against_the_rest(gold, n_classes), against_the_rest(said, n_classes))
    assert accuracy_of_classes(counts) == pytest.approx(sk.accuracy_score(gold, said), abs=1e-12)
    for function, average in ((weighted_f1_of_classes, "weighted"), (macro_f1_of_classes, "macro")):
        expected = sk.f1_score(gold, said, average=average, zero_division=0)
        assert function(counts) == pytest.approx(expected, abs=1e-12)
    by_class = sk.f1_score(gold, said, average=None, labels=range(n_classes), zero_division=0)
    np.testing.assert_allclose(class_f1(counts), by_class, atol=1e-12)
    probabilities = rng.dirichlet(np.ones(n_classes), n)
    expected = sk.log_loss(gold, probabilities, labels=range(n_classes))
    assert log_loss(against_the_rest(gold, n_classes), probabilities) == pytest.approx(expected, abs=1e-12)


def test_a_class_that_never_occurs_does_not_lower_the_macro_mean():
    gold, said = np.array([0, 0, 1]), np.array([0, 1, 1])
    counts = count_decisions(against_the_rest(gold, 5), against_the_rest(said, 5))
    assert macro_f1_of_classes(counts) == pytest.approx(2 / 3)


def test_a_class_without_any_probability_costs_a_finite_loss():
    assert log_loss(np.array([True]), np.array([0.0])) == pytest.approx(15 * math.log(10))
    assert math.isnan(log_loss(np.zeros(0, bool), np.zeros(0)))
