"""The paper's figures on joint learning: Figures 2 and 3, and how often each emotion is predicted.

For anger the paper counts 1173 predictions of the joint system, 951 of the single-task system and 1063 utterances in
the labels. It does not state the threshold. `prediction_counts` therefore shows the counts at both thresholds of the
protocol clean: the one chosen for weighted accuracy and the one chosen for weighted F1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mien.benchmark.view import (
    BenchmarkView,
    OmittedFigure,
    SystemFamily,
    SystemScores,
    VideoAttention,
    figure_titles,
    means_and_sds,
)
from mien.reports.style import (
    BLUE,
    COLUMN,
    INK,
    ORANGE,
    add_legend,
    figure_style,
    new_figure,
    percent_axis,
    percent_format,
)
from mien.schema import EMOTION, EMOTION_OUTPUTS, EMOTIONS, NO_EMOTION, FloatArray

BAR_WIDTH = 0.38
JOINT_VS_SINGLE_NOTE = (
    "A bar goes from the constant predictor (dashed) to the mean over the seeds, so its length is what was learned. "
    "Whisker: s.d. over the seeds."
)


@dataclass(frozen=True, slots=True)
class ArmScores:
    """Values of one score for systems trained on both tasks together (joint) and on one task (single).

    Each array has the mean or s.d. over the seeds for every family of systems; `trivial` is the score of the constant
    predictor. Undefined values are NaN.
    """

    joint: FloatArray  # (family,) mean; the other arrays have the same shape
    joint_sd: FloatArray
    single: FloatArray
    single_sd: FloatArray
    trivial: float


@figure_style()
def joint_vs_single(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw the scores of joint and of single-task learning side by side, under the protocol clean.

    A family of systems is all systems with the same model, inputs and settings. There is one panel per score. A panel
    has two bars per family: one for training on both tasks together (joint), and one for training on the score's task
    alone.
    """
    families = [family for family in benchmark.families() if family.joint and family.single]
    if not families:
        return OmittedFigure("no system was trained both for the two tasks together and for one of them alone")
    panels = {}
    for path, name in figure_titles(benchmark.systems).items():
        task = path.split(".")[0]
        joint, joint_sd = means_and_sds([family.joint for family in families], path)
        single, single_sd = means_and_sds([family.single.get(task) for family in families], path)
        arms = ArmScores(joint, joint_sd, single, single_sd, benchmark.trivial(path))
        if not np.isnan(arms.single).all() and not np.isnan(arms.joint).all():
            panels[name] = arms
    if not panels:
        return OmittedFigure("no score is defined for a joint and a single-task system")
    title = f"Joint against single-task learning\n{benchmark.heading()}"
    figure = new_figure(COLUMN, 0.3 + 1.3 * len(panels), title, JOINT_VS_SINGLE_NOTE, legend=True)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, arms) in zip(grid, panels.items(), strict=True):
        _joint_vs_single_panel(axes, arms)
        axes.set_title(name, loc="left")
    grid[-1].set_xticks(range(len(families)), _input_labels(families))
    grid[-1].set_xlabel("inputs (T text, A acoustic, V visual)")
    add_legend(figure, grid[0])
    return figure


