"""Reading a Dataset for a system: the inputs that the system needs, and the tasks that the labels allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features.text.minilm import clean_text
from mien.features.text.transcript import REMEDY, transcript_space
from mien.models import SystemEntry, model_entry
from mien.models.batch import InputKind
from mien.models.cim_tuned import NO_ENCODER
from mien.schema import FeatureSpace, FloatArray, IntArray, Modality, SentimentValues
from mien.storage.columns import labels_in
from mien.storage.dataset import Dataset
from mien.storage.runs import Run
from mien.storage.split_columns import SplitColumns
from mien.tasks import HasLabels, Task
from mien.tasks import labels_of as labels_of_task
from mien.training.predictor import needs_transcripts, with_model_inputs


def read_split(dataset: Dataset, split: str, run: Run) -> SplitColumns:
    """Read one split with the inputs that the system of a run needs, such as words or transcripts.

    Args:
        dataset: Dataset to read.
        split: Name of the split.
        run: Run of the system. Its training need not be finished.

    Returns:
        The split as columns, one row per utterance.

    Raises:
        DataError: The split is unknown or empty, or lacks words or transcripts.
    """
    return with_model_inputs(
        dataset.columns(split, words=model_entry(run.model).input_kind is InputKind.WORDS), run.spaces
    )


def has_transcripts(dataset: Dataset) -> bool:
    """Return whether any utterance of the Dataset has a transcript."""
    return any(clean_text(text or "") for text in dataset.table(["transcript"])["transcript"].to_pylist())


def encodes_text(entry: SystemEntry, settings: Mapping[str, Any]) -> bool:
    """Return whether a system takes transcripts as input and encodes them with its built-in text encoder.

    Args:
        entry: The system's entry in `MODELS`.
        settings: Its settings by name.

    Returns:
        True if the system can encode transcripts and the settings do not turn its encoder off.
    """
    return entry.input_kind is InputKind.TRANSCRIPTS and settings.get("encoder") != NO_ENCODER


def with_transcripts(dataset: Dataset, name: str) -> dict[Modality, FeatureSpace]:
    """Return the feature spaces of a Dataset, with raw transcripts in place of text vectors.

    Args:
        dataset: Dataset with transcripts.
        name: Name of the system or run, for the error message.

    Returns:
        Feature spaces by modality.

    Raises:
        DataError: No utterance has a transcript.
    """
    if not has_transcripts(dataset):
        raise DataError(
            f"Expected transcripts in {dataset.folder} for {name}, which reads them, but got none; {REMEDY}, "
            f"or train on text features: --set encoder={NO_ENCODER}"
        )
    return {**dataset.facts.spaces, Modality.TEXT: transcript_space()}


def available_spaces(dataset: Dataset, run: Run) -> Mapping[Modality, FeatureSpace]:
    """Return the feature spaces that a Dataset can provide to a finished run.

    Args:
        dataset: Dataset to read.
        run: Finished run.

    Returns:
        Feature spaces by modality, with transcripts in place of text vectors if the run takes transcripts as input.

    Raises:
        DataError: The run takes transcripts as input, and no utterance has a transcript.
    """
    return with_transcripts(dataset, str(run.folder)) if needs_transcripts(run.spaces) else dataset.facts.spaces


@dataclass(frozen=True)
class SplitLabels:
    """Gold labels of the utterances of one split. There are none if the Dataset has no such split."""

    rows: HasLabels
    values: SentimentValues  # meaning of the numbers in the label space `sentiment`

    def labelled(self, task: Task) -> bool:
        """Return whether any utterance has a label for the task."""
        return not np.isnan(labels_of_task(task, self.rows)).all()

    def admits(self, task: Task) -> bool:
        """Return whether the task can be learned from the labels. Intensities cannot be learned from class labels."""
        return self.labelled(task) and (not task.row.needs_degrees or task.is_graded(self.rows, self.values))


@dataclass(frozen=True)
class StoredLabels:
    """Labels of N utterances without anything else."""

    labels: Mapping[str, FloatArray]  # name of a label space -> labels (N, column)
    index: IntArray  # (N,)


def split_labels(dataset: Dataset, split: str) -> SplitLabels:
    """Read the gold labels of one split, without features.

    Args:
        dataset: Dataset to read.
        split: Name of the split.

    Returns:
        The labels, with no rows if the Dataset has no such split.
    """
    rows = dataset.table(["split", "index", *dataset.facts.label_columns])
    in_split = np.array([name == split for name in rows["split"].to_pylist()], dtype=bool)
    labels = {space.name: labels_in(rows, space)[in_split] for space in dataset.facts.label_spaces}
    index = np.array(rows["index"].to_pylist(), dtype=np.int64)[in_split]
    return SplitLabels(StoredLabels(labels, index), dataset.facts.sentiment_values)
