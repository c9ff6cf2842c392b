"""Contract of the extractors. A new entry in one of the three tables is tested without further code.

The tests use the clip of the package, which shows a face and has a voice; `face-blendshapes` also needs MIEN_DATA.
"""

from __future__ import annotations

import functools
import os
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tests.features.loaded import extractor
from tests.features.voices import noise, voice

from mien.errors import MissingExtraError, MissingWeightsError, UnknownNameError
from mien.features.acoustic.base import word_then_average
from mien.features.extractors import (
    ACOUSTIC_EXTRACTORS,
    TEXT_EXTRACTORS,
    VISUAL_EXTRACTORS,
    load_acoustic_extractor,
    load_text_extractor,
    load_visual_extractor,
)
from mien.features.visual.base import average_words, frame_matrix, pool, pool_words
from mien.media.decode import frames
from mien.schema import Level, Modality, TimedWord

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
every_voice = pytest.mark.parametrize("name", list(ACOUSTIC_EXTRACTORS))
every_face = pytest.mark.parametrize("name", list(VISUAL_EXTRACTORS))
TABLES = {
    Modality.TEXT: TEXT_EXTRACTORS,
    Modality.ACOUSTIC: ACOUSTIC_EXTRACTORS,
    Modality.VISUAL: VISUAL_EXTRACTORS,
}


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
def test_text_describes_words_by_another_space_or_not_at_all(name):
    loaded = extractor(name)
    assert (loaded.word_vectors is None) == (loaded.word_space is None)
    assert loaded.space.level is Level.UTTERANCE
    if loaded.word_space is not None:
        check_word_space(loaded.space, loaded.word_space)
        assert loaded.word_space.n_features == loaded.space.n_features


def check_word_space(space, word_space):
    """Utterance and word spaces share a name but not a fingerprint, so that a model rejects the other space."""
    assert (word_space.level, word_space.modality, word_space.name) == (Level.WORD, space.modality, space.name)
    assert word_space.fingerprint != space.fingerprint
    assert word_space.recipe["pooling"] != space.recipe["pooling"]


@pytest.mark.parametrize(
    ("modality", "name"), [(modality, name) for modality, table in TABLES.items() for name in table]
)
def test_an_entry_says_what_a_user_must_know(modality, name):
    entry = TABLES[modality][name]
    assert all((entry.description, entry.citation, entry.needs))


# --- voice

SOUNDS = {"voice": voice(130.0, seconds=1.3), "loud": 3 * voice(90.0, seconds=0.7)}
NOTHING = {
    "empty": np.zeros(0),
    "short": voice(130.0, seconds=0.13),
    "silence": np.zeros(16_000),
    "no number": np.full(16_000, np.nan),
    "noise": noise(1.0),
}


@functools.cache
def voice_extractor(name):
    return load_acoustic_extractor(name)


def samples_of(sound):
    return np.asarray(sound, dtype=np.float32)


@every_voice
@pytest.mark.parametrize("sound", SOUNDS)
def test_a_voice_has_the_vector_that_the_space_promises(name, sound):
    loaded = voice_extractor(name)
    samples = samples_of(SOUNDS[sound])
    vector = loaded.utterance_vector(samples)
    assert loaded.space.modality is Modality.ACOUSTIC
    assert (loaded.space.level, loaded.rate_hz) == (Level.UTTERANCE, loaded.space.recipe["rate_hz"])
    assert 8_000 <= loaded.rate_hz <= 48_000
    assert (vector.shape, vector.dtype) == ((loaded.space.n_features,), np.float32)
    assert len(set(loaded.space.columns)) == loaded.space.n_features
    assert np.isfinite(vector).all()
    assert loaded.why_missing(samples) is None


@every_voice
def test_a_voice_does_not_depend_on_what_was_heard_before(name):
    loaded = voice_extractor(name)
    first = loaded.utterance_vector(samples_of(SOUNDS["voice"]))
    other = loaded.utterance_vector(samples_of(SOUNDS["loud"]))
    samples = samples_of(SOUNDS["voice"])
    np.testing.assert_array_equal(load_acoustic_extractor(name).utterance_vector(samples), first)
    np.testing.assert_array_equal(samples, samples_of(SOUNDS["voice"]))
    assert np.abs(first - other).max() > 0.1


@every_voice
@pytest.mark.parametrize("sound", NOTHING)
def test_without_a_voice_the_vector_is_missing_and_the_reason_is_told(name, sound):
    loaded = voice_extractor(name)
    samples = samples_of(NOTHING[sound])
    assert loaded.utterance_vector(samples) is None
    assert loaded.why_missing(samples)
    if loaded.frames is not None and sound != "noise":
        times_s, values = loaded.frames(samples)
        assert (times_s.shape, values.shape) == ((0,), (0, loaded.space.n_features))


@every_voice
def test_frames_if_there_are_any_make_words_and_their_mean(name):
    loaded = voice_extractor(name)
    assert (loaded.frames is None) == (loaded.word_space is None)
    if loaded.frames is None:
        pytest.skip(f"{name} has no frames")
    check_word_space(loaded.space, loaded.word_space)
    times_s, values = loaded.frames(samples_of(SOUNDS["voice"]))
    assert values.shape == (len(times_s), loaded.word_space.n_features)
    assert (np.diff(times_s) > 0).all()
    assert 0 <= times_s[0] < times_s[-1] <= 1.3
    words = [TimedWord("one", 5.0, 5.4), TimedWord("two", 5.4, 6.2), TimedWord("late", 9.0, 9.5)]
    vector, rows, present = word_then_average(times_s, values, 5.0, words)
    assert present.tolist() == [True, True, False]
    np.testing.assert_allclose(vector, rows[:2].mean(axis=0), rtol=1e-5, atol=1e-6)


