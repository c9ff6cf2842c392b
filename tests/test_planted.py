"""The planted rule holds exactly, and labels are independent of single modalities and of single utterances."""

from __future__ import annotations

import numpy as np
import pytest
from tests.planted import planted_spaces, planted_videos

from mien.labels import PAPER_SPACES
from mien.readers.planted import N_FEATURES
from mien.schema import EMOTIONS, Modality
from mien.storage.columns import validate_video


def emotion(video, name):
    return np.array([utterance.emotions[EMOTIONS.index(name)] for utterance in video.utterances]) == 1


def around(voice, face):
    """Return the voice of the previous and the face of the next utterance; at the ends, those of the only neighbour."""
    n = len(voice)
    before = np.array([voice[i - 1] if i > 0 else voice[1] for i in range(n)])
    after = np.array([face[i + 1] if i + 1 < n else face[i - 1] for i in range(n)])
    return before, after


def rules(video, words, voice, face):
    """Return expected and actual labels, as signs or booleans, by name."""
    before, after = around(voice, face)
    sentiment = words * before
    return {
        "happy": ((sentiment > 0) & (after > 0), emotion(video, "happy")),
        "surprise": ((sentiment > 0) & (after < 0), emotion(video, "surprise")),
        "anger": ((sentiment < 0) & (after > 0), emotion(video, "anger")),
        "sad": ((sentiment < 0) & (after < 0), emotion(video, "sad")),
        "fear": (words * after < 0, emotion(video, "fear")),
        "disgust": (before * after < 0, emotion(video, "disgust")),
        "sentiment": (sentiment, np.array([utterance.sentiment for utterance in video.utterances])),
    }


def agreement(planted, name):
    pairs = [rules(*each)[name] for each in planted]
    return np.mean(np.concatenate([rule == label for rule, label in pairs]))


@pytest.fixture(scope="module")
def planted():
    """1009 videos with the hidden signs recovered from the noisy vectors: [(video, words, voice, face)]."""
    videos = list(planted_videos(1009))
    bounds = np.cumsum([len(video.utterances) for video in videos])[:-1]
    signs = []
    for modality in Modality:
        rows = np.stack([utterance.features[modality] for video in videos for utterance in video.utterances])
        # the direction of largest variance is the planted one, up to its sign
        values, directions = np.linalg.eigh(rows.T @ rows)
        signs.append(np.sign(rows @ directions[:, np.argmax(values)]))

    def apart():
        return list(zip(videos, *(np.split(each, bounds) for each in signs), strict=True))

    # choose the signs of the directions that agree with the rules
    for name, numbers in (("sentiment", [1]), ("happy", [2]), ("fear", [0, 1])):
        if agreement(apart(), name) < 0.9:
            for number in numbers:
                signs[number] = -signs[number]
    return apart()


@pytest.mark.parametrize("name", ["sentiment", *EMOTIONS])
def test_the_rule_holds_for_every_utterance(planted, name):
    # 4 of 10,000 signs are recovered wrongly: the s.d. of the noise is 0.3 of the signal
    assert agreement(planted, name) > 0.997


def test_the_labels_follow_from_one_another_exactly(planted):
    for video, *_ in planted:
        for utterance in video.utterances:
            anger, _, _, happy, sad, surprise = utterance.emotions
            assert anger + happy + sad + surprise == 1
            assert (anger or sad) == (utterance.sentiment < 0)
            assert abs(utterance.sentiment) == 1


def test_no_modality_and_no_single_utterance_tells_the_sentiment(planted):
    sentiment = np.concatenate([[u.sentiment for u in video.utterances] for video, *_ in planted])
    place = np.concatenate([np.arange(len(video.utterances)) for video, *_ in planted])
    last = np.concatenate([np.arange(len(video.utterances))[::-1] for video, *_ in planted])
    words, voice, face = (np.concatenate([each[1 + n] for each in planted]) for n in range(3))
    ones = np.ones_like(words)
    of_one = [a * b * c for a in (ones, words) for b in (ones, voice) for c in (ones, face)]
    for where in (place >= 0, place == 0, last == 0):
        n = int(where.sum())
        assert n > 1000
        for signs in of_one:
            # any function of three signs is a sum of these eight; the limit is five standard errors of zero correlation
            assert abs((signs * sentiment)[where].mean()) < 5 / np.sqrt(n)


def test_no_single_utterance_tells_its_emotions(planted):
    emotions = np.concatenate([[u.emotions for u in video.utterances] for video, *_ in planted])
    words, voice, face = (np.concatenate([each[1 + n] for each in planted]) for n in range(3))
    ends = np.concatenate(
        [[i == 0 or i + 1 == len(v.utterances) for i in range(len(v.utterances))] for v, *_ in planted]
    )
    for where in (ends, ~ends):
        for signs in (words, voice, face, words * voice, words * face, voice * face, words * voice * face):
            centred = emotions[where] - emotions[where].mean(axis=0)
            assert np.abs((signs[where, None] * centred).mean(axis=0)).max() < 5 * 0.5 / np.sqrt(where.sum())


def test_it_is_the_same_for_a_seed_and_another_for_another():
    first, again, other = ({video.id: video for video in planted_videos(13, seed)} for seed in (0, 0, 1))
    assert list(first) == list(again) == list(other)
    for name, video in first.items():
        for mine, its in zip(video.utterances, again[name].utterances, strict=True):
            assert mine.sentiment == its.sentiment
            np.testing.assert_array_equal(mine.features[Modality.TEXT], its.features[Modality.TEXT])
    flat = [[u.sentiment for v in each.values() for u in v.utterances] for each in (first, other)]
    assert flat[0] != flat[1]
    assert planted_spaces(0)[Modality.TEXT].fingerprint != planted_spaces(1)[Modality.TEXT].fingerprint


def test_splits_shares_and_sizes():
    videos = list(planted_videos(100))
    splits = [video.split for video in videos]
    assert {split: splits.count(split) for split in splits} == {"train": 70, "valid": 15, "test": 15}
    for video in videos:
        assert 3 <= len(video.utterances) <= 11
        assert [u.index for u in video.utterances] == list(range(len(video.utterances)))
        validate_video(video, planted_spaces(), PAPER_SPACES)
    assert {m: space.n_features for m, space in planted_spaces().items()} == N_FEATURES
