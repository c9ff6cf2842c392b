"""The paper's Figure 2: joint against single-task learning, per input set and score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import HEADLINE, Benchmark, Family, LeftOut, means_and_sds
from mien.reports.style import BLUE, COLUMN, INK, ORANGE, add_legend, new_figure, percent_axis, styled
from mien.schema import FloatArray

BAR_WIDTH = 0.38
NOTE = (
    "A bar goes from the constant predictor (dashed) to the mean over the seeds, so its length is what was learned. "
    "Whisker: s.d. over the seeds."
)


@dataclass(frozen=True, slots=True)
class Arms:
    """One score of both arms; NaN where an arm lacks it."""

    joint: FloatArray  # (family,) mean over the seeds
    joint_sd: FloatArray
    single: FloatArray
    single_sd: FloatArray
    trivial: float


@dataclass(frozen=True, slots=True)
class JointVsSingle:
    """What is drawn."""

    heading: str
    families: tuple[str, ...]
    panels: Mapping[str, Arms]  # name of the score -> its numbers


def collect(benchmark: Benchmark) -> JointVsSingle | LeftOut:
    """Every family that has a joint and some single-task system, under the protocol clean."""
    families = [family for family in benchmark.families() if family.joint and family.single]
    if not families:
        return LeftOut("no system was trained both for the two tasks together and for one of them alone")
    panels = {}
    for path, name in HEADLINE.items():
        task = path.split(".")[0]
        joint, joint_sd = means_and_sds([family.joint for family in families], path)
        single, single_sd = means_and_sds([family.single.get(task) for family in families], path)
        arms = Arms(joint, joint_sd, single, single_sd, benchmark.trivial(path))
        if not np.isnan(arms.single).all() and not np.isnan(arms.joint).all():
            panels[name] = arms
    if not panels:
        return LeftOut("no score is defined for a joint and a single-task system")
    return JointVsSingle(benchmark.heading(), _labels(families), panels)


@styled
def draw(data: JointVsSingle) -> Figure:
    """One panel per score, below each other; two bars per input set."""
    title = f"Joint against single-task learning\n{data.heading}"
    figure = new_figure(COLUMN, 0.3 + 1.3 * len(data.panels), title, NOTE, legend=True)
    grid = figure.subplots(len(data.panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, arms) in zip(grid, data.panels.items(), strict=True):
        _panel(axes, arms)
        axes.set_title(name, loc="left")
    grid[-1].set_xticks(range(len(data.families)), data.families)
    grid[-1].set_xlabel("inputs (T text, A acoustic, V visual)")
    add_legend(figure, grid[0])
    return figure


def _panel(axes: Axes, arms: Arms) -> None:
    start = 0.0 if np.isnan(arms.trivial) else arms.trivial
    places = np.arange(len(arms.joint))
    for shift, means, sds, label, colour, hatch in (
        (-BAR_WIDTH / 2, arms.single, arms.single_sd, "single task", ORANGE, "////"),
        (BAR_WIDTH / 2, arms.joint, arms.joint_sd, "joint", BLUE, None),
    ):
        axes.bar(
            places + shift,
            means - start,
            BAR_WIDTH,
            bottom=start,
            yerr=np.nan_to_num(sds),
            label=label,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.4,
            error_kw={"elinewidth": 0.7, "ecolor": INK, "capsize": 1.5, "capthick": 0.7},
            gid=label,
        )
    if not np.isnan(arms.trivial):
        axes.axhline(
            arms.trivial, color=INK, linestyle=(0, (4, 2)), linewidth=0.8, label="constant predictor", gid="trivial"
        )
    axes.use_sticky_edges = False  # else a bar's foot, the dashed line, may be the edge of the panel
    axes.margins(x=0.02, y=0.12)
    percent_axis(axes, "y", 4)


def _labels(families: list[Family]) -> tuple[str, ...]:
    """The input sets; with several models (or settings) the name of the joint system too."""
    letters = [family.any().letters for family in families]
    if len(set(letters)) == len(letters):
        return tuple(letters)
    return tuple(f"{family.joint.name if family.joint else ''}\n{family.any().letters}" for family in families)
