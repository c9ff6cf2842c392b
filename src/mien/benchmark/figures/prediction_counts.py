"""How often each emotion is predicted, against how often it is there: the paper's 1173 (joint) vs 951 (single) vs 1063.

The paper does not say at which threshold it counted; here both operating points of the protocol clean are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import Benchmark, LeftOut, SystemScores, means_and_sds
from mien.reports.style import BLUE, COLUMN, INK, ORANGE, add_legend, new_figure, styled
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, NO_EMOTION, FloatArray, Task

POINTS = {
    "n_predicted_positive": "thresholds chosen for weighted accuracy",
    "n_predicted_positive_at_f1_threshold": "thresholds chosen for weighted F1",
}
NOTE = "Mean over the seeds; whisker: s.d. Thresholds are chosen on valid, per emotion."
GOLD, JOINT, SINGLE = "gold", "joint", "single task"
LOOKS = {GOLD: ("white", None), JOINT: (BLUE, None), SINGLE: (ORANGE, "////")}


@dataclass(frozen=True, slots=True)
class Counts:
    """Utterances counted per output (output,), in the order of EMOTION_OUTPUTS."""

    mean: FloatArray
    sd: FloatArray  # NaN for gold and with one seed


@dataclass(frozen=True, slots=True)
class PredictionCounts:
    """What is drawn."""

    heading: str
    panels: Mapping[str, Mapping[str, Counts]]  # operating point -> gold, joint, single -> counts


def collect(benchmark: Benchmark) -> PredictionCounts | LeftOut:
    """The reference's family; without a single-task partner the reference alone."""
    family = benchmark.reference_family()
    systems: dict[str, SystemScores] = {}
    if family is not None:
        sides = {JOINT: family.joint, SINGLE: family.single.get(Task.EMOTION)}
        systems = {
            side: system
            for side, system in sides.items()
            if system is not None and not np.isnan(system.mean("clean", _path(EMOTIONS[0], "n_predicted_positive")))
        }
    if not systems:
        return LeftOut("neither the reference nor its single-task version predicts emotions")
    one = next(iter(systems.values()))
    undefined = np.full(len(EMOTION_OUTPUTS), np.nan)
    gold = Counts(_per_output(one, "n_positive")[0], undefined)
    panels = {
        point: {GOLD: gold} | {side: Counts(*_per_output(system, point)) for side, system in systems.items()}
        for point in POINTS
    }
    return PredictionCounts(f"{one.model} {one.letters} on {benchmark.heading()}", panels)


@styled
def draw(data: PredictionCounts) -> Figure:
    """One panel per operating point, below each other; the numbers stand on the bars."""
    title = f"Predicted against gold utterances per emotion\n{data.heading}"
    figure = new_figure(COLUMN, 0.25 + 1.65 * len(data.panels), title, NOTE, legend=True)
    grid = figure.subplots(len(data.panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (point, sides) in zip(grid, data.panels.items(), strict=True):
        _panel(axes, sides)
        axes.set_title(POINTS[point], loc="left")
        axes.set_ylabel("utterances")
    names = [*EMOTIONS, "no emotion"]
    grid[-1].set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    add_legend(figure, grid[0])
    return figure


def _panel(axes: Axes, sides: Mapping[str, Counts]) -> None:
    width = 0.84 / len(sides)
    for number, (side, counts) in enumerate(sides.items()):
        colour, hatch = LOOKS[side]
        places = np.arange(len(counts.mean)) + (number - (len(sides) - 1) / 2) * width
        axes.bar(
            places,
            counts.mean,
            width,
            yerr=None if side == GOLD else np.nan_to_num(counts.sd),
            label=side,
            color=colour,
            hatch=hatch,
            edgecolor=INK if side == GOLD else "white",
            linewidth=0.5,
            error_kw={"elinewidth": 0.6, "ecolor": INK},
            gid=side,
        )
        tops = counts.mean + np.nan_to_num(counts.sd)
        for place, top, value in zip(places, tops, counts.mean, strict=True):
            if not np.isnan(value):
                axes.annotate(
                    f"{value:,.0f}",
                    (place, top),
                    (0, 2),
                    textcoords="offset points",
                    rotation=90,
                    ha="center",
                    va="bottom",
                    fontsize=5.5,
                )
    axes.margins(x=0.01, y=0.28)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)


def _per_output(system: SystemScores, key: str) -> tuple[FloatArray, FloatArray]:
    """Mean and s.d. over the seeds (output,)."""
    pairs = [means_and_sds([system], _path(name, key)) for name in EMOTION_OUTPUTS]
    return np.concatenate([mean for mean, _ in pairs]), np.concatenate([sd for _, sd in pairs])


def _path(output: str, key: str) -> str:
    return f"emotion.no_emotion.{key}" if output == NO_EMOTION else f"emotion.per_emotion.{output}.{key}"
