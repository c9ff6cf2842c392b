"""A synthetic Dataset whose text features encode degrees of sentiment and emotions: a planted rule for intensities."""

from __future__ import annotations

import numpy as np

from mien.labels import paper_labels
from mien.schema import FeatureSpace, Level, Modality, Utterance, Video
from mien.storage.dataset import DatasetFacts, write_dataset

N_FEATURES = 5
SPACE = FeatureSpace(Modality.TEXT, "graded-text", N_FEATURES, level=Level.WORD, recipe={"extractor": "graded"})


def graded_videos(n_videos, seed=0):
    """Yield videos: sentiment in thirds, happy and anger its two halves, surprise independent; some labels missing."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(N_FEATURES, 2)))[0].T
    for number in range(n_videos):
        split = ("train", "train", "train", "valid", "test")[number % 5]
        video = Video(f"graded-{number:03d}", [], split)
        for index in range(int(rng.integers(3, 7))):
            degree, surprise = rng.integers(-9, 10) / 3, rng.integers(0, 10) / 3
            words = np.array([degree, surprise]) @ directions / 3 + 0.02 * rng.normal(size=(3, N_FEATURES))
            utterance = Utterance(index, 2.0 * index, 2.0 * index + 1.5, "said", labels=paper_labels(float(degree)))
            utterance.labels |= paper_labels(emotions=np.array([max(-degree, 0), 0, 0, max(degree, 0), 0, surprise]))
            utterance.words[Modality.TEXT] = words.astype(np.float32)
            utterance.features[Modality.TEXT] = words.mean(axis=0).astype(np.float32)
            if rng.random() < 0.05:
                utterance.labels.pop("sentiment", None)
            if rng.random() < 0.05:
                utterance.labels.pop("emotion", None)
            video.utterances.append(utterance)
        yield video


def write_graded(folder, n_videos=70, seed=0):
    """Write the graded videos as a Dataset."""
    return write_dataset(folder, graded_videos(n_videos, seed), DatasetFacts("graded", {Modality.TEXT: SPACE}))
