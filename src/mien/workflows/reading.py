"""What a Dataset offers to a system, and a split of it as the system reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.errors import DataError
from mien.features.minilm import clean
from mien.features.transcript import REMEDY, transcript_space
from mien.models import NO_ENCODER, Reads, SystemEntry, model_entry
from mien.schema import FeatureSpace, Modality
from mien.tables import Dataset, Run, SplitColumns
from mien.training import as_read, reads_transcripts


def read_split(dataset: Dataset, split: str, run: Run) -> SplitColumns:
    """One split with the words of its utterances, or their transcripts, where the run's system reads them.

    Raises DataError where they are not there.
    """
    return as_read(dataset.columns(split, words=model_entry(run.model).reads is Reads.WORDS), run.spaces)


def has_transcripts(dataset: Dataset) -> bool:
    """Whether anything was written down in any utterance."""
    return any(clean(text or "") for text in dataset.table(["transcript"])["transcript"].to_pylist())


def encodes_text(entry: SystemEntry, settings: Mapping[str, Any]) -> bool:
    """Whether a system of these settings reads transcripts itself."""
    return entry.reads is Reads.TRANSCRIPTS and settings.get("encoder") != NO_ENCODER


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


def spaces_offered(dataset: Dataset, run: Run) -> Mapping[Modality, FeatureSpace]:
    """The feature spaces that the Dataset can give to a finished run. Raises DataError without needed transcripts."""
    return with_transcripts(dataset, str(run.folder)) if reads_transcripts(run.spaces) else dataset.facts.spaces
