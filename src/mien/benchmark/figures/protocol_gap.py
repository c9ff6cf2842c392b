"""What choosing on the scored split adds: the same systems under clean, fixed and released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.benchmark.figures.rows import RowLayout, row_panels, trivial_line
from mien.benchmark.view import Benchmark, LeftOut
from mien.reports.style import BLUE, GREY, INK, ORANGE, add_legend, percent_axis, styled
from mien.schema import FloatArray

CLEAN, FIXED, RELEASED = "clean", "fixed", "released"
LABELS = {
    CLEAN: "clean: chosen on valid",
    FIXED: "fixed: the paper's thresholds",
    RELEASED: "released - upper bound: chosen on the scored split",
}
NOTE = "Mean over the seeds. Dashed: constant predictor."
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


def collect(benchmark: Benchmark) -> ProtocolGap | LeftOut:
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


@styled
def draw(data: ProtocolGap) -> Figure:
    """One panel per score, one row per system, one mark per protocol."""
    protocols = list(next(iter(data.panels.values())))
    layout = RowLayout(
        f"The gap between protocols\n{data.benchmark.heading('protocols ' + ', '.join(protocols), protocols[0])}",
        NOTE + (RELEASED_NOTE if RELEASED in protocols else ""),
        [tuple(data.panels)],
        [""],
        row_height=0.2,
        legend=True,
    )
    figure, axes_of_panels = row_panels(data.benchmark, data.benchmark.systems, layout)
    for axes, (name, by_protocol) in zip(axes_of_panels, data.panels.items(), strict=True):
        _panel(axes, by_protocol)
        trivial_line(axes, data.trivial[name])
        percent_axis(axes, "x", 4)
    add_legend(figure, axes_of_panels[0])
    return figure


def _panel(axes: Axes, by_protocol: Mapping[str, FloatArray]) -> None:
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