def _joint_vs_single_panel(axes: Axes, arms: ArmScores) -> None:
    start = 0.0 if np.isnan(arms.trivial) else arms.trivial
    positions = np.arange(len(arms.joint))
    for shift, means, sds, label, colour, hatch in (
        (-BAR_WIDTH / 2, arms.single, arms.single_sd, "single task", ORANGE, "////"),
        (BAR_WIDTH / 2, arms.joint, arms.joint_sd, "joint", BLUE, None),
    ):
        axes.bar(
            positions + shift,
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
    axes.use_sticky_edges = False  # else the panel may end at the dashed line, where the bars start
    axes.margins(x=0.02, y=0.12)
    percent_axis(axes, "y", 4)


def _input_labels(families: list[SystemFamily]) -> tuple[str, ...]:
    """Return one tick label per family: its set of inputs, such as T+V.

    If two families have the same set of inputs, every label also has the name of the family's joint system.
    """
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


@figure_style()
def prediction_counts(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw how many utterances get each emotion in the predictions and in the gold labels.

    The predictions are from two systems of `BenchmarkView.reference_family`: one trained on both tasks together, and
    one trained on emotions alone. One panel is for thresholds chosen for weighted accuracy, the other for thresholds
    chosen for weighted F1.
    """
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
        return OmittedFigure("neither the reference nor its single-task version predicts emotions")
    first = next(iter(systems.values()))
    gold = _counts_per_output(first, "n_positive")[0], np.full(len(EMOTION_OUTPUTS), np.nan)
    title = f"Predicted against gold utterances per emotion\n{first.model} {first.letters} on {benchmark.heading()}"
    figure = new_figure(COLUMN, 0.25 + 1.65 * len(POINTS), title, PREDICTION_COUNTS_NOTE, legend=True)
    grid = figure.subplots(len(POINTS), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (point, panel_title) in zip(grid, POINTS.items(), strict=True):
        predicted = {side: _counts_per_output(system, point) for side, system in systems.items()}
        _prediction_counts_panel(axes, {GOLD: gold} | predicted)
        axes.set_title(panel_title, loc="left")
        axes.set_ylabel("utterances")
    names = [*EMOTIONS, "no emotion"]
    grid[-1].set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    add_legend(figure, grid[0])
    return figure


def _prediction_counts_panel(axes: Axes, sides: Mapping[str, tuple[FloatArray, FloatArray]]) -> None:
    """Draw how many utterances have each emotion, as one group of bars per emotion.

    Args:
        axes: The panel.
        sides: Name of the bars ("gold", "joint" or "single task") -> number of utterances with each emotion. The two
            arrays are the mean and the s.d. over the seeds, both (output,).
    """
    width = 0.84 / len(sides)
    for number, (side, (means, sds)) in enumerate(sides.items()):
        colour, hatch = LOOKS[side]
        positions = np.arange(len(means)) + (number - (len(sides) - 1) / 2) * width
        axes.bar(
            positions,
            means,
            width,
            yerr=None if side == GOLD else np.nan_to_num(sds),
            label=side,
            color=colour,
            hatch=hatch,
            edgecolor=INK if side == GOLD else "white",
            linewidth=0.5,
            error_kw={"elinewidth": 0.6, "ecolor": INK},
            gid=side,
        )
        for position, top, value in zip(positions, means + np.nan_to_num(sds), means, strict=True):
            if not np.isnan(value):
                axes.annotate(
                    f"{value:,.0f}",
                    (position, top),
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


def _counts_per_output(system: SystemScores, key: str) -> tuple[FloatArray, FloatArray]:
    """Return a count for each emotion, as mean and s.d. over the seeds, both (output,).

    `key` is the name under which the results of the system store the count.
    """
    pairs = [means_and_sds([system], _count_path(name, key)) for name in EMOTION_OUTPUTS]
    return np.concatenate([mean for mean, _ in pairs]), np.concatenate([sd for _, sd in pairs])


def _count_path(output: str, key: str) -> str:
    return f"emotion.no_emotion.{key}" if output == NO_EMOTION else f"emotion.per_emotion.{output}.{key}"


ARROW = "->"
COLOURS = "cividis"
MAX_TICKS = 7


@dataclass(frozen=True, slots=True)
class AttentionHalf:
    """Attention from one modality to another.

    Row i of `weights` (utterance, context) has the weights with which the features of utterance i in the modality
    `asking` attend to the features of all utterances in the modality `attended`.
    """

    attended: str
    asking: str
    weights: FloatArray


def attention_halves(attention: VideoAttention) -> list[tuple[AttentionHalf, ...]]:
    """Group attention weights by pair of modalities, as (left half, right half).

    The attention of a modality to itself has a single half. In a left half the second modality attends to the first; in
    a right half the first attends to the second. For text features T and visual features V, the left half is softmax(V
    T^T) ("visual->text") and the right half is softmax(T V^T). The paper describes its right half in the same way ("the
    visual features of all the utterances").
    """
    halves: list[tuple[AttentionHalf, ...]] = []
    for name, weights in attention.maps.items():
        first, second = name.split(ARROW)
        reverse = f"{second}{ARROW}{first}"
        if first == second:
            halves.append((AttentionHalf(first, first, weights),))
        elif reverse in attention.maps and (second, first) not in [(p[0].attended, p[0].asking) for p in halves]:
            halves.append(
                (AttentionHalf(first, second, attention.maps[reverse]), AttentionHalf(second, first, weights))
            )
    return halves


@figure_style()
def attention_maps(attention: VideoAttention) -> Figure:
    """Draw the attention that utterances of a video give to each other (the paper's Figure 3).

    There is one panel per pair of modalities, and all panels have the same colour scale.
    """
    pairs = attention_halves(attention)
    chosen = f" ({attention.chosen_by})" if attention.chosen_by else ""
    title = (
        f"Attention of {attention.system}, seed {attention.seed}\n{attention.dataset}, {attention.split} split, "
        f"video {attention.video_id}{chosen}"
    )
    note = (
        "Row i, column j: weight of utterance j for judging utterance i; a row of one half sums to 100 %. "
        "Numbers are the utterances' indices."
    )
    note += " Right of a dotted line: padding." if any(_n_padded(half) for pair in pairs for half in pair) else ""
    figure = new_figure(COLUMN, 0.5 + 1.85 * len(pairs), title, note)
    grid = figure.subplots(len(pairs), 1, squeeze=False)[:, 0]
    weights = [half.weights for pair in pairs for half in pair]
    scale = Normalize(min(float(each.min()) for each in weights), max(float(each.max()) for each in weights))
    for axes, pair in zip(grid, pairs, strict=True):
        image = _attention_panel(axes, pair, attention.utterances, scale)
    bar = figure.colorbar(image, ax=list(grid), location="bottom", shrink=0.6, aspect=30, pad=0.02)
    bar.ax.xaxis.set_major_formatter(percent_format())
    bar.set_label("attention weight")
    return figure


def _n_padded(half: AttentionHalf) -> int:
    n_utterances, n_context = half.weights.shape
    return int(n_context - n_utterances)


def _attention_panel(
    axes: Axes, pair: tuple[AttentionHalf, ...], utterances: tuple[int, ...], scale: Normalize
) -> AxesImage:
    image = axes.imshow(
        np.hstack([half.weights for half in pair]), cmap=COLOURS, norm=scale, aspect="auto", interpolation="nearest"
    )
    axes.spines[:].set_visible(True)
    ticked = range(0, len(utterances), -(-len(utterances) // MAX_TICKS))
    axes.set_yticks(list(ticked), [str(utterances[number]) for number in ticked])
    ticks, start = [], 0
    for half in pair:
        ticks += [(start + number, str(utterances[number])) for number in ticked]
        width = half.weights.shape[1]
        if _n_padded(half):
            axes.axvline(start + len(utterances) - 0.5, color="white", linestyle=":", linewidth=0.8, gid="padding")
        axes.text(
            (start + width / 2) / sum(each.weights.shape[1] for each in pair),
            1.02,
            f"attended to: {half.attended}\nasked by: {half.asking}",
            transform=axes.transAxes,
            ha="center",
            va="bottom",
        )
        start += width
        if half is not pair[-1]:
            axes.axvline(start - 0.5, color="white", linewidth=2.6)
            axes.axvline(start - 0.5, color=INK, linewidth=1.2, gid="separator")
    axes.set_xticks([position for position, _ in ticks], [name for _, name in ticks])
    axes.set_xlabel("attended utterance j of " + " | ".join(half.attended for half in pair))
    axes.set_ylabel("judged utterance i of\n" + " | ".join(half.asking for half in pair))
    return image
