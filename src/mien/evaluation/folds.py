"""Scores over folds: every utterance is predicted by the run that did not train on its fold.

The runs of all folds with one seed are joined and scored as one run. Each fold keeps its own thresholds, which were
chosen on its own valid split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import DataError, UsageError
from mien.evaluation.decisions import ChosenOn, Decisions, OperatingPoint, Threshold, constant_decisions
from mien.evaluation.result import Bootstrap, Result, RunIdentity, evaluate_predictions
from mien.evaluation.rows import validated_predictions
from mien.evaluation.scores import score_at
from mien.evaluation.trivial import TrainMajority, constant_predictions
from mien.schema import IntArray
from mien.storage.predictions import Predictions
from mien.tasks import tasks_to_json


@dataclass(frozen=True, slots=True)
class FoldRun:
    """The run that scores one fold: its predictions for the fold, its thresholds, and its constant predictor."""

    predictions: Predictions
    decisions: Decisions
    majority: TrainMajority


@dataclass(frozen=True, slots=True)
class JoinedFolds:
    """All folds as one run. The rows are those of validated predictions; thresholds have one value per row."""

    predictions: Predictions
    decisions: Decisions
    # number of each row's fold
    fold: IntArray


def join_folds(folds: Sequence[FoldRun]) -> JoinedFolds:
    """Join the runs of all folds to one.

    Args:
        folds: One run per fold. All predict the same tasks.

    Returns:
        The joined predictions, sorted as `validated_predictions` sorts them, with the thresholds of each row's fold.

    Raises:
        UsageError: There is no fold.
        DataError: A video is in two folds, the tasks differ, or predictions are unusable.
    """
    if not folds:
        raise UsageError("Expected at least one fold to score, but got none; train a run for every fold")
    predictions = validated_predictions(
        _joined_predictions([fold.predictions for fold in folds]), "the predictions of folds"
    )
    fold_of_video: dict[str, int] = {}
    for number, fold in enumerate(folds):
        for video in dict.fromkeys(fold.predictions.video_id.tolist()):
            if fold_of_video.setdefault(video, number) != number:
                raise DataError(f"Expected every video in one fold, but got {video} in two; score each video once")
    rows = np.array([fold_of_video[video] for video in predictions.video_id.tolist()], dtype=np.int64)
    return JoinedFolds(predictions, _joined_decisions([fold.decisions for fold in folds], predictions, rows), rows)


def evaluate_folds(
    folds: Sequence[FoldRun],
    *,
    protocol: str = "clean",
    identity: RunIdentity | None = None,
    bootstrap: Bootstrap | None = None,
) -> Result:
    """Score the runs of all folds as one run.

    Args:
        folds: One run per fold, all with the same seed and settings.
        protocol: Name of a protocol that needs no predictions of every epoch.
        identity: Description of the runs, to include in the result.
        bootstrap: Number and seed of the resamples. The videos of all folds are resampled together.

    Returns:
        The scores over all utterances. The scores of the constant predictor use the majority of each fold's own train
        split. The operating points list the threshold of each fold, and the scores of a class give their mean.

    Raises:
        UsageError: There is no fold, the protocol needs every epoch, or thresholds were not chosen on valid.
        DataError: A video is in two folds, the tasks differ, or predictions are unusable.
    """
    joined = join_folds(folds)
    result = evaluate_predictions(
        joined.predictions, protocol=protocol, decisions=joined.decisions, identity=identity, bootstrap=bootstrap
    )
    constants = _joined_predictions([constant_predictions(fold.predictions, fold.majority) for fold in folds])
    first_rows = [int(np.argmax(joined.fold == number)) for number in range(len(folds))]
    return dataclasses.replace(
        result,
        trivial=score_at(validated_predictions(constants), constant_decisions(0.5, 0.5, constants.tasks)).parts,
        operating_points=_thresholds_by_fold(result.operating_points, first_rows),
        notes=(
            f"{len(folds)} folds: each utterance is scored once, by the run that did not train on its fold, at the "
            "thresholds of that run; a printed threshold is the mean over the utterances",
            *result.notes,
        ),
    )


def _joined_predictions(parts: Sequence[Predictions]) -> Predictions:
    first = parts[0]
    for part in parts[1:]:
        same_labels = tasks_to_json(part.tasks) == tasks_to_json(first.tasks)
        same_values = part.sentiment_values == first.sentiment_values
        if set(part.outputs) != set(first.outputs) or not same_labels or not same_values:
            raise DataError(
                f"Expected predictions of {', '.join(first.outputs)} in every fold, but got {', '.join(part.outputs)} "
                "or other labels; train all folds for the same tasks"
            )
    return dataclasses.replace(
        first,
        video_id=np.concatenate([part.video_id for part in parts]),
        index=np.concatenate([part.index for part in parts]),
        labels={name: np.concatenate([part.labels[name] for part in parts]) for name in first.labels},
        outputs={task: np.concatenate([part.outputs[task] for part in parts]) for task in first.outputs},
    )


def _joined_decisions(folds: Sequence[Decisions], predictions: Predictions, rows: IntArray) -> Decisions:
    """Return decisions in which every row has the thresholds of its fold."""
    thresholds = dict(folds[0].thresholds)
    for task in (task for task in predictions.predicted_tasks if task.has_thresholds):
        by_fold = {point: np.stack([fold.at(task, point) for fold in folds]) for point in OperatingPoint}
        thresholds[task.name] = {
            point: {name: _by_row(values[:, column], rows) for column, name in enumerate(task.outputs)}
            for point, values in by_fold.items()
        }
    not_valid = (fold.chosen_on for fold in folds if fold.chosen_on is not ChosenOn.VALID)
    notes = tuple(f"fold {number}: {note}" for number, fold in enumerate(folds, 1) for note in fold.notes)
    return dataclasses.replace(folds[0], thresholds=thresholds, chosen_on=next(not_valid, ChosenOn.VALID), notes=notes)


def _by_row(values: Any, rows: IntArray) -> Threshold:
    """Return the threshold of each row (utterance,); one number if all folds have the same."""
    return float(values[0]) if (values == values[0]).all() else values[rows]


def _thresholds_by_fold(part: Any, first_rows: Sequence[int]) -> Any:
    """Replace thresholds by row, anywhere in nested dictionaries, by the list of the folds' thresholds."""
    if isinstance(part, Mapping):
        return {key: _thresholds_by_fold(value, first_rows) for key, value in part.items()}
    return [float(part[row]) for row in first_rows] if isinstance(part, np.ndarray) else part
