"""Style of figures, and writing them to self-contained files. The same figure gives the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mien.printable import printable
from mien.storage.files import atomic_file

# widths in inches of one column and of the whole text on a two-column page
COLUMN, PAGE = 3.4, 7.0
# Okabe and Ito's colours: distinct for people with common colour blindness, and with the hatches also in greyscale
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#8C8C8C", "#222222"
BAND = "#F3F3F3"
FONT_SIZE = 7.0
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so equal on all machines
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "figure.titlesize": FONT_SIZE + 1,
    "figure.labelsize": FONT_SIZE - 1,
    "legend.fontsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 0.5,
    "ytick.labelsize": FONT_SIZE - 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "savefig.dpi": 300,
    # embed glyphs as outlines in SVG and as TrueType in PDF, so that readers need no fonts
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # without a salt, element ids are random
    "svg.hashsalt": "mien",
}
# file ending -> metadata; dates are omitted so that files are reproducible
FORMATS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
CHARACTERS_PER_INCH = 19
LINE_HEIGHT = (FONT_SIZE + 1) * 1.25 / 72
MARGIN = 0.05


@contextmanager
def figure_style() -> Iterator[None]:
    """Inside the block, use Matplotlib's defaults changed by `STYLE`. Afterwards, restore the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, STYLE))
        yield


def new_figure(width: float, body: float, title: str, note: str, *, legend: bool = False) -> Figure:
    """Make an empty figure with a title above the panels and a note below them.

    This function reserves the space for title and note, because matplotlib's layout lets a title and a legend overlap.

    Args:
        width: Width of the figure in inches. Title and note are wrapped to this width.
        body: Height of the panels in inches.
        title: Title; it may have several lines.
        note: Note on how to read the figure.
        legend: Whether to reserve a line for `add_legend` below the title.

    Returns:
        The figure. Its layout keeps the panels between title and note.
    """
    title, note = wrapped(title, width * 0.92), wrapped(note, width * 1.1)
    head = LINE_HEIGHT * (title.count("\n") + 1 + 1.3 * legend) + 2 * MARGIN
    foot = LINE_HEIGHT * (note.count("\n") + 1) + MARGIN
    height = head + body + foot
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=(0, foot / height, 1, body / height)))
    figure.text(0.5, 1 - MARGIN / height, title, ha="center", va="top", fontsize=FONT_SIZE + 1, gid="title")
    figure.text(0.5, MARGIN / height, note, ha="center", va="bottom", fontsize=FONT_SIZE - 1, gid="note")
    return figure


def add_legend(figure: Figure, axes: Axes) -> None:
    """Draw a legend below the title, in the line that `new_figure` reserved for it.

    Args:
        figure: Figure made by `new_figure` with `legend=True`.
        axes: Panel whose labels the legend lists.
    """
    engine = cast(ConstrainedLayoutEngine, figure.get_layout_engine())
    _, bottom, _, height = engine.get()["rect"]  # area of the panels, in fractions of the figure
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        ncols=len(labels),
        loc="lower center",
        bbox_to_anchor=(0.5, bottom + height),
        borderaxespad=0.2,
        columnspacing=1.2,
    ).set_in_layout(False)


def wrapped(text: str, width: float) -> str:
    """Wrap every line of a text to a width, with control characters as escapes.

    Args:
        text: Text with line breaks to keep.
        width: Width in inches, at the style's font size.

    Returns:
        The text with further line breaks.
    """
    return "\n".join(textwrap.fill(line, int(width * CHARACTERS_PER_INCH)) for line in printable(text).splitlines())


def percent_format() -> FuncFormatter:
    """Return a tick formatter that shows fractions as per cent, for example 0.755 as 75.5% and 0.6 as 60%."""
    return FuncFormatter(lambda value, _: f"{100 * value:.6g}%")


def percent_axis(axes: Axes, which: str, n_ticks: int = 5) -> None:
    """Label an axis of fractions in per cent, and draw its grid.

    Args:
        axes: Panel to change.
        which: The axis, "x" or "y".
        n_ticks: Largest number of intervals between ticks.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(n_ticks, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(percent_format())
    axes.grid(axis="x" if which == "x" else "y", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)


def write_figure(folder: Path, name: str, figure: Figure) -> list[Path]:
    """Write a figure in every format of `FORMATS` (SVG, PDF and PNG), each file atomically.

    The same figure gives the same bytes with the same version of matplotlib.

    Args:
        folder: Folder to write into.
        name: File name without ending.
        figure: Figure to write.

    Returns:
        Paths of the files.

    Raises:
        WriteError: A file cannot be written.
    """
    with figure_style():
        # The positions are computed once, not again for every format.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
    paths = []
    for ending, metadata in FORMATS.items():
        path = folder / f"{name}.{ending}"
        with atomic_file(path) as aside, figure_style():
            figure.savefig(aside, format=ending, metadata=metadata)
        paths.append(path)
    return paths
