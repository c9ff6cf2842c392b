"""Videos made for the tests of classical systems: every modality tells something, by utterance and word by word."""

from __future__ import annotations

import dataclasses

import numpy as np
from tests.models.batches import N_FEATURES

from mien.labels import paper_labels
from mien.schema import FeatureSpace, Level, Modality, Utterance, Video
from mien.storage.split_columns import SplitColumns, stack_videos

SPACES = {m: FeatureSpace(m, f"spoken-{m}", size, level=Level.WORD) for m, size in N_FEATURES.items()}


def spoken_videos(n_videos: int = 12, seed: int = 0, split: str | None = None) -> list[Video]:
    """Videos of 2 to 6 utterances of 1 to 7 words; utterance vectors are means of words. A few labels are missing."""
    rng = np.random.default_rng(seed)
    directions = {m: np.linspace(-1, 1, size + 1)[1:] for m, size in N_FEATURES.items()}
    made = []
    for number in range(n_videos):
        video = Video(f"spoken-{seed}-{number}", [], split)
        for index in range(int(rng.integers(2, 7))):
            signs = {m: rng.choice([-1.0, 1.0]) for m in N_FEATURES}
            utterance = Utterance(index, 2.0 * index, 2.0 * index + 1.5, "said")
            n_words = int(rng.integers(1, 8))
            for m, size in N_FEATURES.items():
                words = 1.5 * signs[m] * directions[m] + rng.normal(size=(n_words, size))
                utterance.words[m] = words.astype(np.float32)
                utterance.features[m] = utterance.words[m].mean(axis=0)
            total = sum(signs.values())
            utterance.labels |= paper_labels(float(total))
            present = [total < -1, total < 0, signs[Modality.VISUAL] > 0, total > 1, 0, total > 2.0]
            utterance.labels |= paper_labels(emotions=np.array(present, dtype=float))
            if rng.random() < 0.1:
                utterance.labels.pop("sentiment", None)
            if rng.random() < 0.1:
                utterance.labels.pop("emotion", None)
            video.utterances.append(utterance)
        made.append(video)
    return made


def columns_of(videos: list[Video]) -> SplitColumns:
    """Columns with words."""
    return stack_videos(videos, SPACES, words=True)


def lacking(columns: SplitColumns, modality: Modality, utterance: int, filler: float = 0.0) -> SplitColumns:
    """The same columns, where one utterance and its words lack a modality; `filler` stands in their place."""
    words = slice(columns.words.offsets[utterance], columns.words.offsets[utterance + 1])
    return dataclasses.replace(
        columns,
        features=columns.features | {modality: filled(columns.features[modality], utterance, filler)},
        present=columns.present | {modality: filled(columns.present[modality], utterance, False)},
        words=dataclasses.replace(
            columns.words,
            features=columns.words.features | {modality: filled(columns.words.features[modality], words, filler)},
            present=columns.words.present | {modality: filled(columns.words.present[modality], words, False)},
        ),
    )


def filled(array, place, value):
    changed = array.copy()
    changed[place] = value
    return changed
