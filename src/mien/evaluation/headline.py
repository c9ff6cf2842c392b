"""The headline scores: those that have an interval, are compared between systems and stand in tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import TaskCounts
from mien.evaluation.scores import SCORERS, mean_of_defined, means_of, rows_key
from mien.metrics import METRICS, MetricInput
from mien.metrics.significance import percentile_interval
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
    scorer, outputs = SCORERS[TASKS[task].scores], TASKS[task].outputs
    name = task.removesuffix("_intensity").replace("_", " ")
    prefix = "" if name == SENTIMENT else f"{name} "
    mean, n = next(iter(means_of(task).items()))

    def headline(measure: str, columns: range, column: str = "", title: str = "") -> Headline:
        metric = METRICS[scorer.measures[measure].metric]
        return Headline(
            task,
            measure,
            tuple(columns),
            column,
            title,
            metric.kind is MetricInput.DECISION,
            not metric.higher_is_better,
        )

    found = {}
    for measure, (column, title) in scorer.headline.items():
        if scorer.by_output:
            full = title and f"{name} {title} ({mean})"
            found[f"{task}.{measure}_{mean}"] = headline(measure, range(n), prefix + column, full)
        else:
            found[f"{task}.{measure}"] = headline(measure, range(1), prefix + column, title and f"{name} {title}")
    for measure in scorer.headline_by_output:
        for number, output in enumerate(outputs[:n]):
            path = f"{task}.{rows_key(task)}.{output}.{measure}"
            found[path] = headline(measure, range(number, number + 1))
    return found


def all_headlines() -> dict[str, Headline]:
    """Path in a result -> headline score, of all tasks in the order of the table."""
    return {path: each for task in TASKS for path, each in headlines(task).items()}


def headline_values(counts: Mapping[str, TaskCounts], weights: NDArray[Any] | None = None) -> dict[str, FloatArray]:
    """Every headline score, by its path in the result.

    Args:
        counts: from `count_videos`.
        weights: (resample, video) from `video_weights`; default: the split as it is.

    Returns:
        Path -> score: scalars, or (resample,) with weights. A resample in which an output of the mean has lost all
        its cases is NaN. Outputs undefined on the whole split are left out of the mean.
    """
    values: dict[str, FloatArray] = {}
    for task, task_counts in ((task, counts[task]) for task in TASKS if task in counts):
        measures = SCORERS[TASKS[task].scores].measures
        drawn: dict[str, FloatArray] = {}
        for path, headline in headlines(task).items():
            measure = measures[headline.measure]
            if measure.counts not in task_counts:
                continue
            if headline.measure not in drawn:
                drawn[headline.measure] = measure.of(task_counts, weights)
            outputs = list(headline.outputs)
            defined = ~np.isnan(measure.of(task_counts)[outputs])
            values[path] = mean_of_defined(drawn[headline.measure][..., outputs], defined)
    return values


def headline_intervals(
    counts: Mapping[str, TaskCounts], weights: NDArray[Any]
) -> tuple[dict[str, list[float]], list[str]]:
    """95 % intervals of every headline score by bootstrap over videos, with the weights of `video_weights`.

    Returns:
        Path -> [low, high], and notes naming the scores that were undefined in some resamples.
    """
    intervals, notes = {}, []
    for path, values in headline_values(counts, weights).items():
        interval = percentile_interval(values)
        intervals[path] = [interval.low, interval.high]
        if 0 < interval.n_defined < len(weights):
            notes.append(
                f"the interval of {path} rests on {interval.n_defined} of {len(weights)} resamples: "
                "in the others an emotion lost all its cases"
            )
    return intervals, notes
