"""Fits classical systems, which are not neural networks, and stores the fitted arrays.

The run folder gets the same files as that of a network that was trained for one epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from mien.errors import DamagedFileError, TrainingError
from mien.models.classical.base import ClassicalEntry, ClassicalSpec, Probabilities, Tensors
from mien.storage.runs import epoch_file
from mien.storage.split_columns import SplitColumns
from mien.tasks import Task, targets_of
from mien.training.checkpoint import Progress, load_weights, save_weights
from mien.training.loop import MODEL_FILE, write_history
from mien.training.losses import LOSSES
from mien.training.validation import ordering, ordering_record

Report = Callable[[dict[str, float]], None]


def fit_classical(
    entry: ClassicalEntry, train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec, folder: Path, report: Report
) -> tuple[Progress, int]:
    """Fit a classical system, which is not a neural network, and write its weights and history into `folder`.

    The files are model.safetensors, history.jsonl, and epochs/0001.safetensors. The last file is a copy of the first,
    for the protocol `released`, which reads the weights of every epoch. The fit uses one thread, so that a seed gives
    identical bits on any number of cores. After an interruption, the fit starts anew and gives the same result.

    Args:
        entry: The system's entry in `MODELS`.
        train: Features and labels of the train split.
        valid: Features and labels of the valid split, which the system may use for choices and for calibration.
        spec: Inputs, tasks, settings and seed.
        folder: Run folder to write into.
        report: Function that is called once with the losses and scores on the valid split.

    Returns:
        ``(progress, n_numbers)``: a `Progress` with one epoch, and the total number of values in all fitted arrays.

    Raises:
        TrainingError: A fitted array contains a number that is not finite.
        WriteError: A file cannot be written.
    """
    started_s = time.perf_counter()
    with threadpool_limits(1):
        tensors = entry.fit(train, valid, spec)
    not_finite = [name for name, array in tensors.items() if not np.isfinite(array).all()]
    if not_finite:
        raise TrainingError(
            f"Expected finite numbers, but got others in {', '.join(not_finite)}; "
            "look for extreme feature values with: mien describe"
        )
    record = {"epoch": 1.0} | _validation_record(entry, tensors, valid, spec)
    progress = Progress(1, 1, record["valid_score"], [record], [time.perf_counter() - started_s])
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}
    for name in (epoch_file(1), MODEL_FILE):
        save_weights(folder / name, weights)
    write_history(folder, progress)
    report(record)
    return progress, sum(array.size for array in tensors.values())


def load_tensors(path: Path) -> Tensors:
    """Read the fitted arrays, by name, from a weights file that `fit_classical` wrote.

    Raises:
        DamagedFileError: The file is missing or truncated.
    """
    return {name: tensor.numpy() for name, tensor in load_weights(path)[0].items()}


def classical_probabilities(
    entry: ClassicalEntry, tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec
) -> Probabilities:
    """Predict the labels of utterances with a fitted classical system, using one thread.

    Args:
        entry: The system's entry in `MODELS`.
        tensors: Fitted arrays of the system by name.
        columns: Features of the utterances to predict.
        spec: Inputs, tasks, settings and seed with which the system was fitted.

    Returns:
        Predictions (utterance, output) by task. They are probabilities if the task predicts classes, and intensities
        otherwise.

    Raises:
        DamagedFileError: `tensors` lacks an array that the system needs.
    """
    try:
        with threadpool_limits(1):
            return entry.probabilities(tensors, columns, spec)
    except KeyError as error:
        raise DamagedFileError(
            f"Expected the arrays of this run's system, but got none named {error}; train it again"
        ) from None


def _validation_record(
    entry: ClassicalEntry, tensors: Tensors, valid: SplitColumns, spec: ClassicalSpec
) -> dict[str, float]:
    """Evaluate a fitted classical system on the valid split.

    Returns:
        A record with the same keys as `validation.validation_record`: the total loss, the loss of each task, how well
        the predictions of each task rank the utterances, and ``valid_score``, the mean of these ranking scores.
    """
    losses: dict[str, float] = {}
    orderings: dict[Task, float] = {}
    tasks = {task.name: task for task in spec.tasks}
    for name, outputs in classical_probabilities(entry, tensors, valid, spec).items():
        targets, scored = targets_of(tasks[name], valid)
        utterance_losses = LOSSES[tasks[name].row.loss].of_predictions(outputs[scored], targets[scored])
        losses[name] = float(utterance_losses.mean()) if scored.any() else 0.0
        orderings[tasks[name]] = ordering(tasks[name], targets[scored], outputs[scored])
    loss = sum(losses.values())
    record = {"valid_loss": loss} | {f"valid_loss_{task}": value for task, value in losses.items()}
    return record | ordering_record(orderings, loss, by_loss=False)
