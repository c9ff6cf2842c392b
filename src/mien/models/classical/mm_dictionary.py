"""`mm-dictionary`: the multi-modal dictionary, which counts words separately for each gesture that accompanies them.

Source: A. Zadeh, R. Zellers, E. Pincus, L.-P. Morency, "Multimodal sentiment intensity analysis in videos: facial
gestures and verbal messages", IEEE Intelligent Systems 31(6), 2016. The paper counts every word of a vocabulary twice:
where a facial gesture (smile, frown, head nod, head shake) accompanies it, and where none does. A nu-SVR predicts the
intensity of the sentiment from the counts.

The method is adapted, because a Dataset contains vectors of words, but neither the words nor the gestures themselves:

- A word is replaced by a *codeword*, the nearest of `n_codewords` k-means centres of the word vectors of train.
- A gesture is the nearest of `n_gestures` k-means centres of the vectors that another modality has during the words. If
  the voice is an input, it has such "gestures" too.
- The regression is linear with a squared epsilon-insensitive loss, because the cost of a nu-SVR grows with the square
  of the number of utterances. Its output is the intensity; Platt scaling on valid turns it into a probability.
- The paper does not predict emotions. Here, linear SVMs with Platt scaling predict them, and regressions their
  intensities.

The features also include plain counts of codewords and gestures. With text alone they are a bag of codewords, and
without text a bag of gestures. If a word lacks a modality, it enters no count of that modality, neither with nor
without a gesture. An utterance without words has zero counts, so that only the offset decides.

| paper | this file |
|---|---|
| word w, gesture g | index of the nearest centre of the text, and of another modality |
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
    iterations_may_run_out,
    joined_targets,
)
from mien.models.layers import SystemSettings
from mien.schema import FloatArray, Modality
from mien.storage.split_columns import SplitColumns, WordColumns
from mien.task_kinds import BINARY
from mien.tasks import Task, in_order, labels_of

# largest number of train words that k-means uses for a modality; more words do not move the centres
CODEBOOK_WORDS = 50_000
# number of words whose centres are looked up at once; limits the memory
LOOKUP_WORDS = 8_192
# codeword or gesture index of a word that lacks the modality
UNKNOWN = -1


@dataclass(frozen=True)
class MmDictionarySettings(SystemSettings):
    """Settings of `mm-dictionary`: numbers of k-means centres, and penalty of the regressions and SVMs."""

    # number of codewords
    n_codewords: int = 300
    # number of gestures per modality (paper: four, of the face)
    n_gestures: int = 4
    # C of the regression and of the SVMs
    linear_penalty: float = 0.01


def fit_mm_dictionary(train: SplitColumns, valid: SplitColumns, spec: ClassicalSpec) -> Tensors:
    """Fit k-means centres, regressions and SVMs on the train split, and Platt scaling on the valid split.

    Args:
        train: Train split with words.
        valid: Valid split with words.
        spec: Inputs, tasks, settings (`MmDictionarySettings`) and seed.

    Returns:
        Arrays by name. For each modality: ``mean`` and ``scale`` of its features, and the k-means ``centres``. For the
        classes: ``weights``, ``offsets`` and ``platt``. If a task predicts intensities, also ``intensity_weights`` and
        ``intensity_offsets``.

    Raises:
        DataError: A split has no words, or all train words lack one of the input modalities.
    """
    tensors: Tensors = {}
    for modality in spec.inputs:
        size = spec.settings.n_codewords if modality is Modality.TEXT else spec.settings.n_gestures
        tensors |= _fit_codebook(_words_of(train), modality, size, spec.seed)
    counts, classes, penalty = _counts(tensors, train, spec), classes_among(spec.tasks), spec.settings.linear_penalty
    tensors |= dict(zip(("weights", "offsets"), _fit_outputs(counts, train, classes, penalty), strict=True))
    if degrees := degrees_among(spec.tasks):
        fitted = _fit_outputs(counts, train, degrees, penalty)
        tensors |= dict(zip(("intensity_weights", "intensity_offsets"), fitted, strict=True))
    decisions = [
        (_dictionary_decisions(tensors, columns, spec), joined_targets(columns, classes)) for columns in (train, valid)
    ]
    return tensors | {"platt": fit_platt_outputs(decisions[0], decisions[1])}


def mm_dictionary_probabilities(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Probabilities:
    """Predict with a fitted `mm-dictionary`.

    Each output has a linear function of the counts from `dictionary_counts`. For classes, Platt scaling turns its value
    into a probability.

    Args:
        tensors: Arrays from `fit_mm_dictionary`.
        columns: Utterances to predict, with words.
        spec: The spec that was given to `fit_mm_dictionary`.

    Returns:
        Predictions (N, output) by task: probabilities if the task predicts classes, and intensities otherwise.

    Raises:
        DataError: `columns` has no words.
    """
    predictions = by_task(
        apply_platt(tensors["platt"], _dictionary_decisions(tensors, columns, spec)), classes_among(spec.tasks)
    )
    if degrees := degrees_among(spec.tasks):
        values = _counts(tensors, columns, spec) @ tensors["intensity_weights"] + tensors["intensity_offsets"]
        predictions |= by_task(np.asarray(values), degrees)
    return predictions


def dictionary_counts(
    offsets: Int[Array, "N_plus_1"], codes: Mapping[Modality, Int[Array, "W"]], sizes: Mapping[Modality, int]
) -> Any:
    """Count how often each codeword, each gesture, and each combination of both occurs in every utterance.

    A codeword is the k-means cluster of the text vector of a word. A gesture is the cluster of the word's vector in
    another modality.

    Args:
        offsets: Utterance i consists of the words with indices offsets[i] to offsets[i + 1] - 1.
        codes: By modality, the index of the codeword or gesture of each word. It is `UNKNOWN` if the word lacks the
            modality.
        sizes: Number of codewords or gestures by modality.

    Returns:
        Scipy sparse matrix of counts, one row per utterance. The first columns count the codewords or gestures of each
        modality. If text is among the modalities, two blocks of columns follow for each gesture: how often every
        codeword occurs with this gesture, and how often it occurs with another gesture of the same modality.
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
    # 32 bits, because scikit-learn's linear solvers accept no wider indices
    row, place = np.concatenate(rows).astype(np.int32), np.concatenate(places).astype(np.int32)
    # the constructor sums duplicate coordinates
    return csr_array((np.ones(len(row)), (row, place)), shape=(len(offsets) - 1, width))


