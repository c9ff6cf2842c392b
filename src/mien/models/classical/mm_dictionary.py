"""The multi-modal dictionary: words counted apart by the gesture that accompanies them. Adapted.

Source: A. Zadeh, R. Zellers, E. Pincus, L.-P. Morency, "Multimodal sentiment intensity analysis in videos: facial
gestures and verbal messages", IEEE Intelligent Systems 31(6), 2016. There, every word of a vocabulary is counted twice,
where a facial gesture (smile, frown, head nod, head shake) accompanies it and where none does, and a nu-SVR predicts
the intensity of the sentiment from the counts.

Adapted, because a Dataset has vectors of words and not the words or the gestures themselves:

- a word of the vocabulary is a *codeword*: the nearest of `n_codewords` centres of k-means over train's word vectors
- a gesture is one of `n_gestures` centres of k-means over the vectors of a modality that stand beside the words; the
  voice has such "gestures" too where it is an input
- the regression is linear with a squared epsilon-insensitive loss (the cost of a nu-SVR grows with the square of the
  utterances); its value is the intensity, and is turned into a probability by Platt scaling on valid; emotions, which
  the paper does not know, are linear SVMs with the same scaling, their intensities such regressions

Plain counts of codewords and gestures stand beside the pairs. With text alone this is a bag of codewords, without text
a bag of gestures. A word that lacks a modality is counted in nothing that concerns it: neither as with nor as without
a gesture. An utterance without words has zero counts and is judged by the offset alone.

| paper | here |
|---|---|
| word w, gesture g | codeword, gesture: `Codebook` numbers of a word |
| counts of (w, g present), (w, g absent) | `dictionary_counts` |
| nu-SVR | `fit_linear_svr` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mien.errors import DataError
from mien.models.classical.base import (
    Array,
    ClassicalSpec,
    Probabilities,
    Tensors,
    apply_platt,
    by_task,
    classes_among,
    column_scaling,
    degrees_among,
    fit_linear_svm,
    fit_linear_svr,
    fit_platt_outputs,
    in_order,
    iterations_may_run_out,
    joined_targets,
)
from mien.models.layers import SystemSettings
from mien.schema import FloatArray, Modality
from mien.storage.split_columns import SplitColumns, WordColumns
from mien.tasks import SENTIMENT, TASKS

# k-means sees at most so many train words of a modality: more do not move the centres
CODEBOOK_WORDS = 50_000
# words looked up at once, so that memory does not grow with the split
LOOKUP_WORDS = 8_192
# the number of a word that lacks the modality
UNKNOWN = -1


@dataclass(frozen=True)
class MmDictionarySettings(SystemSettings):
    """Sizes of the codebooks and of the fit."""

    # centres that stand for the vocabulary
    n_codewords: int = 300
    # centres per modality that stand for gestures (paper: four, of the face)
    n_gestures: int = 4
    # C of the regression and of the SVMs
    linear_penalty: float = 0.01


def fit_mm_dictionary(train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Codebooks, regression and SVMs from train; Platt scaling from valid. Raises DataError without words."""
    tensors: Tensors = {}
    for modality in spec.inputs:
        size = spec.settings.n_codewords if modality is Modality.TEXT else spec.settings.n_gestures
        tensors |= _fit_codebook(_words_of(train), modality, size, spec.seed)
    counts, classes, penalty = _counts(tensors, train, spec), classes_among(spec.tasks), spec.settings.linear_penalty
    tensors |= dict(zip(("weights", "offsets"), _fit_outputs(counts, train, classes, penalty), strict=True))
    if degrees := degrees_among(spec.tasks):
        found = _fit_outputs(counts, train, degrees, penalty)
        tensors |= dict(zip(("intensity_weights", "intensity_offsets"), found, strict=True))
    decided = [(_decisions(tensors, columns, spec), joined_targets(columns, classes)) for columns in (train, valid)]
    return tensors | {"platt": fit_platt_outputs(decided[0], decided[1])}


