"""Figure of accuracy against the share of decisions kept, with abstention by confidence, at random or by an oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.diagnosis.abstention import GRID, CoverageCurve
from mien.reports.style import BLUE, GREEN, GREY, ORANGE, PAGE, add_legend, figure_style, new_figure, percent_axis

NOTE = (
    "Answers are given from the most confident to the least: distance from the threshold in calibrated logits. Line: "
    "mean over seeds; band: lowest to highest seed. Dots: coverage and accuracy reached at cuts chosen on valid. "
    "Oracle: gives its wrong answers last. Emotions: curves are 1 - class-weighted risk, with weights of the whole "
    "split; dots are the weighted accuracy of what is kept."
)


@figure_style()
def draw_coverage_curves(heading: str, runs: Sequence[Sequence[CoverageCurve]]) -> Figure:
    """Draw accuracy against coverage (the share of decisions that are kept), one panel per score.

    Each panel compares three ways to withhold decisions: by confidence, at random, and by an oracle.

    Args:
        heading: Second line of the title.
        runs: Curves of each run. All runs have curves of the same scores, in the same order.

    Returns:
        The figure.
    """
    title = f"Accuracy of the answers that are kept\n{heading}"
    figure = new_figure(PAGE * 0.8, 2.5, title, NOTE, legend=True)
    grid = figure.subplots(1, len(runs[0]), squeeze=False)
    for axes, curves in zip(grid[0], zip(*runs, strict=True), strict=True):
        _draw_coverage_panel(axes, curves)
    add_legend(figure, grid[0, 0])
    return figure


def _draw_coverage_panel(axes: Axes, curves: Sequence[CoverageCurve]) -> None:
    shares = np.array(GRID)
    model = np.stack([curve.model for curve in curves])
    oracle = np.mean([curve.oracle for curve in curves], axis=0)
    random = float(np.mean([curve.random for curve in curves]))
    axes.plot(shares, oracle, color=GREEN, linestyle=(0, (4, 2)), linewidth=0.8, label="oracle", gid="oracle")
    axes.fill_between(shares, model.min(axis=0), model.max(axis=0), color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(shares, model.mean(axis=0), color=BLUE, linewidth=1, label="by confidence", gid="model")
    axes.axhline(random, color=GREY, linestyle=(0, (1, 1)), linewidth=0.9, label="at random", gid="random")
    reached = np.mean([curve.kept for curve in curves], axis=0)
    axes.plot(
        *reached.T, color=ORANGE, marker="o", markersize=3.2, linestyle="none", label="cut chosen on valid", gid="kept"
    )
    axes.set_title(curves[0].name)
    axes.set_xlabel("share of answers kept")
    axes.set(xlim=(0, 1.02))
    axes.set_ylim(top=1.005)
    percent_axis(axes, "y", 6)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
