"""Contract of the metrics. A new entry in `METRICS` is tested without further code."""

import numpy as np
import pytest

from mien.metrics import METRICS, MetricInput
from mien.metrics.confusion import count_decisions
from mien.metrics.regression import moments_per_video


def score(metric, target, output):
    """Compute a metric by its kind; probabilities serve as intensities."""
    if metric.kind is MetricInput.DECISION:
        return float(metric.function(count_decisions(target >= 0.5, output >= 0.5)))
    if metric.kind is MetricInput.CLASSES:  # two classes, each against the other
        gold, decided = target >= 0.5, output >= 0.5
        both = count_decisions(np.stack([~gold, gold], axis=1), np.stack([~decided, decided], axis=1))
        return float(metric.function(both))
    if metric.kind is MetricInput.MOMENTS:
        video = np.zeros(len(target), dtype=int)
        return float(metric.function(moments_per_video(target, output, video, 1).summed()))
    if metric.kind is MetricInput.PROBABILITY:
        return float(metric.function(target >= 0.5, output))
    return float(metric.function(target, output))


@pytest.fixture(params=METRICS)
def metric(request):
    return METRICS[request.param]


@pytest.fixture
def rows():
    rng = np.random.default_rng(6)
    target = rng.random(127)
    return target, np.clip(target + rng.normal(scale=0.4, size=127), 0, 1)


def perfect(metric, target):
    return target if metric.kind in (MetricInput.INTENSITY, MetricInput.MOMENTS) else (target >= 0.5).astype(float)


def test_a_perfect_prediction_is_best(metric, rows):
    target, output = rows
    best, other = score(metric, target, perfect(metric, target)), score(metric, target, output)
    assert best == pytest.approx(1.0 if metric.higher_is_better else 0.0)
    assert best > other if metric.higher_is_better else best < other


def test_the_opposite_is_worse_than_chance(metric, rows):
    target, _ = rows
    opposite, constant = score(metric, target, 1 - perfect(metric, target)), score(metric, target, np.full(127, 0.5))
    if np.isnan(constant):  # a correlation with a constant is undefined
        assert opposite == pytest.approx(-1)
    else:
        assert opposite < constant if metric.higher_is_better else opposite > constant


def test_the_order_of_the_rows_does_not_matter(metric, rows):
    target, output = rows
    order = np.random.default_rng(0).permutation(127)
    assert score(metric, target[order], output[order]) == pytest.approx(score(metric, target, output), abs=1e-14)


def test_nothing_scored_is_nan_without_a_warning(metric):
    assert np.isnan(score(metric, np.zeros(0), np.zeros(0)))


def test_nothing_is_rounded(metric, rows):
    target, output = rows
    value = score(metric, target, output)
    assert value != round(value, 6)


def test_every_metric_explains_itself(metric):
    assert metric.function.__doc__
