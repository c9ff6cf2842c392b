"""Panels beside each other with one row per system, in the order of the plan: room for a whole table of systems."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.view import Benchmark, SystemScores
from mien.reports.style import BAND, FONT_SIZE, INK, PAGE, new_figure

NAME_CHARACTERS = 30
NAME_LINE_HEIGHT = FONT_SIZE * 1.3 / 72
ROW_HEIGHT = 0.17
DAGGER_NOTE = "† experimental: an adapted or approximate version of the published system."


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
