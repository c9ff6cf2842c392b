"""Word errors by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mien.metrics.word_error_rate import split_words, word_edits, word_error_rate


@pytest.mark.parametrize(
    ("said", "expected", "edits"),
    [
        ("a b c", "a b c", 0),
        ("a x c", "a b c", 1),
        ("a c", "a b c", 1),
        ("a b b c", "a b c", 1),
        ("", "a b c", 3),
        ("x y", "", 2),
        ("b c d a", "a b c d", 2),
        ("the cat sat on mat", "the cat is sitting on the mat", 3),
    ],
)
def test_word_edits(said, expected, edits):
    assert word_edits(said.split(), expected.split()) == edits


def test_the_word_error_rate_is_that_of_all_words_together():
    assert word_error_rate(["a", "x y z"], ["b", "x y z"]) == 1 / 4
    assert np.isnan(word_error_rate([""], [""]))
    assert split_words(" don&#39;t  stop,\n") == ["don't", "stop,"]
