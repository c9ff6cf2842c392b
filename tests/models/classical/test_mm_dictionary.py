"""The parts of `mm-dictionary` by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mien.models.classical import mm_dictionary
from mien.models.classical.mm_dictionary import UNKNOWN, dictionary_counts, nearest_centres
from mien.schema import Modality

N = 41


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_words_are_counted_with_and_without_each_gesture_beside_them():
    offsets = np.array([0, 3, 3, 5])
    text = np.array([0, 1, 0, 1, UNKNOWN])
    face = np.array([1, 0, 1, UNKNOWN, 0])
    codes, sizes = {Modality.TEXT: text, Modality.VISUAL: face}, {Modality.TEXT: 2, Modality.VISUAL: 2}
    found = dictionary_counts(offsets, codes, sizes).toarray()
    #   words  gestures  word with gesture 0, without; with gesture 1, without
    assert found.tolist() == [
        [2, 1, 1, 2, 0, 1, 2, 0, 2, 0, 0, 1],
        [0] * 12,
        [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_nearest_centre_is_the_nearest(rng):
    rows, centres = rng.normal(size=(N, 5)), rng.normal(size=(7, 5))
    np.testing.assert_array_equal(nearest_centres(rows, centres), cdist(rows, centres).argmin(axis=1))


def test_the_nearest_centre_does_not_depend_on_the_size_of_a_lookup(rng, monkeypatch):
    rows, centres = rng.normal(size=(N, 5)), 3 * rng.normal(size=(7, 5))
    whole = nearest_centres(rows, centres)
    monkeypatch.setattr(mm_dictionary, "LOOKUP_WORDS", 4)
    np.testing.assert_array_equal(nearest_centres(rows, centres), whole)
    assert nearest_centres(rows[:0], centres).shape == (0,)
