"""Headline scores: the main scores, which have intervals and appear in comparisons, tables and figures."""

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
    """Description of one headline score: what it measures, and how tables and figures show it."""

    task: str
    # what is measured: key in `Scorer.measures`
    measure: str
    # indices of the outputs over which the score is averaged
    outputs: tuple[int, ...]
    # heading in tables and title in figures; the score is not shown where the text is empty
    column: str
    title: str
    # True: the score is a share and is printed in per cent; False: it is printed as it is
    is_share: bool
    lower_is_better: bool


def headlines(task: str) -> dict[str, Headline]:
    """Return the descriptions of the headline scores of one task.

    Returns:
        Path of the score -> its description. The path consists of keys in a result, joined by dots, such as
        "sentiment.accuracy_has0".
    """
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

    scores = {}
    for measure, (column, title) in scorer.headline.items():
        if scorer.by_output:
            full_title = title and f"{name} {title} ({mean})"
            scores[f"{task}.{measure}_{mean}"] = headline(measure, range(n), prefix + column, full_title)
        else:
            scores[f"{task}.{measure}"] = headline(measure, range(1), prefix + column, title and f"{name} {title}")
    for measure in scorer.headline_by_output:
        for number, output in enumerate(outputs[:n]):
            path = f"{task}.{rows_key(task)}.{output}.{measure}"
            scores[path] = headline(measure, range(number, number + 1))
    return scores


def all_headlines() -> dict[str, Headline]:
    """Return the descriptions of the headline scores of all tasks, in the order of `TASKS`.

    Returns:
        Path of the score -> its description. The path consists of keys in a result, joined by dots, such as
        "sentiment.accuracy_has0".
    """
    return {path: each for task in TASKS for path, each in headlines(task).items()}


def headline_values(counts: Mapping[str, TaskCounts], weights: NDArray[Any] | None = None) -> dict[str, FloatArray]:
    """Compute every headline score.

    Some headline scores are means over the outputs of a task. Such a mean leaves out the outputs whose score is
    undefined on the whole split. If the score of another output is undefined in a resample, the mean is NaN in this
    resample.

    Args:
        counts: Counts per video from `count_videos`.
        weights: How many times each resample contains each video, (resample, video), from `video_weights`. If it is
            None, the split itself is scored.

    Returns:
        Path of a score in a result -> its value: a scalar, or an array (resample,) if `weights` is given.
    """
    values: dict[str, FloatArray] = {}
    for task, task_counts in ((task, counts[task]) for task in TASKS if task in counts):
        measures = SCORERS[TASKS[task].scores].measures
        scores_of_measure: dict[str, FloatArray] = {}
        for path, headline in headlines(task).items():
            measure = measures[headline.measure]
            if measure.counts not in task_counts:
                continue
            if headline.measure not in scores_of_measure:
                scores_of_measure[headline.measure] = measure.of(task_counts, weights)
            outputs = list(headline.outputs)
            defined = ~np.isnan(measure.of(task_counts)[outputs])
            values[path] = mean_of_defined(scores_of_measure[headline.measure][..., outputs], defined)
    return values


def headline_intervals(
    counts: Mapping[str, TaskCounts], weights: NDArray[Any]
) -> tuple[dict[str, list[float]], list[str]]:
    """Compute the 95 % interval of every headline score by bootstrap over videos.

    Args:
        counts: Counts per video from `count_videos`.
        weights: How many times each resample contains each video, (resample, video), from `video_weights`.

    Returns:
        ``(intervals, notes)``. `intervals` is a dictionary: its keys are the paths of the scores in a result, and its
        values are [low, high]. `notes` has one message for each score that is undefined in some of the resamples.
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
