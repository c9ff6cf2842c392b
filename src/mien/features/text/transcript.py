"""Text extractor `transcript`: it computes no features, and serves models that encode the transcripts themselves.

The text modality of such a model has a feature space with 0 features. The description (`recipe`) of this space names
the text encoder of the model.
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
REMEDY = "import again from files with transcripts (table: --map text=COLUMN; others: mien readers)"


def transcript_space() -> FeatureSpace:
    """Return the feature space of raw transcripts, with 0 features.

    Its description (`recipe`) contains the name of the text encoder, the checksums of its files and its maximum number
    of tokens.
    """
    recipe = {"encoder": MINILM.name, "encoder_sha256": dict(MINILM.sha256), "max_tokens": MAX_TOKENS}
    return FeatureSpace(Modality.TEXT, TRANSCRIPT, 0, recipe=recipe)


def load_transcript() -> TextExtractor:
    """Make the text extractor for models that encode transcripts themselves.

    The extractor returns vectors with 0 features, and a mask that tells which transcripts are not empty.
    """

    def utterance_vectors(texts: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        return np.zeros((len(texts), 0), dtype=np.float32), _has_text(texts)

    return TextExtractor(transcript_space(), utterance_vectors)


def as_transcripts(columns: SplitColumns) -> SplitColumns:
    """Replace the text vectors by vectors with 0 features, for models that encode the transcripts themselves.

    The other columns are returned unchanged. The text modality is present where a transcript is not empty.

    Raises:
        DataError: The columns contain no transcripts.
    """
    if columns.transcripts is None:
        raise DataError(f"Expected transcripts, which the system reads, but got none; {REMEDY}")
    text = Modality.TEXT
    return dataclasses.replace(
        columns,
        features=columns.features | {text: np.zeros((columns.n_utterances, 0), dtype=np.float32)},
        present=columns.present | {text: _has_text(columns.transcripts)},
        spaces={**columns.spaces, text: transcript_space()},
    )


def _has_text(texts: Sequence[str]) -> BoolArray:
    """Return a mask (utterance,), True where the transcript is not empty."""
    return np.array([bool(clean_text(text)) for text in texts], dtype=np.bool_)
