"""The figures of a benchmark: numbers in, a matplotlib figure out.

Every figure has a function that collects its numbers from a `Benchmark`, or says why they do not make this figure, and
one that draws, which knows nothing but those numbers. This table is the only place that lists them. The reliability
figure is drawn of a diagnosis too (`of_runs`). Importing this loads matplotlib: do so where a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from mien.benchmark.figures import attention, joint, systems
from mien.benchmark.view import Benchmark, LeftOut
from mien.reports import reliability
from mien.reports.tables import seeds_told

__all__ = ["FIGURES", "FigureEntry"]


@dataclass(frozen=True)
class FigureEntry:
    """One figure: where its numbers come from, how it is drawn, and what it shows."""

    collect: Callable[[Benchmark], Any]  # the argument of `draw`, or LeftOut
    draw: Callable[[Any], Figure]
    shows: str


def _reliability_of_reference(benchmark: Benchmark) -> reliability.Reliability | LeftOut:
    """Every output of the reference that the split has labels for."""
    runs = benchmark.reference_runs
    if not runs:
        return LeftOut(f"the reference {benchmark.reference} has no predictions")
    heading = f"{benchmark.reference} on {benchmark.dataset}, {benchmark.split} split, epoch chosen on valid"
    data = reliability.of_runs(f"{heading}, {seeds_told([len(runs)])}", [run.predictions for run in runs])
    return data if data.curves else LeftOut("the split has no labels")


FIGURES: dict[str, FigureEntry] = {
    "figure2-joint-vs-single": FigureEntry(
        joint.collect_joint_vs_single,
        joint.draw_joint_vs_single,
        "joint against single-task learning per input set and headline score (the paper's Figure 2)",
    ),
    "figure3-attention": FigureEntry(
        attention.collect,
        attention.draw,
        "which utterances of one video are attended to, per pair of modalities (the paper's Figure 3)",
    ),
    "per-emotion": FigureEntry(
        systems.collect_per_emotion,
        systems.draw_per_emotion,
        "weighted accuracy and weighted F1 of every emotion and system, against the constant predictor",
    ),
    "reliability": FigureEntry(
        _reliability_of_reference,
        reliability.draw,
        "whether the reference's probabilities mean what they say, for sentiment and every emotion",
    ),
    "prediction-counts": FigureEntry(
        joint.collect_prediction_counts,
        joint.draw_prediction_counts,
        "how often each emotion is predicted, jointly and alone, against how often it is there",
    ),
    "seed-spread": FigureEntry(
        systems.collect_seed_spread,
        systems.draw_seed_spread,
        "the headline scores of every seed of every system, with video-bootstrap intervals",
    ),
    "protocol-gap": FigureEntry(
        systems.collect_protocol_gap,
        systems.draw_protocol_gap,
        "every system under clean, fixed and released; released is an upper bound, not a result",
    ),
}
