"""Joint against single-task learning: the scores (the paper's Figure 2), and how often each emotion is predicted.

The paper counts 1173 (joint) against 951 (single) and 1063 in the labels, and does not say at which threshold; here
both operating points of the protocol clean are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import Benchmark, Family, LeftOut, SystemScores, figure_titles, means_and_sds
from mien.reports.style import BLUE, COLUMN, INK, ORANGE, add_legend, house_style, new_figure, percent_axis
from mien.schema import EMOTION_OUTPUTS, EMOTIONS, NO_EMOTION, FloatArray
from mien.tasks import EMOTION

BAR_WIDTH = 0.38
JOINT_VS_SINGLE_NOTE = (
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


def collect_joint_vs_single(benchmark: Benchmark) -> JointVsSingle | LeftOut:
    """Every family that has a joint and some single-task system, under the protocol clean."""
    families = [family for family in benchmark.families() if family.joint and family.single]
    if not families:
        return LeftOut("no system was trained both for the two tasks together and for one of them alone")
    panels = {}
    for path, name in figure_titles().items():
        task = path.split(".")[0]
        joint, joint_sd = means_and_sds([family.joint for family in families], path)
        single, single_sd = means_and_sds([family.single.get(task) for family in families], path)
        arms = Arms(joint, joint_sd, single, single_sd, benchmark.trivial(path))
        if not np.isnan(arms.single).all() and not np.isnan(arms.joint).all():
            panels[name] = arms
    if not panels:
        return LeftOut("no score is defined for a joint and a single-task system")
    return JointVsSingle(benchmark.heading(), _labels(families), panels)


@house_style()
def draw_joint_vs_single(data: JointVsSingle) -> Figure:
    """One panel per score, below each other; two bars per input set."""
    title = f"Joint against single-task learning\n{data.heading}"
    figure = new_figure(COLUMN, 0.3 + 1.3 * len(data.panels), title, JOINT_VS_SINGLE_NOTE, legend=True)
    grid = figure.subplots(len(data.panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, arms) in zip(grid, data.panels.items(), strict=True):
        _joint_vs_single_panel(axes, arms)
        axes.set_title(name, loc="left")
    grid[-1].set_xticks(range(len(data.families)), data.families)
    grid[-1].set_xlabel("inputs (T text, A acoustic, V visual)")
    add_legend(figure, grid[0])
    return figure


def _joint_vs_single_panel(axes: Axes, arms: Arms) -> None:
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


POINTS = {
    "n_predicted_positive": "thresholds chosen for weighted accuracy",
    "n_predicted_positive_at_f1_threshold": "thresholds chosen for weighted F1",
}
PREDICTION_COUNTS_NOTE = "Mean over the seeds; whisker: s.d. Thresholds are chosen on valid, per emotion."
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


def collect_prediction_counts(benchmark: Benchmark) -> PredictionCounts | LeftOut:
    """The reference's family; without a single-task partner the reference alone."""
    family = benchmark.reference_family()
    systems: dict[str, SystemScores] = {}
    if family is not None:
        sides = {JOINT: family.joint, SINGLE: family.single.get(EMOTION)}
        systems = {
            side: system
            for side, system in sides.items()
            if system is not None
            and not np.isnan(system.mean("clean", _count_path(EMOTIONS[0], "n_predicted_positive")))
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


@house_style()
def draw_prediction_counts(data: PredictionCounts) -> Figure:
    """One panel per operating point, below each other; the numbers stand on the bars."""
    title = f"Predicted against gold utterances per emotion\n{data.heading}"
    figure = new_figure(COLUMN, 0.25 + 1.65 * len(data.panels), title, PREDICTION_COUNTS_NOTE, legend=True)
    grid = figure.subplots(len(data.panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (point, sides) in zip(grid, data.panels.items(), strict=True):
        _prediction_counts_panel(axes, sides)
        axes.set_title(POINTS[point], loc="left")
        axes.set_ylabel("utterances")
    names = [*EMOTIONS, "no emotion"]
    grid[-1].set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    add_legend(figure, grid[0])
    return figure


def _prediction_counts_panel(axes: Axes, sides: Mapping[str, Counts]) -> None:
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
    pairs = [means_and_sds([system], _count_path(name, key)) for name in EMOTION_OUTPUTS]
    return np.concatenate([mean for mean, _ in pairs]), np.concatenate([sd for _, sd in pairs])


def _count_path(output: str, key: str) -> str:
    return f"emotion.no_emotion.{key}" if output == NO_EMOTION else f"emotion.per_emotion.{output}.{key}"
