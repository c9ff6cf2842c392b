"""From rows of features to one vector: means in which non-finite values do not take part."""

from __future__ import annotations

from collections import Counter

import numpy as np

from mien.schema import BoolArray, FloatArray, Modality, Utterance
from mien.sources.rules import PADDING_GUESSED, VALUE_NOT_FINITE, VECTOR_NOT_FINITE, WORD_NOT_FINITE, count

LARGEST = float(np.finfo(np.float32).max)
# how rows become an utterance vector, as stated in the recipe of a feature space
POOLING = "mean of the valid rows, non-finite values left out"


def finite_cells(values: FloatArray) -> BoolArray:
    """True where a value is finite once it is stored as float32; same shape."""
    finite: BoolArray = np.abs(values) <= LARGEST
    return finite


def finite_mean(rows: FloatArray, notes: Counter[str]) -> FloatArray | None:
    """Mean over rows (row, feature) -> (feature,) float32; None without rows or where a column has no finite value."""
    if not len(rows):
        return None
    finite = finite_cells(rows)
    counts = finite.sum(axis=0)
    count(notes, VALUE_NOT_FINITE, finite.size - int(counts.sum()))
    if not counts.all():
        notes[VECTOR_NOT_FINITE] += 1
        return None
    sums = np.where(finite, rows, 0).sum(axis=0, dtype=np.float64)
    mean: FloatArray = (sums / counts).astype(np.float32)
    return mean


def attach_vector(utterance: Utterance, modality: Modality, vector: FloatArray, notes: Counter[str]) -> None:
    """Give the utterance a vector (feature,) as it is stored, unless a value is not finite."""
    if finite_cells(vector).all():
        utterance.features[modality] = vector.astype(np.float32)
    else:
        notes[VECTOR_NOT_FINITE] += 1


def attach_rows(
    utterance: Utterance, modality: Modality, rows: FloatArray, keep_words: bool, notes: Counter[str]
) -> None:
    """Give the utterance the mean of its valid rows (row, feature) and, on request, the rows as its words."""
    mean = finite_mean(rows, notes)
    if mean is None:
        return
    utterance.features[modality] = mean
    if keep_words:
        present: BoolArray = np.asarray(finite_cells(rows).all(axis=1))
        count(notes, WORD_NOT_FINITE, int((~present).sum()))
        utterance.words[modality] = np.where(present[:, None], rows, 0).astype(np.float32)
        utterance.word_present[modality] = present


def without_zero_ends(streams: list[FloatArray], notes: Counter[str]) -> slice:
    """Rows left when the rows that are all zero in every stream, each (row, feature), are stripped at both ends.

    Only for files that store no lengths: a zero row inside, or zero in one stream alone, is data.
    """
    filled = np.zeros(len(streams[0]), dtype=bool)
    for stream in streams:
        filled |= (stream != 0).any(axis=1)
    places = np.flatnonzero(filled)
    kept = slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
    if kept.stop - kept.start < len(filled):
        notes[PADDING_GUESSED] += 1
    return kept
