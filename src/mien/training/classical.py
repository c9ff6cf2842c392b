"""Classical systems: fitted once, stored like a network after one epoch, and used as a predictor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from mien.errors import DamagedFileError, TrainingError
from mien.models.batch import Reads
from mien.models.classical.base import (
    ClassicalEntry,
    ClassicalSpec,
    Probabilities,
    Tensors,
    binary_targets,
    intensity_targets,
)
from mien.schema import FeatureSpace, FloatArray, Modality, SentimentValues, Task
from mien.storage.predictions import Predictions
from mien.storage.runs import epoch_file, require_spaces
from mien.storage.split_columns import SplitColumns, stack_features
from mien.training.checkpoint import Progress, load_weights, save_weights
from mien.training.loop import MODEL_FILE, write_history
from mien.training.predictions import VideoPrediction, require_vectors, to_predictions
from mien.training.validation import ordering, ordering_record

# keeps the logarithm of a probability of 0 or 1 finite
SMALLEST_PROBABILITY = 1e-12
Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class ClassicalPredictor:
    """What everything after training knows of a classical system."""

    entry: ClassicalEntry
    tensors: Tensors
    spec: ClassicalSpec
    # the spaces it was fitted on; features of others are refused by `tables.require_spaces`
    spaces: Mapping[Modality, FeatureSpace] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it predicts."""
        return self.spec.tasks

    @property
    def reads(self) -> Reads:
        """What its columns must hold beside the features."""
        return self.entry.reads

    @property
    def needs_words(self) -> bool:
        """Whether its columns must hold the words of the utterances."""
        return self.reads is Reads.WORDS

    def predict(
        self, columns: SplitColumns, sentiment_values: SentimentValues = SentimentValues.INTENSITY
    ) -> Predictions:
        """Probabilities for every utterance of the columns, in their order, beside the gold labels.

        Raises FeatureSpaceError, and DamagedFileError when the stored arrays are not this system's.
        """
        if columns.spaces:
            require_spaces(self.spaces, columns.spaces)
        return to_predictions(columns, _probabilities(self.entry, self.tensors, columns, self.spec), sentiment_values)

    def attention(self, columns: SplitColumns) -> dict[str, dict[str, FloatArray]]:
        """Nothing for any video: a classical system looks at each utterance alone."""
        return {name: {} for name in columns.video_ids}

    def fusion(self, _columns: SplitColumns) -> dict[str, FloatArray]:
        """Nothing: what weights a system has are the same for all utterances."""
        return {}

    def predict_video(self, features: Mapping[str, FloatArray]) -> VideoPrediction:
        """One video from its features, see `Predictor.predict_video`."""
        require_vectors(self.reads)
        said = self.predict(stack_features(features, self.spaces))
        return VideoPrediction(
            said.sentiment_probability, said.emotion_probabilities, said.sentiment_intensity, said.emotion_intensities
        )


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


def _probabilities(
    entry: ClassicalEntry, tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec
) -> Probabilities:
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
    predicted = _probabilities(entry, tensors, valid, spec)
    losses, orderings = {}, {}
    for task, probabilities in ((Task.SENTIMENT, predicted.sentiment), (Task.EMOTION, predicted.emotions)):
        if probabilities is None:
            continue
        labels, scored = binary_targets(valid, [task])
        rows = scored[:, 0]
        said = probabilities.reshape(len(rows), -1)[rows]
        of_the_label = np.maximum(np.where(labels[rows], said, 1 - said), SMALLEST_PROBABILITY)
        losses[task] = float(-np.log(of_the_label).mean()) if rows.any() else 0.0
        orderings[task] = ordering(task, labels[rows], said)
    for task, intensities in (
        (Task.SENTIMENT_INTENSITY, predicted.sentiment_intensity),
        (Task.EMOTION_INTENSITY, predicted.emotion_intensities),
    ):
        if intensities is None:
            continue
        gold, scored = intensity_targets(valid, [task])
        rows = scored[:, 0]
        errors = np.abs(intensities.reshape(len(rows), -1)[rows] - gold[rows])
        # as `loss_sums` of a network: absolute for sentiment, squared for emotions
        losses[task] = float((errors if task is Task.SENTIMENT_INTENSITY else errors**2).mean()) if rows.any() else 0.0
        orderings[task] = ordering(task, gold[rows], intensities.reshape(len(rows), -1)[rows])
    loss = sum(losses.values())
    record = {"valid_loss": loss} | {f"valid_loss_{task}": value for task, value in losses.items()}
    return record | ordering_record(orderings, loss, by_loss=False)