# --- face

SAMPLE = Path(str(files("mien"))) / "sample" / "sample.mp4"
BLACK = np.zeros((240, 320, 3), dtype=np.uint8)


@functools.cache
def face_extractor(name):
    """Load an extractor by its name in the table; skip the test where its files are missing."""
    models = Path(os.environ.get("MIEN_DATA") or "nowhere") / "models"
    found = "face-blendshapes" if not models.is_dir() else f"face-blendshapes:{models.resolve()}"
    try:
        return load_visual_extractor(found if name == "face-blendshapes" else name)
    except (MissingWeightsError, MissingExtraError) as error:
        pytest.skip(str(error))


@functools.cache
def pictures():
    """Return times and frames of three seconds of the packaged clip, at five frames a second."""
    return [(frame.time_s, frame.image) for frame in frames(SAMPLE, 5.0) if 1.0 <= frame.time_s < 4.0]


def watched(loaded, images):
    watcher = loaded.start()
    seen = [watcher.see(time_s, image) for time_s, image in images]
    return np.array([time_s for time_s, _ in images]), seen, watcher.counts


@every_face
def test_a_face_has_the_vector_that_the_spaces_promise(name):
    loaded = face_extractor(name)
    assert loaded.space.modality is Modality.VISUAL
    assert loaded.space.level is Level.UTTERANCE
    assert 1.0 <= loaded.rate_hz == loaded.space.recipe["rate_hz"] <= 30.0
    check_word_space(loaded.space, loaded.word_space)
    times_s, seen, counts = watched(loaded, pictures())
    assert len(seen) == 15
    assert counts["face"] == sum(each is not None for each in seen) >= 12
    for each in filter(None, seen):
        assert (each.vector.shape, each.vector.dtype) == ((loaded.word_space.n_features,), np.float32)
        assert np.isfinite(each.vector).all()
        left, top, right, bottom = each.box
        assert left < right
        assert top < bottom
        assert 0 < each.score <= 1
    matrix = frame_matrix(seen, loaded.word_space.n_features)
    utterance = pool(times_s, matrix, 1.0, 4.0).vector
    assert utterance.shape == (loaded.space.n_features,) == (len(loaded.space.columns),)
    words = [TimedWord("one", 1.0, 2.0), TimedWord("two", 2.0, 4.0), TimedWord("late", 9.0, 9.5)]
    rows, present = pool_words(times_s, matrix, words)
    assert present.tolist() == [True, True, False]
    assert rows.shape == (3, len(loaded.word_space.columns))
    np.testing.assert_allclose(average_words(rows, present).vector, rows[:2].mean(axis=0), rtol=1e-5, atol=1e-6)


@every_face
def test_a_face_is_read_the_same_by_every_new_watcher(name):
    loaded = face_extractor(name)
    _, first, counts = watched(loaded, pictures()[:5])
    watched(loaded, [(0.0, BLACK), *pictures()[7:9]])
    _, again, counts_again = watched(loaded, pictures()[:5])
    assert counts == counts_again
    for one, two in zip(first, again, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            np.testing.assert_array_equal(one.vector, two.vector)
            assert one.box == two.box


@every_face
def test_without_a_face_a_frame_is_missing_and_so_is_the_utterance(name):
    loaded = face_extractor(name)
    grey = np.random.default_rng(0).integers(0, 256, size=(240, 320, 3), dtype=np.uint8)
    times_s, seen, counts = watched(loaded, [(0.0, BLACK), (0.2, BLACK + 255), (0.4, grey)])
    assert seen == [None] * 3
    assert sum(counts.values()) >= 3
    assert counts.get("face", 0) == 0
    pooled = pool(times_s, frame_matrix(seen, loaded.word_space.n_features), 0.0, 0.6)
    assert pooled.vector is None
    assert pooled.reason


# --- all


def test_no_two_extractors_have_the_same_space():
    spaces = [extractor(name).space for name in TEXT_EXTRACTORS]
    spaces += [voice_extractor(name).space for name in ACOUSTIC_EXTRACTORS]
    spaces += [face_extractor("face").space]
    assert len({space.fingerprint for space in spaces}) == len(spaces)
    assert len({(space.modality, space.name) for space in spaces}) == len(spaces)


@every_face
def test_the_visual_space_is_its_own(name):
    others = [face_extractor(other).space for other in VISUAL_EXTRACTORS if other != name]
    assert face_extractor(name).space.fingerprint not in {space.fingerprint for space in others}


@pytest.mark.parametrize(
    ("modality", "name"),
    [(modality, name) for modality in (Modality.ACOUSTIC, Modality.VISUAL) for name in TABLES[modality]],
)
def test_the_recipe_names_what_the_numbers_depend_on(modality, name):
    loaded = voice_extractor(name) if modality is Modality.ACOUSTIC else face_extractor(name)
    recipe = loaded.space.recipe
    assert recipe["extractor"]
    # networks are identified by the hash of their weights, formulas by a version
    if modality is Modality.VISUAL:
        assert recipe["weights_sha256"]
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in recipe["weights_sha256"].values())
    else:
        assert recipe["version"]


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownNameError) as caught:
        load_text_extractor("glove-6b-50")
    assert str(caught.value) == (
        "Expected text extractor to be one of glove, glove-6b-50d, minilm, but got 'glove-6b-50'; "
        "did you mean 'glove-6b-50d'?"
    )
