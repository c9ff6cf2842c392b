"""What every text extractor owes the importer. A new line in `TEXT_EXTRACTORS` is tested by that line alone."""

from __future__ import annotations

import numpy as np
import pytest
from tests.features.loaded import extractor

from mien.errors import UnknownNameError
from mien.features import TEXT_EXTRACTORS, load_text_extractor
from mien.schema import Modality

TEXTS = [
    "Good day, the sun is out.",
    "Do n't.",
    "",
    "good",
    "The day I don't know what is good, and the day I do, and so on until the text is a long one.",
    " \n\t",
    "Good day, the sun is out.",
]
EMPTY = [2, 5]

every_extractor = pytest.mark.parametrize("name", list(TEXT_EXTRACTORS))


@every_extractor
def test_vectors_have_the_shape_and_type_that_the_space_promises(name):
    loaded = extractor(name)
    vectors, present = loaded.utterance_vectors(TEXTS)
    assert loaded.space.modality is Modality.TEXT
    assert vectors.shape == (len(TEXTS), loaded.space.n_features)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert present.shape == (len(TEXTS),)
    assert present.dtype == bool


@every_extractor
def test_a_text_without_content_is_missing_and_every_other_is_not(name):
    vectors, present = extractor(name).utterance_vectors(TEXTS)
    assert np.flatnonzero(~present).tolist() == EMPTY
    assert not vectors[EMPTY].any()
    assert vectors[present].any(axis=1).all()


@every_extractor
def test_a_text_does_not_depend_on_the_texts_beside_it_nor_on_their_order(name):
    loaded = extractor(name)
    together, _ = loaded.utterance_vectors(TEXTS)
    for number, text in enumerate(TEXTS):
        np.testing.assert_allclose(loaded.utterance_vectors([text])[0][0], together[number], atol=1e-5)
    backwards, _ = loaded.utterance_vectors(TEXTS[::-1])
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-5)
    np.testing.assert_allclose(together[0], together[6], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 0.01


@every_extractor
def test_no_texts_are_no_vectors(name):
    vectors, present = extractor(name).utterance_vectors([])
    assert vectors.shape == (0, extractor(name).space.n_features)
    assert present.shape == (0,)


@every_extractor
def test_html_entities_are_read_as_what_they_stand_for(name):
    vectors, _ = extractor(name).utterance_vectors(["I don&#39;t, good day", "I don't, good day"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


@every_extractor
def test_word_vectors_if_there_are_any_average_to_the_utterance_vector(name):
    loaded = extractor(name)
    if loaded.word_vectors is None:
        pytest.skip(f"{name} has no word vectors")
    for text, vector in zip(TEXTS, loaded.utterance_vectors(TEXTS)[0], strict=True):
        words = loaded.word_vectors(text)
        assert words.dtype == np.float32
        assert words.shape[1] == loaded.space.n_features
        assert bool(len(words)) == bool(text.strip())
        if len(words):
            np.testing.assert_allclose(words.mean(axis=0), vector, atol=1e-6)


@every_extractor
def test_the_space_names_the_weights(name):
    space = extractor(name).space
    assert len(space.recipe["weights_sha256"]) == 64
    assert space.fingerprint != extractor(next(other for other in TEXT_EXTRACTORS if other != name)).space.fingerprint


@every_extractor
def test_an_entry_says_what_a_user_must_know(name):
    entry = TEXT_EXTRACTORS[name]
    assert all((entry.description, entry.citation, entry.needs))


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        load_text_extractor("glove-6b-50")
    assert str(caught.value) == (
        "Expected text extractor to be one of glove, glove-6b-50d, minilm, but got 'glove-6b-50'; "
        "did you mean 'glove-6b-50d'?"
    )
