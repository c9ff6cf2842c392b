"""Figures with one row per system of a benchmark: scores of each emotion, of each seed, and under each protocol."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import BenchmarkView, OmittedFigure, SystemScores, means_and_sds
from mien.reports.style import (
    BAND,
    BLUE,
    FONT_SIZE,
    GREY,
    INK,
    ORANGE,
    PAGE,
    add_legend,
    figure_style,
    new_figure,
    percent_axis,
)
from mien.schema import EMOTIONS, FloatArray

NAME_CHARACTERS = 30
NAME_LINE_HEIGHT = FONT_SIZE * 1.3 / 72
DAGGER_NOTE = "† experimental: an adapted or approximate version of the published system."


EMOTION_SCORES = {"weighted_accuracy": "weighted accuracy", "weighted_f1": "weighted F1 at W-Acc's thresholds"}
PER_EMOTION_NOTE = (
    "A bar goes from the constant predictor (dashed) to the mean over the seeds: to its left, a system is worse than "
    "saying the same thing always. Whisker: s.d. over the seeds. Blue: the reference."
)


@figure_style()
def per_emotion(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw weighted accuracy and F1 of every system under the protocol clean, one panel per emotion and score."""
    systems = benchmark.scored("emotion.weighted_f1_mean6")
    if not systems:
        return OmittedFigure("no system has emotion scores on this split")
    title = f"Scores per emotion\n{benchmark.heading()}"
    blocks = dict.fromkeys(EMOTION_SCORES.values(), EMOTIONS)
    figure, axes_of_panels = row_panels(benchmark, systems, title, PER_EMOTION_NOTE, blocks, share_x=True)
    paths = [f"emotion.per_emotion.{emotion}.{score}" for score in EMOTION_SCORES for emotion in EMOTIONS]
    colours = [BLUE if system.name == benchmark.reference else GREY for system in systems]
    for axes, path in zip(axes_of_panels, paths, strict=True):
        means, sds = means_and_sds(systems, path)
        trivial = benchmark.trivial(path)
        start = 0.0 if np.isnan(trivial) else trivial
        axes.barh(
            np.arange(len(systems)),
            means - start,
            0.7,
            left=start,
            xerr=np.nan_to_num(sds),
            color=colours,
            error_kw={"elinewidth": 0.6, "ecolor": INK},
            zorder=3,
        )
        trivial_line(axes, trivial)
        axes.use_sticky_edges = False  # else the panel would end at the dashed line, where the bars start
        axes.margins(x=0.12)
        percent_axis(axes, "x", 2)
    return figure


SEED_SPREAD_NOTE = (
    "Dots: one per seed. Bar: mean over the seeds. Line: 95 % interval of the mean by bootstrap over videos. "
    "Dashed: constant predictor. Blue: the reference."
)


