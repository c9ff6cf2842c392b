"""`transcript`: no vectors, for systems that read what was said themselves.

Such a system's text has a feature space without features, whose recipe names the encoder that reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mien.errors import DataError
from mien.features.text.base import TextExtractor
from mien.features.text.minilm import MAX_TOKENS, MINILM, clean_text
from mien.schema import BoolArray, FeatureSpace, FloatArray, Modality
from mien.storage.split_columns import SplitColumns

TRANSCRIPT = "transcript"
REMEDY = "import again with transcripts (mien import table --map text=COLUMN; mien readers)"


def transcript_space() -> FeatureSpace:
    """What is read: which encoder by its files, and how much of a transcript."""
    recipe = {"encoder": MINILM.name, "encoder_sha256": dict(MINILM.sha256), "max_tokens": MAX_TOKENS}
    return FeatureSpace(Modality.TEXT, TRANSCRIPT, 0, recipe=recipe)


def load_transcript() -> TextExtractor:
    """The extractor of raw video for these systems: it says only where there is something to read."""

    def utterance_vectors(texts: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        return np.zeros((len(texts), 0), dtype=np.float32), _readable(texts)

    return TextExtractor(transcript_space(), utterance_vectors)


def as_transcripts(columns: SplitColumns) -> SplitColumns:
    """The same utterances with their transcripts in the place of text vectors. Raises DataError without transcripts."""
    if columns.transcripts is None:
        raise DataError(f"Expected transcripts, which the system reads, but got none; {REMEDY}")
    text = Modality.TEXT
    return dataclasses.replace(
        columns,
        features=columns.features | {text: np.zeros((columns.n_utterances, 0), dtype=np.float32)},
        present=columns.present | {text: _readable(columns.transcripts)},
        spaces={**columns.spaces, text: transcript_space()},
    )


def _readable(texts: Sequence[str]) -> BoolArray:
    return np.array([bool(clean_text(text)) for text in texts], dtype=np.bool_)
