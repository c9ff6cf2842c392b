"""Videos that hold every case a Dataset must keep, and the comparison that notices any loss."""

from __future__ import annotations

import numpy as np

from mien.labels import paper_labels
from mien.schema import FeatureSpace, Level, Modality, Utterance, Video

SPACES = {
    Modality.TEXT: FeatureSpace(
        Modality.TEXT, "words-3d", 3, columns=("a", "b", "c"), level=Level.WORD, recipe={"pooling": "mean"}
    ),
    Modality.ACOUSTIC: FeatureSpace(Modality.ACOUSTIC, "voice-2d", 2),
    Modality.VISUAL: FeatureSpace(Modality.VISUAL, "face-5d", 5, level=Level.WORD),
}


def vector(rng, modality):
    return rng.normal(size=SPACES[modality].n_features).astype(np.float32)


def full_utterance(rng, index, start_s):
    """Everything is there."""
    utterance = Utterance(index, start_s, start_s + 1.5, f"said {index}", labels=paper_labels(-1.75))
    utterance.labels |= paper_labels(emotions=np.array([0, 0.5, 1, 1.5, 2, 3.0]))
    for modality, n_words in ((Modality.TEXT, 2), (Modality.VISUAL, 3)):
        utterance.words[modality] = np.stack([vector(rng, modality) for _ in range(n_words)])
    utterance.features = {modality: vector(rng, modality) for modality in SPACES}
    return utterance


def videos(seed=0):
    """Three videos: all there; much missing; without times, in no split."""
    rng = np.random.default_rng(seed)
    whole = Video("Ünï/код 你好 🎬", [full_utterance(rng, number, 2.0 * number) for number in (7, 2, 11)], "valid")
    whole.utterances[1].start_s = 15.0
    whole.utterances[1].transcript = 'naïve, "quoted"\nsecond line\t你好 🎬'
    gaps = Video("gaps", [full_utterance(rng, number, 2.0 * number) for number in range(5)], "train")
    no_voice, no_labels, no_words, some_words, silent = gaps.utterances
    del no_voice.features[Modality.ACOUSTIC]
    no_labels.labels.clear()
    no_words.words.clear()
    some_words.word_present[Modality.VISUAL] = np.array([True, False, True])
    some_words.words[Modality.VISUAL][1] = 0
    silent.features.clear()
    silent.words = {Modality.TEXT: np.zeros((0, 3), np.float32)}
    silent.transcript = ""
    silent.labels |= paper_labels(0.0)
    timeless = Video("-1", [Utterance(3, transcript="?"), Utterance(5, labels=paper_labels(3.0))])
    return [whole, gaps, timeless]


def assert_same_video(found, expected):
    """Every stored fact is equal, and nothing was added."""
    assert (found.id, found.split) == (expected.id, expected.split)
    assert len(found.utterances) == len(expected.utterances)
    for mine, its in zip(found.utterances, expected.utterances, strict=True):
        for name in ("index", "start_s", "end_s", "transcript", "sentiment"):
            assert getattr(mine, name) == getattr(its, name), name
        assert (mine.emotions is None) == (its.emotions is None)
        if its.emotions is not None:
            np.testing.assert_array_equal(mine.emotions, its.emotions)
        assert set(mine.features) == set(its.features)
        for modality, values in its.features.items():
            assert mine.features[modality].dtype == np.float32
            np.testing.assert_array_equal(mine.features[modality], values)
        assert set(mine.words) == set(its.words)
        for modality, words in its.words.items():
            np.testing.assert_array_equal(mine.words[modality], words)
            present = its.word_present.get(modality, np.ones(len(words), dtype=bool))
            np.testing.assert_array_equal(mine.word_present[modality], present)
