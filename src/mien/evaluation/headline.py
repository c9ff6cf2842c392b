"""Headline scores: the main scores, which have intervals and appear in comparisons, tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import TaskCounts
from mien.evaluation.measures import mean_of_defined
from mien.evaluation.scores import SCORERS, rows_key
from mien.metrics import METRICS, Metric, MetricInput
from mien.metrics.significance import percentile_interval
from mien.schema import SENTIMENT, FloatArray
from mien.tasks import PAPER_TASKS, Task, tasks_from_json


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


def headlines(task: Task) -> dict[str, Headline]:
    """Return the descriptions of the headline scores of one task.

    Returns:
        Path of the score -> its description. The path consists of keys in a result, joined by dots, such as
        "sentiment.accuracy_has0".
    """
    scorer = SCORERS[task.row.scores]
    name = task.space.name.replace("_", " ")
    prefix = "" if task.space.is_paper and name == SENTIMENT else f"{name} "
    mean, n = next(iter(task.means.items()))
    scores = {}
    for measure, (column, title) in scorer.headline.items():
        if scorer.by_output:
            full_title = title and f"{name} {title} ({mean})"
            path = f"{task.name}.{measure}_{mean}"
            scores[path] = Headline(task.name, measure, tuple(range(n)), prefix + column, full_title)
        else:
            path = f"{task.name}.{measure}"
            scores[path] = Headline(task.name, measure, (0,), prefix + column, title and f"{name} {title}")
    for measure in scorer.headline_by_output:
        for number, output in enumerate(task.outputs[:n]):
            path = f"{task.name}.{rows_key(task)}.{output}.{measure}"
            scores[path] = Headline(task.name, measure, (number,), "", "")
    return scores


def all_headlines(tasks: Iterable[Task] = tuple(PAPER_TASKS.values())) -> dict[str, Headline]:
    """Return the descriptions of the headline scores of several tasks.

    Args:
        tasks: The tasks. Tasks of the same name but of different kinds may be among them.

    Returns:
        Path of the score -> its description. The path consists of keys in a result, joined by dots, such as
        "sentiment.accuracy_has0".
    """
    return {path: each for task in tasks for path, each in headlines(task).items()}


def tasks_of_results(results: Iterable[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks of several results, which `Result.to_json` returned.

    The main tasks come first. Tasks of the same name but of different kinds may be among them.
    """
    found = {(name, task.kind): task for each in results for name, task in tasks_from_json(each).items()}
    return sorted(found.values(), key=lambda task: task.on_request)


def tasks_of_settings(settings: Iterable[Mapping[str, Any]]) -> list[Task]:
    """Return the tasks of several settings of a benchmark; each has "protocols", and these have the results "runs"."""
    return tasks_of_results(run for row in settings for part in row["protocols"].values() for run in part["runs"])


def is_share(path: str) -> bool:
    """Return True if a headline score is a share and printed in per cent, False if it is printed as it is."""
    return _metric_at(path).kind in (MetricInput.DECISION, MetricInput.CLASSES)


def lower_is_better(path: str) -> bool:
    """Return whether lower values of a headline score are better."""
    return not _metric_at(path).higher_is_better


def _metric_at(path: str) -> Metric:
    """Return the metric of the headline score with this path, whatever its task."""
    measure = path.rsplit(".", 1)[-1].partition("_mean")[0]
    return next(METRICS[row.measures[measure].metric] for row in SCORERS.values() if measure in row.measures)


def headline_values(
    counts: Mapping[str, TaskCounts],
    weights: NDArray[Any] | None = None,
    tasks: Mapping[str, Task] = PAPER_TASKS,
) -> dict[str, FloatArray]:
    """Compute every headline score.

    Some headline scores are means over the outputs of a task. Such a mean leaves out the outputs whose score is
    undefined on the whole split. If the score of another output is undefined in a resample, the mean is NaN in this
    resample.

    Args:
        counts: Counts per video from `count_videos`.
        weights: How many times each resample contains each video, (resample, video), from `video_weights`. If it is
            None, the split itself is scored.
        tasks: All tasks of the label spaces.

    Returns:
        Path of a score in a result -> its value: a scalar, or an array (resample,) if `weights` is given.
    """
    values: dict[str, FloatArray] = {}
    for task, task_counts in ((task, counts[name]) for name, task in tasks.items() if name in counts):
        measures = SCORERS[task.row.scores].measures
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
    counts: Mapping[str, TaskCounts], weights: NDArray[Any], tasks: Mapping[str, Task] = PAPER_TASKS
) -> tuple[dict[str, list[float]], list[str]]:
    """Compute the 95 % interval of every headline score by bootstrap over videos.

    Args:
        counts: Counts per video from `count_videos`.
        weights: How many times each resample contains each video, (resample, video), from `video_weights`.
        tasks: All tasks of the label spaces.

    Returns:
        ``(intervals, notes)``. `intervals` is a dictionary: its keys are the paths of the scores in a result, and its
        values are [low, high]. `notes` has one message for each score that is undefined in some of the resamples.
    """
    intervals, notes = {}, []
    for path, values in headline_values(counts, weights, tasks).items():
        interval = percentile_interval(values)
        intervals[path] = [interval.low, interval.high]
        if 0 < interval.n_defined < len(weights):
            notes.append(
                f"the interval of {path} rests on {interval.n_defined} of {len(weights)} resamples: "
                f"in the others it is undefined, because {_reason_undefined(path)}"
            )
    return intervals, notes


def _reason_undefined(path: str) -> str:
    """Return why a headline score can be undefined in a resample of the videos."""
    task = path.partition(".")[0].replace("_", " ")
    return f"a class of {task} is missing" if is_share(path) else f"the labels of {task} do not differ"