def mm_dictionary_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Platt-scaled linear functions of the counts for classes, and such functions themselves for degrees."""
    said = by_task(apply_platt(tensors["platt"], _decisions(tensors, columns, spec)), classes_among(spec.tasks))
    if degrees := degrees_among(spec.tasks):
        values = _counts(tensors, columns, spec) @ tensors["intensity_weights"] + tensors["intensity_offsets"]
        said |= by_task(np.asarray(values), degrees)
    return said


def dictionary_counts(
    offsets: Int[Array, "N_plus_1"], codes: Mapping[Modality, Int[Array, "W"]], sizes: Mapping[Modality, int]
) -> Any:
    """Counts per utterance as a scipy sparse matrix (N, feature).

    Args:
        offsets: utterance n has the words offsets[n] : offsets[n + 1].
        codes: per modality the number of each word's codeword or gesture, `UNKNOWN` where the word lacks it.
        sizes: how many numbers there are.

    Returns:
        Columns: per modality its plain counts; then, where there is text, per further modality and gesture the counts
        of every codeword with the gesture, and of every codeword with another one.
    """
    from scipy.sparse import csr_array

    utterance = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    rows, places = [], []
    width = 0
    for modality, code in codes.items():
        known = code != UNKNOWN
        rows.append(utterance[known])
        places.append(width + code[known])
        width += sizes[modality]
    if Modality.TEXT in codes:
        for modality in (each for each in codes if each is not Modality.TEXT):
            known = (codes[Modality.TEXT] != UNKNOWN) & (codes[modality] != UNKNOWN)
            words, gestures = codes[Modality.TEXT][known], codes[modality][known]
            for gesture in range(sizes[modality]):
                rows.append(utterance[known])
                places.append(width + words + sizes[Modality.TEXT] * (gestures != gesture))
                width += 2 * sizes[Modality.TEXT]
    # 32 bits, because scikit-learn's linear solvers take no wider ones
    row, place = np.concatenate(rows).astype(np.int32), np.concatenate(places).astype(np.int32)
    # building it from coordinates adds up what falls on the same place
    return csr_array((np.ones(len(row)), (row, place)), shape=(len(offsets) - 1, width))


def nearest_centres(rows: Float[Array, "n feature"], centres: Float[Array, "k feature"]) -> Int[Array, "n"]:
    """Number of the nearest centre of every row."""
    half = 0.5 * (centres**2).sum(axis=1)
    parts = [
        np.argmin(half - rows[start : start + LOOKUP_WORDS] @ centres.T, axis=1)
        for start in range(0, len(rows), LOOKUP_WORDS)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def _fit_outputs(
    counts: Any, train: SplitColumns, tasks: Sequence[str], penalty: float
) -> tuple[Float[Array, "feature output"], Float[Array, "output"]]:
    """Weights and offsets: the paper's regression for the sentiment and for degrees, SVMs for other classes."""
    fitted = []
    for task in in_order(tasks):
        values, scored = joined_targets(train, [task])
        fit = fit_linear_svr if TASKS[task].predicts_degrees else fit_linear_svm
        if task == SENTIMENT:
            values, fit = train.sentiment[:, None], fit_linear_svr
        for wanted, rows in zip(values.T, map(np.flatnonzero, scored.T), strict=True):
            fitted.append(fit(counts[rows], wanted[rows], penalty))
    weights = np.reshape([each for each, _ in fitted], (len(fitted), counts.shape[1])).T
    return weights, np.array([offset for _, offset in fitted])


def _fit_codebook(words: WordColumns, modality: Modality, size: int, seed: int) -> Tensors:
    from sklearn.cluster import MiniBatchKMeans

    rows: FloatArray = words.features[modality][words.present[modality]].astype(np.float64)
    if not len(rows):
        raise DataError(
            f"Expected some train words with {modality} features, but all {len(words.present[modality])} lack them; "
            "leave it out of --inputs"
        )
    mean, scale = column_scaling(rows)
    if len(rows) > CODEBOOK_WORDS:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), CODEBOOK_WORDS, replace=False))]
    clustering = MiniBatchKMeans(min(size, len(rows)), random_state=seed, n_init=1)
    with iterations_may_run_out():
        clustering.fit((rows - mean) / scale)
    return {f"{modality}.mean": mean, f"{modality}.scale": scale, f"{modality}.centres": clustering.cluster_centers_}


def _words_of(columns: SplitColumns) -> WordColumns:
    if columns.words is None:
        raise DataError(
            "Expected the words of the utterances for mm-dictionary, but got one vector per utterance; "
            "read the split with words=True"
        )
    return columns.words


def _counts(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Any:
    words = _words_of(columns)
    codes = {}
    for modality in spec.inputs:
        here = words.present[modality]
        rows = (words.features[modality][here] - tensors[f"{modality}.mean"]) / tensors[f"{modality}.scale"]
        code = np.full(len(here), UNKNOWN, dtype=np.int64)
        code[here] = nearest_centres(rows, tensors[f"{modality}.centres"])
        codes[modality] = code
    return dictionary_counts(words.offsets, codes, {m: len(tensors[f"{m}.centres"]) for m in spec.inputs})


def _decisions(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N output"]:
    return np.asarray(_counts(tensors, columns, spec) @ tensors["weights"] + tensors["offsets"])
