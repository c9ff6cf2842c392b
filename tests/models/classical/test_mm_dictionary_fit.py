"""The whole of `mm-dictionary`: codebooks by hand; counts, machines and probabilities written out from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.svm import LinearSVC, LinearSVR
from tests.labelled import EMOTION, EMOTION_INTENSITY, SENTIMENT, SENTIMENT_INTENSITY
from tests.models.spoken import columns_of, lacking, spoken_videos

from mien.errors import DataError
from mien.metrics.platt import fit_platt, sigmoid
from mien.models.classical import mm_dictionary
from mien.models.classical.base import ClassicalSpec, joined_targets
from mien.models.classical.mm_dictionary import MmDictionarySettings, fit_mm_dictionary, mm_dictionary_probabilities
from mien.schema import Modality
from mien.storage.split_columns import SplitColumns

T, A, V = Modality
TRAIN, VALID, UNSEEN = (columns_of(spoken_videos(n, seed)) for n, seed in ((12, 0), (6, 1), (5, 2)))
SETTINGS = MmDictionarySettings(n_codewords=11, n_gestures=3, linear_penalty=0.3)


def with_words(columns: SplitColumns, modality: Modality, rows: np.ndarray) -> SplitColumns:
    words = dataclasses.replace(columns.words, features=columns.words.features | {modality: rows.astype(np.float32)})
    return dataclasses.replace(columns, words=words)


def two_places(columns: SplitColumns) -> SplitColumns:
    """Half of the text's words at (10, 7, ...), half at (14, 7, ...)."""
    n_words = len(columns.words.present[T])
    rows = np.full((n_words, 7), 7.0)
    rows[:, 0] = np.where(np.arange(n_words) < n_words // 2, 10.0, 14.0)
    present = np.arange(n_words) < n_words // 2 * 2
    words = dataclasses.replace(columns.words, present=columns.words.present | {T: present})
    return with_words(dataclasses.replace(columns, words=words), T, rows)


def test_codewords_are_centres_of_the_standardised_words_of_train():
    settings = MmDictionarySettings(n_codewords=2)
    tensors = fit_mm_dictionary(two_places(TRAIN), VALID, ClassicalSpec((T,), (SENTIMENT,), settings))
    np.testing.assert_allclose(tensors["text.mean"], [12] + [7] * 6)
    np.testing.assert_allclose(tensors["text.scale"], [2] + [1] * 6)
    centres = tensors["text.centres"][np.argsort(tensors["text.centres"][:, 0])]
    np.testing.assert_allclose(centres, [[-1] + [0] * 6, [1] + [0] * 6], atol=1e-9)


def test_there_are_no_more_codewords_than_words():
    few = columns_of(spoken_videos(1, 0))
    tensors = fit_mm_dictionary(few, VALID, ClassicalSpec((T, V), (SENTIMENT,), MmDictionarySettings()))
    n_words = len(few.words.present[T])
    assert n_words < 300
    assert tensors["text.centres"].shape == (n_words, 7)
    assert tensors["visual.centres"].shape == (4, 3)


def test_the_scale_is_that_of_all_words_also_where_centres_are_found_on_a_sample(monkeypatch):
    spec = ClassicalSpec((V,), (SENTIMENT,), SETTINGS, seed=3)
    whole = fit_mm_dictionary(TRAIN, VALID, spec)
    monkeypatch.setattr(mm_dictionary, "CODEBOOK_WORDS", 50)
    sampled = fit_mm_dictionary(TRAIN, VALID, spec)
    np.testing.assert_array_equal(sampled["visual.mean"], whole["visual.mean"])
    np.testing.assert_array_equal(sampled["visual.scale"], whole["visual.scale"])
    assert not np.allclose(sampled["visual.centres"], whole["visual.centres"])


def counts_of(columns, tensors, inputs):
    """Plain counts, then every codeword with and without each gesture of each other modality, word by word."""
    codes, sizes = {}, {m: len(tensors[f"{m}.centres"]) for m in inputs}
    for m in inputs:
        rows = (columns.words.features[m] - tensors[f"{m}.mean"]) / tensors[f"{m}.scale"]
        codes[m] = cdist(rows, tensors[f"{m}.centres"]).argmin(axis=1)
    parts = {m: np.zeros((columns.n_utterances, sizes[m])) for m in inputs}
    if T in inputs:
        for m in inputs[1:]:
            parts |= {
                (m, g, with_it): np.zeros((columns.n_utterances, sizes[T])) for g in range(3) for with_it in (1, 0)
            }
    for utterance in range(columns.n_utterances):
        for word in range(columns.words.offsets[utterance], columns.words.offsets[utterance + 1]):
            here = [m for m in inputs if columns.words.present[m][word]]
            for m in here:
                parts[m][utterance, codes[m][word]] += 1
            for m in here if T in here else ():
                for g in range(3) if m is not T else ():
                    parts[m, g, int(codes[m][word] == g)][utterance, codes[T][word]] += 1
    return np.concatenate(list(parts.values()), axis=1)


def regression(counts, values):
    machine = LinearSVR(C=0.3, loss="squared_epsilon_insensitive", dual=False, tol=1e-6, max_iter=10_000)
    return machine.fit(counts, values).predict


def separation(counts, labels):
    machine = LinearSVC(C=0.3, dual=False, class_weight="balanced", tol=1e-6, max_iter=10_000)
    return machine.fit(counts, labels).decision_function


def nothing(counts):
    return np.zeros(len(counts))


@pytest.mark.parametrize("inputs", [(T,), (A, V), (T, A, V)], ids="+".join)
def test_the_fitted_system_is_linear_machines_on_the_counts(inputs):
    train, unseen = lacking(TRAIN, inputs[0], 7, 9.0), lacking(UNSEEN, inputs[-1], 2, 9.0)
    tasks = (SENTIMENT, EMOTION, SENTIMENT_INTENSITY, EMOTION_INTENSITY)
    spec = ClassicalSpec(inputs, tasks, SETTINGS, seed=5)
    tensors = fit_mm_dictionary(train, VALID, spec)
    said = mm_dictionary_probabilities(tensors, unseen, spec)
    counts = [counts_of(columns, tensors, inputs) for columns in (train, VALID, unseen)]
    targets, answers = (joined_targets(columns, (SENTIMENT, EMOTION)) for columns in (train, VALID))
    for output in range(8):
        rows, heard = targets.scored[:, output], answers.scored[:, output]
        labels, wanted = targets.values[rows, output], answers.values[heard, output]
        if output == 0:
            decide = regression(counts[0][rows], train.sentiment[rows])
        elif len(set(labels)) == 2:
            decide = separation(counts[0][rows], labels)
        else:
            decide = nothing
        if len(set(wanted)) == 2:
            slope, offset = fit_platt(decide(counts[1][heard]), wanted)
        else:
            slope, offset = fit_platt(decide(counts[0][rows]), labels)
        task, place = (SENTIMENT, 0) if output == 0 else (EMOTION, output - 1)
        np.testing.assert_allclose(said[task.name][:, place], sigmoid(slope * decide(counts[2]) + offset), atol=1e-2)
    scored = ~np.isnan(train.sentiment)
    expected = regression(counts[0][scored], train.sentiment[scored])(counts[2])
    np.testing.assert_allclose(said[SENTIMENT_INTENSITY.name][:, 0], np.clip(expected, -3, 3), atol=1e-2)
    scored = ~np.isnan(train.emotions[:, 0])
    for emotion in range(6):
        expected = regression(counts[0][scored], train.emotions[scored, emotion])(counts[2])
        np.testing.assert_allclose(said[EMOTION_INTENSITY.name][:, emotion], np.clip(expected, 0, 3), atol=1e-2)


def test_columns_without_words_or_without_those_of_an_input_are_refused():
    spec = ClassicalSpec((T, V), (SENTIMENT,), SETTINGS)
    with pytest.raises(DataError, match="Expected the words of the utterances"):
        fit_mm_dictionary(dataclasses.replace(TRAIN, words=None), VALID, spec)
    with pytest.raises(DataError, match="Expected some train words with visual features"):
        fit_mm_dictionary(TRAIN.without(V), VALID, spec)
