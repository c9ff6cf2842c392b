"""The paper's Figure 3: which utterances of a video are attended to, per pair of modalities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mien.benchmark.view import Benchmark, LeftOut, VideoAttention
from mien.reports.style import COLUMN, INK, house_style, new_figure, percent_format
from mien.schema import FloatArray

ARROW = "->"
COLOURS = "cividis"
MAX_TICKS = 7


@dataclass(frozen=True, slots=True)
class Half:
    """One direction: the utterances of `asking` over those of `attended` (utterance, context)."""

    attended: str
    asking: str
    weights: FloatArray


def collect(benchmark: Benchmark) -> VideoAttention | LeftOut:
    """The video that the workflow asked a run about."""
    return benchmark.attention


def halves(attention: VideoAttention) -> list[tuple[Half, ...]]:
    """Per pair of modalities two halves, left the one that attends to the first; one modality: a single half.

    The paper's reading of its right half ("the visual features of all the utterances") fits the modality attended to,
    so for text and visual the left half is softmax(V T^T), "visual->text", and the right one is softmax(T V^T).
    """
    found: list[tuple[Half, ...]] = []
    for name, weights in attention.maps.items():
        first, second = name.split(ARROW)
        reverse = f"{second}{ARROW}{first}"
        if first == second:
            found.append((Half(first, first, weights),))
        elif reverse in attention.maps and (second, first) not in [(p[0].attended, p[0].asking) for p in found]:
            found.append((Half(first, second, attention.maps[reverse]), Half(second, first, weights)))
    return found


@house_style()
def draw(attention: VideoAttention) -> Figure:
    """One panel per pair, below each other; all share one colour scale."""
    pairs = halves(attention)
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
        image = _panel(axes, pair, attention.utterances, scale)
    bar = figure.colorbar(image, ax=list(grid), location="bottom", shrink=0.6, aspect=30, pad=0.02)
    bar.ax.xaxis.set_major_formatter(percent_format())
    bar.set_label("attention weight")
    return figure


def _n_padded(half: Half) -> int:
    n_utterances, n_context = half.weights.shape
    return int(n_context - n_utterances)


def _panel(axes: Axes, pair: tuple[Half, ...], utterances: tuple[int, ...], scale: Normalize) -> AxesImage:
    image = axes.imshow(
        np.hstack([half.weights for half in pair]),
        cmap=COLOURS,
        norm=scale,
        aspect="auto",
        interpolation="nearest",
    )
    axes.spines[:].set_visible(True)
    shown = range(0, len(utterances), -(-len(utterances) // MAX_TICKS))
    axes.set_yticks(list(shown), [str(utterances[at]) for at in shown])
    ticks, start = [], 0
    for half in pair:
        ticks += [(start + at, str(utterances[at])) for at in shown]
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
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.set_xlabel("attended utterance j of " + " | ".join(half.attended for half in pair))
    axes.set_ylabel("judged utterance i of\n" + " | ".join(half.asking for half in pair))
    return image
