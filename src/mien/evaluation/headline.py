"""The headline scores: those that have an interval, are compared between systems and stand in tables and figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import VideoCounts
from mien.evaluation.scores import SCORERS, means_of, rows_key
from mien.metrics import METRICS, Kind
from mien.metrics.significance import percentile_interval, video_weights
from mien.schema import FloatArray
from mien.tasks import SENTIMENT, TASKS


@dataclass(frozen=True, slots=True)
class Headline:
    """One score that has an interval and is compared between systems."""

    task: str
    # key of a `Measure`
    measure: str
    # the mean over these
    outputs: tuple[int, ...]
    # what tables and figures call it; empty where they do not show it
    column: str
    title: str
    # a share is told in per cent, another number as it is
    is_share: bool
    lower_is_better: bool


def headlines(task: str) -> dict[str, Headline]:
    """Path in a result -> headline score, of one task."""
    return dict(_headlines(task))


def all_headlines() -> dict[str, Headline]:
    """Path in a result -> headline score, of all tasks in the order of the table."""
    return {path: each for task in TASKS for path, each in _headlines(task)}


def _headlines(task: str) -> Iterator[tuple[str, Headline]]:
    scorer, outputs = SCORERS[TASKS[task].scores], TASKS[task].outputs
    name = task.removesuffix("_intensity").replace("_", " ")
    prefix = "" if name == SENTIMENT else f"{name} "
    mean, n = next(iter(means_of(task).items()))

    def headline(measure: str, columns: range, column: str = "", title: str = "") -> Headline:
        metric = METRICS[scorer.measures[measure].metric]
        return Headline(
            task, measure, tuple(columns), column, title, metric.kind is Kind.DECISION, not metric.higher_is_better
        )

    for measure, (column, title) in scorer.headline.items():
        if scorer.by_output:
            full = title and f"{name} {title} ({mean})"
            yield f"{task}.{measure}_{mean}", headline(measure, range(n), prefix + column, full)
        else:
            yield f"{task}.{measure}", headline(measure, range(1), prefix + column, title and f"{name} {title}")
    for measure in scorer.headline_by_output:
        for number, output in enumerate(outputs[:n]):
            yield f"{task}.{rows_key(task)}.{output}.{measure}", headline(measure, range(number, number + 1))


def headline_values(counts: VideoCounts, weights: NDArray[Any] | None = None) -> dict[str, FloatArray]:
    """Every headline score, by its path in the result.

    Args:
        counts: from `count_videos`.
        weights: (resample, video) from `video_weights`; default: the split as it is.

    Returns:
        Path -> score: scalars, or (resample,) with weights. A resample in which an output of the mean has lost all
        its cases is NaN. Outputs undefined on the whole split are left out of the mean.
    """
    values: dict[str, FloatArray] = {}
    for task, task_counts in ((task, counts.tasks[task]) for task in TASKS if task in counts.tasks):
        measures = SCORERS[TASKS[task].scores].measures
        measured: dict[str, tuple[FloatArray, NDArray[np.bool_]]] = {}
        for path, headline in headlines(task).items():
            measure = measures[headline.measure]
            if measure.counts not in task_counts:
                continue
            if headline.measure not in measured:
                whole = measure.of(task_counts)
                drawn = whole if weights is None else measure.of(task_counts, weights)
                measured[headline.measure] = drawn, ~np.isnan(whole)
            scores, defined = measured[headline.measure]
            values[path] = _mean([output for output in headline.outputs if defined[output]], scores)
    return values


def headline_intervals(counts: VideoCounts, n_resamples: int, seed: int) -> tuple[dict[str, list[float]], list[str]]:
    """95 % intervals of every headline score by bootstrap over videos.

    Returns:
        Path -> [low, high], and notes naming the scores that were undefined in some resamples.
    """
    weights = video_weights(counts.n_videos, n_resamples, seed)
    intervals, notes = {}, []
    for path, values in headline_values(counts, weights).items():
        interval = percentile_interval(values)
        intervals[path] = [interval.low, interval.high]
        if 0 < interval.n_defined < n_resamples:
            notes.append(
                f"the interval of {path} rests on {interval.n_defined} of {n_resamples} resamples: "
                "in the others an emotion lost all its cases"
            )
    return intervals, notes


def _mean(outputs: list[int], scores: FloatArray) -> FloatArray:
    if not outputs:
        return np.full(scores.shape[:-1], np.nan)[()]
    mean: FloatArray = scores[..., outputs].mean(axis=-1)
    return mean
