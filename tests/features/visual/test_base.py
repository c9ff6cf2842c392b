"""Pooling frames into utterances and words, by hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from mien.features.visual.base import (
    FaceObservation,
    average_words,
    frame_matrix,
    pool,
    pool_words,
    visual_spaces,
)
from mien.schema import Level, TimedWord

NOTHING = [np.nan, np.nan]
# five frames per second; frame 2 shows no face
TIMES_S = np.array([0.0, 0.2, 0.4, 0.6, 0.8])
VECTORS = np.array([[1.0, 10.0], [3.0, 10.0], NOTHING, [5.0, 40.0], [9.0, 0.0]], dtype=np.float32)


def test_an_utterance_is_mean_and_deviation_of_its_frames_with_a_face():
    pooled = pool(TIMES_S, VECTORS, 0.0, 0.8)
    # frames 0, 1, 3 of 0 to 3: the end is not part of it. 1, 3, 5: mean 3, s.d. sqrt(8/3); 10, 10, 40: 20, sqrt(200)
    np.testing.assert_allclose(pooled.vector, [3, 20, np.sqrt(8 / 3), np.sqrt(200)], rtol=1e-6)
    assert pooled.vector is not None
    assert pooled.vector.dtype == np.float32
    assert pooled.face_present_share == 0.75
    assert pooled.reason == ""


def test_one_frame_has_no_deviation():
    vector, share, _ = pool(TIMES_S, VECTORS, 0.5, 0.7)
    np.testing.assert_array_equal(vector, [5, 40, 0, 0])
    assert share == 1


def test_too_small_a_share_is_missing_and_says_so():
    seldom = np.array([[1, 10], NOTHING, NOTHING, NOTHING])
    pooled = pool(TIMES_S[:4], seldom, 0.0, 1.0)
    assert pooled.vector is None
    assert pooled.face_present_share == 0.25
    assert pooled.reason == "a face in 1 of 4 frames, less than the share of 0.3 that is needed"
    assert pool(TIMES_S[:3], seldom[:3], 0.0, 1.0).vector is not None


def test_no_face_is_missing():
    pooled = pool(TIMES_S, VECTORS, 0.4, 0.5)
    assert pooled == (None, 0.0, "no face in its 1 frames")


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0.05, 0.08, [1, 10]),  # nearest is frame 0, 0.05 s before
        (0.12, 0.15, [3, 10]),  # frame 1, 0.05 s after
        (0.9, 0.95, [9, 0]),  # after the last frame, 0.1 s away
        (0.1, 0.1, [1, 10]),  # an empty span between two frames
        (1.0, 1.1, None),  # 0.2 s away
        (-0.5, -0.2, None),
    ],
)
def test_a_span_between_frames_takes_the_nearest_within_reach(start_s, end_s, expected):
    vector, share, reason = pool(TIMES_S, VECTORS, start_s, end_s)
    if expected is None:
        assert vector is None
        assert share == 0
        assert "no frame" in reason
    else:
        np.testing.assert_array_equal(vector[:2], expected)


def test_a_video_without_frames():
    assert pool(np.zeros(0), np.zeros((0, 2)), 0, 1).vector is None


def test_words_are_means_and_the_utterance_the_mean_of_words():
    words = [TimedWord("so", 0.0, 0.3), TimedWord("what", 0.38, 0.42), TimedWord("now", 0.6, 1.0)]
    vectors, present = pool_words(TIMES_S, VECTORS, words)
    np.testing.assert_array_equal(present, [True, False, True])
    np.testing.assert_array_equal(vectors, [[2, 10], [0, 0], [7, 20]])
    vector, share, reason = average_words(vectors, present)
    np.testing.assert_array_equal(vector, [4.5, 15])
    assert share == pytest.approx(2 / 3)
    assert reason == ""
    assert average_words(np.zeros((4, 2)), np.array([True, False, False, False])).vector is None


def test_no_words_no_vector():
    vectors, present = pool_words(TIMES_S, VECTORS, [])
    assert vectors.shape == (0, 2)
    assert average_words(vectors, present) == (None, 0.0, "no face in its 0 words")


def test_frames_without_a_face_are_rows_of_nan():
    seen = FaceObservation(np.array([1, 2], dtype=np.float32), (0, 0, 1, 1), 0.9)
    np.testing.assert_array_equal(frame_matrix([None, seen], 2), [NOTHING, [1, 2]])


def test_spaces_name_their_columns_and_depend_on_the_recipe():
    utterance, word = visual_spaces("x", ["a", "b"], {"rate_hz": 5})
    assert utterance.columns == ("a_mean", "b_mean", "a_sd", "b_sd")
    assert word.columns == ("a", "b")
    assert (utterance.level, word.level) == (Level.UTTERANCE, Level.WORD)
    recipes = ({"rate_hz": 5}, {"rate_hz": 6})
    prints = {space.fingerprint for recipe in recipes for space in visual_spaces("x", ["a", "b"], recipe)}
    assert len(prints) == 4
