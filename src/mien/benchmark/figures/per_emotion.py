"""Weighted accuracy and weighted F1 of every emotion and system, from the constant predictor on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mien.benchmark.figures.rows import RowLayout, row_panels, trivial_line
from mien.benchmark.view import Benchmark, LeftOut, SystemScores, means_and_sds
from mien.reports.style import BLUE, GREY, INK, percent_axis, styled
from mien.schema import EMOTIONS, FloatArray

SCORES = {"weighted_accuracy": "weighted accuracy", "weighted_f1": "weighted F1"}
NOTE = (
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


def collect(benchmark: Benchmark) -> PerEmotion | LeftOut:
    """All systems that predict emotions, under the protocol clean."""
    systems = benchmark.scored("emotion.weighted_f1_mean6")
    if not systems:
        return LeftOut("no system has emotion scores on this split")
    panels = {}
    for score in SCORES:
        panels[score] = {
            emotion: EmotionScores(
                *means_and_sds(systems, _path(emotion, score)), benchmark.trivial(_path(emotion, score))
            )
            for emotion in EMOTIONS
        }
    return PerEmotion(benchmark, tuple(systems), panels)


@styled
def draw(data: PerEmotion) -> Figure:
    """One block of six panels per score, one row per system."""
    layout = RowLayout(
        f"Scores per emotion\n{data.benchmark.heading()}",
        NOTE,
        [tuple(panels) for panels in data.panels.values()],
        [SCORES[score] for score in data.panels],
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


def _path(emotion: str, score: str) -> str:
    return f"emotion.per_emotion.{emotion}.{score}"
