"""All systems of a benchmark beside each other, one row each: scores per emotion, every seed, every protocol."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import Benchmark, LeftOut, SystemScores, means_and_sds
from mien.reports.style import (
    BAND,
    BLUE,
    FONT_SIZE,
    GREY,
    INK,
    ORANGE,
    PAGE,
    add_legend,
    house_style,
    new_figure,
    percent_axis,
)
from mien.schema import EMOTIONS, FloatArray

NAME_CHARACTERS = 30
NAME_LINE_HEIGHT = FONT_SIZE * 1.3 / 72
ROW_HEIGHT = 0.17
DAGGER_NOTE = "† experimental: an adapted or approximate version of the published system."


EMOTION_SCORES = {"weighted_accuracy": "weighted accuracy", "weighted_f1": "weighted F1"}
PER_EMOTION_NOTE = (
    "A bar goes from the constant predictor (dashed) to the mean over the seeds: to its left, a system is worse than "
    "saying the same thing always. Whisker: s.d. over the seeds. Blue: the reference."
)


@dataclass(frozen=True, slots=True)
class EmotionScores:
    """One score of one emotion."""

    mean: FloatArray  # (system,)
    sd: FloatArray  # (system,), NaN with one seed
    trivial: float


@dataclass(frozen=True, slots=True)
class PerEmotion:
    """What is drawn."""

    benchmark: Benchmark
    systems: tuple[SystemScores, ...]
    panels: Mapping[str, Mapping[str, EmotionScores]]  # score -> emotion -> numbers


def collect_per_emotion(benchmark: Benchmark) -> PerEmotion | LeftOut:
    """All systems that predict emotions, under the protocol clean."""
    systems = benchmark.scored("emotion.weighted_f1_mean6")
    if not systems:
        return LeftOut("no system has emotion scores on this split")
    panels = {}
    for score in EMOTION_SCORES:
        panels[score] = {
            emotion: EmotionScores(
                *means_and_sds(systems, _emotion_path(emotion, score)),
                benchmark.trivial(_emotion_path(emotion, score)),
            )
            for emotion in EMOTIONS
        }
    return PerEmotion(benchmark, tuple(systems), panels)


@house_style()
def draw_per_emotion(data: PerEmotion) -> Figure:
    """One block of six panels per score, one row per system."""
    layout = RowLayout(
        f"Scores per emotion\n{data.benchmark.heading()}",
        PER_EMOTION_NOTE,
        [tuple(panels) for panels in data.panels.values()],
        [EMOTION_SCORES[score] for score in data.panels],
        share_x=True,
    )
    figure, axes_of_panels = row_panels(data.benchmark, data.systems, layout)
    numbers = [scores for panels in data.panels.values() for scores in panels.values()]
    colours = [BLUE if system.name == data.benchmark.reference else GREY for system in data.systems]
    for axes, scores in zip(axes_of_panels, numbers, strict=True):
        start = 0.0 if np.isnan(scores.trivial) else scores.trivial
        axes.barh(
            np.arange(len(data.systems)),
            scores.mean - start,
            0.7,
            left=start,
            xerr=np.nan_to_num(scores.sd),
            color=colours,
            error_kw={"elinewidth": 0.6, "ecolor": INK},
            zorder=3,
        )
        trivial_line(axes, scores.trivial)
        axes.use_sticky_edges = False  # else a bar's foot, the dashed line, would be the edge of the panel
        axes.margins(x=0.12)
        percent_axis(axes, "x", 2)
    return figure


def _emotion_path(emotion: str, score: str) -> str:
    return f"emotion.per_emotion.{emotion}.{score}"


SEED_SPREAD_NOTE = (
    "Dots: one per seed. Bar: mean over the seeds. Line: 95 % interval of the mean by bootstrap over videos. "
    "Dashed: constant predictor. Blue: the reference."
)


@dataclass(frozen=True, slots=True)
class Spread:
    """One score of one system."""

    seeds: FloatArray  # (seed,)
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """What is drawn."""

    benchmark: Benchmark
    panels: Mapping[str, tuple[Spread, ...]]  # name of the score -> one entry per system
    trivial: Mapping[str, float]


def collect_seed_spread(benchmark: Benchmark) -> SeedSpread | LeftOut:
    """All systems under the protocol clean."""
    headline = benchmark.headline()
    if not headline:
        return LeftOut("no system has a score on this split")
    panels = {
        name: tuple(
            Spread(system.per_seed("clean", path), system.mean("clean", path), system.interval("clean", path))
            for system in benchmark.systems
        )
        for path, name in headline.items()
    }
    return SeedSpread(benchmark, panels, {name: benchmark.trivial(path) for path, name in headline.items()})


@house_style()
def draw_seed_spread(data: SeedSpread) -> Figure:
    """One panel per score, one row per system."""
    systems: tuple[SystemScores, ...] = data.benchmark.systems
    layout = RowLayout(
        f"Scores of every seed\n{data.benchmark.heading()}",
        SEED_SPREAD_NOTE,
        [tuple(data.panels)],
        [""],
        row_height=0.19,
    )
    figure, axes_of_panels = row_panels(data.benchmark, systems, layout)
    for axes, (name, spreads) in zip(axes_of_panels, data.panels.items(), strict=True):
        for row, (system, spread) in enumerate(zip(systems, spreads, strict=True)):
            colour = BLUE if system.name == data.benchmark.reference else GREY
            if spread.interval is not None:
                axes.plot(spread.interval, [row, row], color=colour, linewidth=1.4, zorder=2, gid=f"interval {row}")
            # a little up and down, so that equal seeds are seen to be several
            places = row + 0.22 * np.linspace(-1, 1, len(spread.seeds)) if len(spread.seeds) > 1 else [row]
            axes.scatter(
                spread.seeds, places, s=7, color=colour, edgecolors="white", linewidths=0.3, zorder=4, gid=f"row {row}"
            )
            axes.plot(spread.mean, row, marker="|", markersize=8, markeredgewidth=1.4, color=INK, zorder=3)
        trivial_line(axes, data.trivial[name])
        percent_axis(axes, "x", 4)
    return figure


CLEAN, FIXED, RELEASED = "clean", "fixed", "released"
LABELS = {
    CLEAN: "clean: chosen on valid",
    FIXED: "fixed: the paper's thresholds",
    RELEASED: "released - upper bound: chosen on the scored split",
}
PROTOCOL_GAP_NOTE = "Mean over the seeds. Dashed: constant predictor."
RELEASED_NOTE = (
    " Line: from clean to released. Hollow marks are no results: each is the best of all epochs and thresholds on the "
    "scored split itself."
)


@dataclass(frozen=True, slots=True)
class ProtocolGap:
    """What is drawn."""

    benchmark: Benchmark
    # name of the score -> protocol -> (system,) mean over the seeds, NaN where there is none
    panels: Mapping[str, Mapping[str, FloatArray]]
    trivial: Mapping[str, float]


def collect_protocol_gap(benchmark: Benchmark) -> ProtocolGap | LeftOut:
    """All systems under the protocols that the benchmark was scored with."""
    have = [name for name in LABELS if benchmark.headline(name)]
    if len(have) < 2:
        return LeftOut(f"scored under {' and '.join(have) or 'no protocol'} alone: there is no gap to show")
    names = {path: name for protocol in have for path, name in benchmark.headline(protocol).items()}
    panels = {
        name: {protocol: np.array([system.mean(protocol, path) for system in benchmark.systems]) for protocol in have}
        for path, name in names.items()
    }
    return ProtocolGap(benchmark, panels, {name: benchmark.trivial(path) for path, name in names.items()})


@house_style()
def draw_protocol_gap(data: ProtocolGap) -> Figure:
    """One panel per score, one row per system, one mark per protocol."""
    protocols = list(next(iter(data.panels.values())))
    layout = RowLayout(
        f"The gap between protocols\n{data.benchmark.heading('protocols ' + ', '.join(protocols), protocols[0])}",
        PROTOCOL_GAP_NOTE + (RELEASED_NOTE if RELEASED in protocols else ""),
        [tuple(data.panels)],
        [""],
        row_height=0.2,
        legend=True,
    )
    figure, axes_of_panels = row_panels(data.benchmark, data.benchmark.systems, layout)
    for axes, (name, by_protocol) in zip(axes_of_panels, data.panels.items(), strict=True):
        _protocol_gap_panel(axes, by_protocol)
        trivial_line(axes, data.trivial[name])
        percent_axis(axes, "x", 4)
    add_legend(figure, axes_of_panels[0])
    return figure


def _protocol_gap_panel(axes: Axes, by_protocol: Mapping[str, FloatArray]) -> None:
    rows = np.arange(len(next(iter(by_protocol.values()))))
    if CLEAN in by_protocol and RELEASED in by_protocol:
        axes.hlines(rows, by_protocol[CLEAN], by_protocol[RELEASED], color=GREY, linewidth=0.8, zorder=2)
    # fixed stands a little lower, and clean shows through released: they may be equal
    marks = {
        CLEAN: (0.0, "o", BLUE, BLUE, 16),
        FIXED: (0.26, "^", ORANGE, ORANGE, 13),
        RELEASED: (0.0, "D", "none", INK, 26),
    }
    for protocol, values in by_protocol.items():
        shift, marker, face, edge, size = marks[protocol]
        axes.scatter(
            values,
            rows + shift,
            s=size,
            marker=marker,
            facecolors=face,
            edgecolors=edge,
            linewidths=0.8,
            label=LABELS[protocol],
            zorder=3 if protocol != RELEASED else 4,
            gid=protocol,
        )


@dataclass(frozen=True, slots=True)
class RowLayout:
    """What a figure of rows is made of."""

    title: str
    note: str
    # one block of panels below the other: the titles of its panels
    blocks: Sequence[Sequence[str]]
    # what stands below the panels of each block
    axis_labels: Sequence[str]
    row_height: float = ROW_HEIGHT
    # whether the panels of a block have one scale
    share_x: bool = False
    # whether `add_legend` will follow
    legend: bool = False


def row_panels(benchmark: Benchmark, systems: Sequence[SystemScores], layout: RowLayout) -> tuple[Figure, list[Axes]]:
    """A figure of page width with empty panels, row 0 on top; the reference's name is bold.

    Returns:
        The figure, and its panels block by block.
    """
    note = layout.note + (f" {DAGGER_NOTE}" if any(system.experimental for system in systems) else "")
    labels = [textwrap.fill(system.label, NAME_CHARACTERS) for system in systems]
    lines = max(label.count("\n") + 1 for label in labels)
    block_height = len(systems) * max(layout.row_height, lines * NAME_LINE_HEIGHT)
    # above and below the rows of a block: its titles, tick labels and axis label
    around = 0.62
    body = len(layout.blocks) * (block_height + around)
    figure = new_figure(PAGE, body, layout.title, note, legend=layout.legend)
    n_columns = max(len(block) for block in layout.blocks)
    grid = figure.subplots(
        len(layout.blocks), n_columns, sharex="row" if layout.share_x else False, sharey=True, squeeze=False
    )
    panels = []
    for axes_of_block, titles, below in zip(grid, layout.blocks, layout.axis_labels, strict=True):
        for number, axes in enumerate(axes_of_block):
            if number >= len(titles):
                axes.set_visible(False)
                continue
            axes.set_title(textwrap.fill(titles[number], max(12, int(86 / n_columns))))
            axes.set_xlabel(below)
            _rows(axes, len(systems))
            panels.append(axes)
    first = grid[0][0]
    first.set_yticks(range(len(systems)), labels)
    for axes_of_block in grid:
        for tick, system in zip(axes_of_block[0].get_yticklabels(), systems, strict=True):
            tick.set_fontweight("bold" if system.name == benchmark.reference else "normal")
    first.set_ylim(len(systems) - 0.5, -0.5)
    return figure, panels


def trivial_line(axes: Axes, value: float) -> None:
    """A dashed line where the constant predictor stands; nothing if that is unknown."""
    if not np.isnan(value):
        axes.axvline(value, color=INK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=2, gid="trivial")


def _rows(axes: Axes, n: int) -> None:
    for row in range(0, n, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
