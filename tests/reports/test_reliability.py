"""The reliability diagram shows the bins of all seeds together, and each seed in the same bins."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.benchmark.figures.examples import by_gid
from tests.evaluation.examples import gold, predicted

from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import fit_decisions
from mien.reports import reliability
from mien.schema import EMOTION_OUTPUTS, emotion_multihot7

BOTH = {"sentiment": 0.7, "emotion": 0.6}


@pytest.fixture(scope="module")
def runs():
    rows = [predicted(gold(), seed) for seed in (0, 1, 2)]
    return tuple(SeedRun(row, fit_decisions(row), seed) for seed, row in enumerate(rows))


def test_points_are_shares_over_mean_probabilities_of_equally_many(runs):
    data = reliability.reliability_of_runs("cim", [run.predictions for run in runs])
    assert [curve.name for curve in data.curves] == ["positive sentiment (has0)", *EMOTION_OUTPUTS[:-1], "no emotion"]
    labels, scored = emotion_multihot7(runs[0].predictions.emotions)
    probability = np.concatenate([run.predictions.outputs["emotion"][scored, 3] for run in runs])
    target = np.tile(labels[scored, 3], 3)
    order = np.argsort(probability)
    figure = reliability.draw_reliability(data)
    (happy,) = [axes for axes in figure.axes if axes.get_title().startswith("happy")]
    strip = figure.axes[figure.axes.index(happy) + 4]
    counts = [bar.get_height() for bar in by_gid(strip, "count")]
    assert sum(counts) == 3 * scored.sum()
    assert max(counts) - min(counts) <= 1
    (line,) = by_gid(happy, "pooled")
    parts = np.split(order, np.cumsum(counts).astype(int)[:-1])
    np.testing.assert_allclose(line.get_xdata(), [probability[part].mean() for part in parts])
    np.testing.assert_allclose(line.get_ydata(), [target[part].mean() for part in parts])


def test_the_seeds_of_a_bin_average_to_the_pooled_share():
    cases = [(np.arange(40) % 3 == seed, np.linspace(0, 1, 40)) for seed in range(3)]
    curve = reliability.make_curve("x", cases)
    # every seed has the same probabilities, so as many utterances in each bin
    np.testing.assert_allclose(curve.per_seed.mean(axis=0), curve.pooled.share)
    assert curve.pooled.n_cases.sum() == 120


def test_equal_probabilities_and_empty_bins_are_drawn():
    rows = gold()
    run = predicted(rows)
    run = dataclasses.replace(run, outputs={**run.outputs, "emotion": np.full_like(run.outputs["emotion"], 0.25)})
    figure = reliability.draw_reliability(reliability.reliability_of_runs("cim", [run]))
    (anger,) = [axes for axes in figure.axes if axes.get_title().startswith("anger")]
    assert by_gid(anger, "pooled")[0].get_xdata() == pytest.approx([0.25])
