"""Definitions that all scorers share: a measure computed from counts, a scorer, and means over outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.counts import TaskCounts
from mien.evaluation.decisions import Decisions
from mien.metrics import METRICS, MetricInput
from mien.metrics.confusion import Confusion
from mien.schema import BoolArray, FloatArray
from mien.storage.predictions import Predictions
from mien.tasks import Task


@dataclass(slots=True)
class Scores:
    """Scores of all predicted tasks, and messages about these scores."""

    # predicted task -> its entry in a result: name of a score -> value
    parts: dict[str, dict[str, Any]]
    # messages that explain missing scores, undefined scores, and how scores are defined
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measure:
    """Definition of a score that is computed from counts: which counts, and which metric is applied to them."""

    # key of the counts in `TaskCounts`
    counts: str
    # name in `mien.metrics.METRICS`
    metric: str

    def of(self, counts: TaskCounts, weights: NDArray[Any] | None = None) -> FloatArray:
        """Compute the score of every output.

        Args:
            counts: Counts per video of the task.
            weights: How many times each resample contains each video, (resample, video), from `video_weights`. If it is
                None, the split itself is scored.

        Returns:
            Scores of shape (output,), or (resample, output) if `weights` is given. A score of several classes together
            counts as one output.
        """
        part, metric = counts[self.counts], METRICS[self.metric]
        score: FloatArray = metric.function(part.summed() if weights is None else part.resampled(weights))
        return np.asarray(score)[..., None] if metric.kind is MetricInput.CLASSES else score


# (predictions, task, decisions, counts, messages to extend) -> the task's entry in a result
PartFunction = Callable[[Predictions, Task, Decisions, TaskCounts, list[str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Definition of the scores of one kind of task; `SCORERS` has one entry per kind."""

    # function that computes the task's entry in a result and appends messages to the given list
    part: PartFunction
    # key of a score in the task's entry, or in the row of an output -> how it is computed
    measures: Mapping[str, Measure]
    # True: the entry has a row per output, and means over the outputs; False: it has the scores of the only output
    by_output: bool
    # key of a headline score -> (heading in tables, title in figures); a score with an empty title has no figure
    headline: Mapping[str, tuple[str, str]]
    # keys of scores that are headline scores of every single output, too
    headline_by_output: tuple[str, ...] = ()


def mean_of_defined(scores: FloatArray, defined: BoolArray | None = None) -> FloatArray:
    """Average scores over the outputs whose score is defined.

    Args:
        scores: Scores (..., output), NaN where undefined.
        defined: Mask (output,), True for the outputs to average. If it is None, the scores that are not NaN are
            averaged; this is only possible for scores of shape (output,). With resamples, pass the outputs whose score
            is defined on the split itself, so that every resample averages the same outputs.

    Returns:
        Means (...), which are NaN if no output is averaged.
    """
    selected = scores[..., ~np.isnan(scores) if defined is None else defined]
    mean: FloatArray = selected.mean(axis=-1) if selected.shape[-1] else np.full(selected.shape[:-1], np.nan)[()]
    return mean


def counts_of(confusion: Confusion, suffix: str = "") -> dict[str, int]:
    """Return the counts that are reported beside the scores.

    Args:
        confusion: Confusion counts of one output (scalars).
        suffix: Ending of each key, such as "_non0".

    Returns:
        The numbers of utterances that have the class, that do not have it, and that are predicted to have it, by key.
    """
    return {
        f"n_positive{suffix}": int(confusion.positives),
        f"n_negative{suffix}": int(confusion.negatives),
        f"n_predicted_positive{suffix}": int(confusion.predicted_positives),
    }


def split_counts(counts: TaskCounts, name: str) -> Confusion:
    """Return the confusion counts of the whole split, (output,): the sum of ``counts[name]`` over all videos."""
    confusion = counts[name].summed()
    assert isinstance(confusion, Confusion)
    return confusion