def nearest_centres(rows: Float[Array, "n feature"], centres: Float[Array, "k feature"]) -> Int[Array, "n"]:
    """Find the nearest centre of every row by Euclidean distance.

    Args:
        rows: Feature vectors, one per row.
        centres: Centres with the same features, one per row.

    Returns:
        Index of the nearest centre of every row of `rows`.
    """
    half = 0.5 * (centres**2).sum(axis=1)
    parts = [
        np.argmin(half - rows[start : start + LOOKUP_WORDS] @ centres.T, axis=1)
        for start in range(0, len(rows), LOOKUP_WORDS)
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def _fit_outputs(
    counts: Any, train: SplitColumns, tasks: Sequence[Task], penalty: float
) -> tuple[Float[Array, "feature output"], Float[Array, "output"]]:
    """Fit one linear function of the counts per output, and return the weights and the offsets.

    The functions are regressions for sentiment and for intensities, and SVMs for emotion classes.
    """
    fitted = []
    for task in in_order(tasks):
        values, scored = joined_targets(train, [task])
        fit = fit_linear_svr if task.predicts_degrees else fit_linear_svm
        if task.kind == BINARY:
            values, fit = labels_of(task, train), fit_linear_svr
        for target, rows in zip(values.T, map(np.flatnonzero, scored.T), strict=True):
            fitted.append(fit(counts[rows], target[rows], penalty))
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
        mask = words.present[modality]
        rows = (words.features[modality][mask] - tensors[f"{modality}.mean"]) / tensors[f"{modality}.scale"]
        code = np.full(len(mask), UNKNOWN, dtype=np.int64)
        code[mask] = nearest_centres(rows, tensors[f"{modality}.centres"])
        codes[modality] = code
    return dictionary_counts(words.offsets, codes, {m: len(tensors[f"{m}.centres"]) for m in spec.inputs})


def _dictionary_decisions(tensors: Tensors, columns: SplitColumns, spec: ClassicalSpec) -> Float[Array, "N output"]:
    return np.asarray(_counts(tensors, columns, spec) @ tensors["weights"] + tensors["offsets"])
