"""Classical systems: fitted once, and stored like a network after one epoch."""

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
from mien.tasks import TASKS, targets_of
from mien.training.checkpoint import Progress, load_weights, save_weights
from mien.training.loop import MODEL_FILE, write_history
from mien.training.losses import LOSSES
from mien.training.validation import ordering, ordering_record

Report = Callable[[dict[str, float]], None]


def fit_classical(
    entry: ClassicalEntry,
    train: SplitColumns,
    valid: SplitColumns,
    spec: ClassicalSpec,
    folder: Path,
    report: Report,
) -> tuple[Progress, int]:
    """Fit into `folder`; returns the history of the one "epoch" and how many numbers were stored.

    Leaves model.safetensors, the same as epochs/0001.safetensors for the protocol that chooses epochs, and
    history.jsonl. On one thread, so that a seed gives the same bits on any number of cores. There is nothing to resume:
    a fit that was killed is begun again, and ends in the same bits. Raises TrainingError when what was learned is not
    finite.
    """
    started_s = time.perf_counter()
    with threadpool_limits(1):
        tensors = entry.fit(train, valid, spec)
    broken = [name for name, array in tensors.items() if not np.isfinite(array).all()]
    if broken:
        raise TrainingError(
            f"Expected finite numbers, but got others in {', '.join(broken)}; "
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
    """Read what `fit_classical` wrote. Raises DamagedFileError when the file is missing or cut."""
    return {name: tensor.numpy() for name, tensor in load_weights(path)[0].items()}


def classical_probabilities(
    entry: ClassicalEntry, tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec
) -> Probabilities:
    """What a fitted system says of the columns. Raises DamagedFileError when the arrays are not this system's."""
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
    """Losses and orderings per task, and ``valid_score``, as `validation_record` says of a network after an epoch."""
    losses, orderings = {}, {}
    for task, said in classical_probabilities(entry, tensors, valid, spec).items():
        wanted, scored = targets_of(task, valid)
        each = LOSSES[TASKS[task].loss].of_predictions(said[scored], wanted[scored])
        losses[task] = float(each.mean()) if scored.any() else 0.0
        orderings[task] = ordering(task, wanted[scored], said[scored])
    loss = sum(losses.values())
    record = {"valid_loss": loss} | {f"valid_loss_{task}": value for task, value in losses.items()}
    return record | ordering_record(orderings, loss, by_loss=False)
