"""What a Dataset offers to a system: a split as the system reads it, and which tasks its labels can teach."""

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
from mien.schema import EMOTIONS, FeatureSpace, FloatArray, Modality, SentimentValues, graded_emotions
from mien.storage.dataset import Dataset
from mien.storage.runs import Run
from mien.storage.split_columns import SplitColumns
from mien.tasks import SENTIMENT, TASKS
from mien.tasks import labels_of as labels_of_task
from mien.training.predictor import needs_transcripts, with_model_inputs


def read_split(dataset: Dataset, split: str, run: Run) -> SplitColumns:
    """One split with the words of its utterances, or their transcripts, where the run's system reads them.

    Raises DataError where they are not there.
    """
    return with_model_inputs(
        dataset.columns(split, words=model_entry(run.model).input_kind is InputKind.WORDS), run.spaces
    )


def has_transcripts(dataset: Dataset) -> bool:
    """Whether anything was written down in any utterance."""
    return any(clean_text(text or "") for text in dataset.table(["transcript"])["transcript"].to_pylist())


def encodes_text(entry: SystemEntry, settings: Mapping[str, Any]) -> bool:
    """Whether a system of these settings reads transcripts itself."""
    return entry.input_kind is InputKind.TRANSCRIPTS and settings.get("encoder") != NO_ENCODER


def with_transcripts(dataset: Dataset, name: str) -> dict[Modality, FeatureSpace]:
    """The Dataset's feature spaces, with transcripts in the place of text vectors. Raises DataError without any.

    `name` is the system's, for the message.
    """
    if not has_transcripts(dataset):
        raise DataError(
            f"Expected transcripts in {dataset.folder} for {name}, which reads them, but got none; {REMEDY}, "
            f"or train on text features: --set encoder={NO_ENCODER}"
        )
    return {**dataset.facts.spaces, Modality.TEXT: transcript_space()}


def available_spaces(dataset: Dataset, run: Run) -> Mapping[Modality, FeatureSpace]:
    """The feature spaces that the Dataset can give to a finished run. Raises DataError without needed transcripts."""
    return with_transcripts(dataset, str(run.folder)) if needs_transcripts(run.spaces) else dataset.facts.spaces


@dataclass(frozen=True)
class SplitLabels:
    """The labels of one split. N = its utterances; none where the Dataset has no such split."""

    sentiment: FloatArray  # (N,) NaN where missing
    emotions: FloatArray  # (N, 6) NaN rows where missing
    values: SentimentValues

    def labelled(self, task: str) -> bool:
        """Whether any utterance has what the task is about."""
        return not np.isnan(labels_of_task(task, self)).all()

    def admits(self, task: str) -> bool:
        """Whether the task can be learned from them: degrees cannot from classes."""
        row = TASKS[task]
        if not row.needs_degrees or not self.labelled(task):
            return self.labelled(task)
        if row.labels == SENTIMENT:
            return self.values is SentimentValues.INTENSITY
        return graded_emotions(self.emotions)


def split_labels(dataset: Dataset, split: str) -> SplitLabels:
    """The labels of one split, without reading any feature."""
    rows = dataset.table(["split", "sentiment", *EMOTIONS])
    here = np.array([name == split for name in rows["split"].to_pylist()], dtype=bool)
    columns = [rows[name].to_numpy().astype(np.float64)[here] for name in ("sentiment", *EMOTIONS)]
    return SplitLabels(columns[0], np.stack(columns[1:], axis=1), dataset.facts.sentiment_values)
