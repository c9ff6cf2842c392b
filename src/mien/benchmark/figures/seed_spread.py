"""Every seed of every system, with the interval that the choice of test videos gives: is a lead larger than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mien.benchmark.figures.rows import RowLayout, row_panels, trivial_line
from mien.benchmark.view import Benchmark, LeftOut, SystemScores
from mien.reports.style import BLUE, GREY, INK, percent_axis, styled
from mien.schema import FloatArray

NOTE = (
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


def collect(benchmark: Benchmark) -> SeedSpread | LeftOut:
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


@styled
def draw(data: SeedSpread) -> Figure:
    """One panel per score, one row per system."""
    systems: tuple[SystemScores, ...] = data.benchmark.systems
    layout = RowLayout(
        f"Scores of every seed\n{data.benchmark.heading()}", NOTE, [tuple(data.panels)], [""], row_height=0.19
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
