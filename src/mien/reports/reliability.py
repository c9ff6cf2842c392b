"""Reliability diagrams, which show for each output whether predicted probabilities match observed frequencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.metrics.calibration_error import ReliabilityBins, equal_count_edges, reliability
from mien.reports.style import BLUE, GREY, PAGE, figure_style, new_figure, percent_axis
from mien.schema import NO_EMOTION, BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.task_kinds import BINARY, PRESENCE
from mien.tasks import output_name, targets_of

N_BINS = 10
N_COLUMNS = 4
# (kind of a task of the paper's label spaces, output) -> title, where it differs from the output's name
TITLES = {(BINARY, "positive"): "positive sentiment (has0)", (PRESENCE, NO_EMOTION): "no emotion"}
NOTE = (
    f"All utterances of all seeds in at most {N_BINS} bins of equal count (equal probabilities share a bin). "
    "Dot: share of cases over mean probability; band: lowest to highest seed in the same bins; diagonal: perfect. "
    "Below: the bins' widths and how many utterances each holds."
)


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Predicted probabilities of one class, and the observed share of utterances with this class, in bins.

    All bins contain about equally many utterances.
    """

    name: str
    pooled: ReliabilityBins  # over all seeds
    edges: FloatArray  # (bin + 1,) bounds of the bins, from the lowest to the highest probability
    per_seed: FloatArray  # (seed, bin) share of utterances with the class, NaN where the seed has none in the bin


@dataclass(frozen=True, slots=True)
class ReliabilityData:
    """Heading and curves of a reliability diagram."""

    heading: str
    curves: tuple[ReliabilityCurve, ...]


def reliability_of_runs(heading: str, runs: Sequence[Predictions]) -> ReliabilityData:
    """Compute the reliability curve of every predicted probability whose class has gold labels.

    Args:
        heading: Second line of the title, which names system, data, split and number of seeds.
        runs: Predictions, one per seed.

    Returns:
        The heading and the curves. Predicted intensities have no curve.
    """
    curves = [make_curve(name, cases) for name, cases in _labelled_outputs(runs)]
    return ReliabilityData(heading, tuple(curve for curve in curves if curve is not None))


def make_curve(name: str, cases: Sequence[tuple[BoolArray, FloatArray]]) -> ReliabilityCurve | None:
    """Compute the reliability curve of one output.

    Args:
        name: Title of the panel.
        cases: For each seed, the labels and the probabilities of the labelled utterances, both (utterance,).

    Returns:
        The curve, or None if no utterance is labelled.
    """
    probability = np.concatenate([values for _, values in cases])
    if not probability.size:
        return None
    inner = equal_count_edges(probability, N_BINS)
    return ReliabilityCurve(
        name,
        reliability(np.concatenate([present for present, _ in cases]), probability, inner),
        np.concatenate([[probability.min()], inner, [probability.max()]]),
        np.stack([reliability(present, values, inner).share for present, values in cases]),
    )


@figure_style()
def draw_reliability(data: ReliabilityData) -> Figure:
    """Return a figure with one panel per output. A narrow panel below each shows the number of utterances per bin."""
    n_columns = min(N_COLUMNS, len(data.curves))
    n_rows = -(-len(data.curves) // n_columns)
    # keep the size of a panel when there are fewer than N_COLUMNS
    width = PAGE * max(n_columns, 2) / N_COLUMNS
    figure = new_figure(width, 2.35 * n_rows, f"Reliability of the probabilities\n{data.heading}", NOTE)
    grid = figure.subplots(2 * n_rows, n_columns, squeeze=False, height_ratios=[4, 1] * n_rows)
    for number in range(n_rows * n_columns):
        row, column = divmod(number, n_columns)
        top, strip = grid[2 * row, column], grid[2 * row + 1, column]
        if number < len(data.curves):
            _draw_curve(top, data.curves[number])
            _draw_counts(strip, data.curves[number])
            if column == 0:
                top.set_ylabel("share of cases")
                strip.set_ylabel("count")
            strip.set_xlabel("predicted probability")
        else:
            top.set_visible(False)
            strip.set_visible(False)
    return figure


def _labelled_outputs(runs: Sequence[Predictions]) -> Iterator[tuple[str, list[tuple[BoolArray, FloatArray]]]]:
    """Yield the title of each output that is a probability, with its labels and probabilities in each run.

    Only labelled utterances are included.
    """
    tasks = {(task.name, task.kind): task for run in runs for task in run.predicted_tasks}
    for task in tasks.values():
        predicting = [run for run in runs if task.name in run.outputs and run.tasks[task.name].kind == task.kind]
        if task.predicts_degrees:
            continue
        cases = []
        for run in predicting:
            targets, scored = targets_of(task, run)
            cases.append((np.asarray(targets[scored], dtype=np.bool_), run.outputs[task.name][scored]))
        for column, output in enumerate(task.outputs):
            title = TITLES.get((task.kind, output)) if task.space.is_paper else None
            title = title or output_name(task, output)
            yield title, [(present[:, column], probability[:, column]) for present, probability in cases]


def _draw_curve(axes: Axes, curve: ReliabilityCurve) -> None:
    used = curve.pooled.n_cases > 0
    positions = curve.pooled.probability[used]
    shares = curve.per_seed[:, used]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 2)), linewidth=0.8)
    axes.fill_between(
        positions, np.nanmin(shares, axis=0), np.nanmax(shares, axis=0), color=BLUE, alpha=0.25, linewidth=0
    )
    axes.plot(positions, curve.pooled.share[used], color=BLUE, marker="o", markersize=2.8, linewidth=1, gid="pooled")
    n_present, n = curve.pooled.n_present.sum(), curve.pooled.n_cases.sum()
    axes.set_title(f"{curve.name}\n{n_present / n:.1%} of {n:,.0f}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.tick_params(labelbottom=False)
    percent_axis(axes, "y", 4)
    axes.xaxis.set_ticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)


def _draw_counts(axes: Axes, curve: ReliabilityCurve) -> None:
    axes.bar(
        curve.edges[:-1],
        curve.pooled.n_cases,
        np.diff(curve.edges),
        align="edge",
        color="#CFE3F0",
        edgecolor=BLUE,
        linewidth=0.3,
        gid="count",
    )
    most = int(curve.pooled.n_cases.max())
    axes.set(xlim=(0, 1), ylim=(0, most * 1.05), yticks=[0, most])
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