@figure_style()
def seed_spread(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw the headline scores of every seed of every system under the protocol clean, one panel per score."""
    headline = benchmark.headline()
    if not headline:
        return OmittedFigure("no system has a score on this split")
    title = f"Scores of every seed\n{benchmark.heading()}"
    blocks = {"": tuple(headline.values())}
    figure, axes_of_panels = row_panels(benchmark, benchmark.systems, title, SEED_SPREAD_NOTE, blocks, row_height=0.19)
    for axes, path in zip(axes_of_panels, headline, strict=True):
        for row, system in enumerate(benchmark.systems):
            colour = BLUE if system.name == benchmark.reference else GREY
            interval, seeds = system.interval("clean", path), system.per_seed("clean", path)
            if interval is not None:
                axes.plot(interval, [row, row], color=colour, linewidth=1.4, zorder=2, gid=f"interval {row}")
            # vertical offsets keep the dots of equal scores apart
            positions = row + 0.22 * np.linspace(-1, 1, len(seeds)) if len(seeds) > 1 else [row]
            axes.scatter(
                seeds, positions, s=7, color=colour, edgecolors="white", linewidths=0.3, zorder=4, gid=f"row {row}"
            )
            mean = system.mean("clean", path)
            axes.plot(mean, row, marker="|", markersize=8, markeredgewidth=1.4, color=INK, zorder=3)
        trivial_line(axes, benchmark.trivial(path))
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


@figure_style()
def protocol_gap(benchmark: BenchmarkView) -> Figure | OmittedFigure:
    """Draw the mean headline scores of every system under each protocol: one panel per score, one mark per protocol."""
    protocols = [name for name in LABELS if benchmark.headline(name)]
    if len(protocols) < 2:
        return OmittedFigure(f"scored under {' and '.join(protocols) or 'no protocol'} alone: there is no gap to show")
    names = {path: name for protocol in protocols for path, name in benchmark.headline(protocol).items()}
    title = f"The gap between protocols\n{benchmark.heading('protocols ' + ', '.join(protocols), protocols[0])}"
    note = PROTOCOL_GAP_NOTE + (RELEASED_NOTE if RELEASED in protocols else "")
    blocks = {"": tuple(names.values())}
    figure, axes_of_panels = row_panels(benchmark, benchmark.systems, title, note, blocks, row_height=0.2, legend=True)
    for axes, path in zip(axes_of_panels, names, strict=True):
        means = {
            protocol: np.array([system.mean(protocol, path) for system in benchmark.systems]) for protocol in protocols
        }
        _protocol_gap_panel(axes, means)
        trivial_line(axes, benchmark.trivial(path))
        percent_axis(axes, "x", 4)
    add_legend(figure, axes_of_panels[0])
    return figure


def _protocol_gap_panel(axes: Axes, by_protocol: Mapping[str, FloatArray]) -> None:
    rows = np.arange(len(next(iter(by_protocol.values()))))
    if CLEAN in by_protocol and RELEASED in by_protocol:
        axes.hlines(rows, by_protocol[CLEAN], by_protocol[RELEASED], color=GREY, linewidth=0.8, zorder=2)
    # equal scores would hide each other, so the marks of `fixed` are lower and those of `released` are hollow
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


def row_panels(
    benchmark: BenchmarkView,
    systems: Sequence[SystemScores],
    title: str,
    note: str,
    blocks: Mapping[str, Sequence[str]],
    *,
    row_height: float = 0.17,
    share_x: bool = False,
    legend: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of page width with empty panels. In each panel, every system gets one row.

    The name of the reference, the system that the others are compared with, is bold.

    Args:
        benchmark: Benchmark with the name of the reference.
        systems: Systems of the rows, from top to bottom.
        title: Title above all panels.
        note: Note below the panels on how to read the figure.
        blocks: Label of the x axes -> titles of the panels that have this label. These panels are side by side.
        row_height: Least height of a system's row in inches; long names increase it.
        share_x: Whether the panels with the same label share the x axis.
        legend: Whether to reserve space for `add_legend`.

    Returns:
        The figure, and its panels in the order of `blocks`.
    """
    if any(system.experimental for system in systems):
        note += f" {DAGGER_NOTE}"
    labels = [textwrap.fill(system.label, NAME_CHARACTERS) for system in systems]
    lines = max(label.count("\n") + 1 for label in labels)
    block_height = len(systems) * max(row_height, lines * NAME_LINE_HEIGHT)
    # height in inches of titles, tick labels and axis label of a block
    margins = 0.62
    body = len(blocks) * (block_height + margins)
    figure = new_figure(PAGE, body, title, note, legend=legend)
    n_columns = max(len(titles) for titles in blocks.values())
    grid = figure.subplots(len(blocks), n_columns, sharex="row" if share_x else False, sharey=True, squeeze=False)
    panels = []
    for axes_of_block, (below, titles) in zip(grid, blocks.items(), strict=True):
        for axes, heading in zip(axes_of_block, titles, strict=True):
            axes.set_title(textwrap.fill(heading, max(12, int(86 / n_columns))))
            axes.set_xlabel(below)
            _stripe_rows(axes, len(systems))
            panels.append(axes)
    first = grid[0][0]
    first.set_yticks(range(len(systems)), labels)
    for axes_of_block in grid:
        for tick, system in zip(axes_of_block[0].get_yticklabels(), systems, strict=True):
            tick.set_fontweight("bold" if system.name == benchmark.reference else "normal")
    first.set_ylim(len(systems) - 0.5, -0.5)
    return figure, panels


def trivial_line(axes: Axes, value: float) -> None:
    """Draw a dashed vertical line at the score of the constant predictor.

    Args:
        axes: Panel to draw into.
        value: The score; if it is NaN, nothing is drawn.
    """
    if not np.isnan(value):
        axes.axvline(value, color=INK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=2, gid="trivial")


def _stripe_rows(axes: Axes, n: int) -> None:
    for row in range(0, n, 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
