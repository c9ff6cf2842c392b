"""The words the whole package speaks: modality, emotion, utterance, video, feature space.

Axis vocabulary used in every signature of the package:

- ``video``      one row per video of a batch
- ``utterance``  one row per utterance of a video, in start order
- ``word``       one row per word of an utterance
- ``feature``    one column per feature of a modality
- ``emotion``    the six emotions in the order of `EMOTIONS`, or seven with `NO_EMOTION` last
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]

# The paper's order (alphabetical). CMU-MOSEI's "All Labels" has another order: map by name.
EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
# The seventh output, derived and never stored as a label: all six intensities are zero.
NO_EMOTION = "none"
EMOTION_OUTPUTS = (*EMOTIONS, NO_EMOTION)
SPLITS = ("train", "valid", "test")
SENTIMENT_RANGE = (-3.0, 3.0)
EMOTION_RANGE = (0.0, 3.0)


class Modality(StrEnum):
    """One of the three channels a person is perceived through."""

    TEXT = "text"
    ACOUSTIC = "acoustic"
    VISUAL = "visual"


# stands for a modality in the names of attention when a system has fused them before it attends: "fused->fused"
FUSED = "fused"


class Level(StrEnum):
    """What one feature vector stands for."""

    UTTERANCE = "utterance"
    WORD = "word"


class SentimentRule(StrEnum):
    """How a sentiment score in [-3, 3] becomes two classes."""

    HAS0 = "has0"  # >= 0 is positive: the paper's rule
    NON0 = "non0"  # exact zeros are dropped
    GT0 = "gt0"  # > 0 is positive


class SentimentValues(StrEnum):
    """What the numbers in a data set's sentiment column mean."""

    INTENSITY = "intensity"  # a score in [-3, 3]
    HAS0_CLASS = "has0_class"  # -1 or +1 under `has0`: exact zeros are hidden among the +1
    SIGNED_CLASS = "signed_class"  # -1 or +1, neutral utterances have no label


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """The identity of one modality's features. Two spaces are interchangeable only if `fingerprint` is equal."""

    modality: Modality
    name: str
    n_features: int
    columns: tuple[str, ...] = ()
    # UTTERANCE: one vector per utterance. WORD: word vectors are stored too, the utterance vector is their mean.
    level: Level = Level.UTTERANCE
    # extractor, version, settings, weights' sha256: whatever changes the numbers
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """sha256 (first 16 hexadecimal digits) of name, size, columns and recipe.

        The level is left out: word vectors beside the utterance vectors do not change the utterance vectors.
        """
        facts = {"modality": self.modality, "name": self.name, "n_features": self.n_features}
        facts |= {"columns": list(self.columns), "recipe": dict(self.recipe)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that `from_json` reads back."""
        return {**asdict(self), "columns": list(self.columns), "recipe": dict(self.recipe)} | {
            "fingerprint": self.fingerprint
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> FeatureSpace:
        """Rebuild a space from `to_json`'s dictionary; the stored fingerprint is recomputed, not trusted."""
        return cls(
            modality=Modality(facts["modality"]),
            name=facts["name"],
            n_features=int(facts["n_features"]),
            columns=tuple(facts["columns"]),
            level=Level(facts["level"]),
            recipe=facts["recipe"],
        )

    def __str__(self) -> str:
        return f"{self.modality} {self.name} ({self.n_features} features, {self.fingerprint})"


@dataclass(slots=True)
class Utterance:
    """One utterance. What is missing is absent (None, or no key), never zero."""

    # number of the utterance in its source; unique in the video, may have holes, need not be in time order
    index: int
    start_s: float | None = None
    end_s: float | None = None
    transcript: str = ""
    # modality -> (feature,)
    features: dict[Modality, FloatArray] = field(default_factory=dict)
    # modality -> (word, feature); rows of words that lack the modality are zero, see `word_present`
    words: dict[Modality, FloatArray] = field(default_factory=dict)
    # modality -> (word,); a modality with words but no entry here has them all
    word_present: dict[Modality, BoolArray] = field(default_factory=dict)
    sentiment: float | None = None
    # (6,) intensities in the order of `EMOTIONS`
    emotions: FloatArray | None = None


@dataclass(slots=True)
class Video:
    """One video: the context of its utterances is exactly its other utterances."""

    id: str
    utterances: list[Utterance]
    split: str | None = None


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word as it was said."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """The raw material of one utterance of a video: when, and what was said (empty if nothing was understood)."""

    index: int
    start_s: float
    end_s: float
    transcript: str = ""
    # in time order; empty where only the whole text has a time (subtitles)
    words: tuple[TimedWord, ...] = ()


def in_start_order(utterances: list[Utterance]) -> list[Utterance]:
    """Sort by start time, then by index; where any start is unknown, by index alone."""
    if any(utterance.start_s is None for utterance in utterances):
        return sorted(utterances, key=lambda utterance: utterance.index)
    return sorted(utterances, key=lambda utterance: (utterance.start_s, utterance.index))


def sentiment_classes(sentiment: FloatArray, rule: SentimentRule = SentimentRule.HAS0) -> tuple[BoolArray, BoolArray]:
    """Two classes from sentiment scores (utterance,) in [-3, 3], NaN where missing.

    Returns ``(positive, scored)``, both (utterance,): `scored` is False where the rule gives no class.
    """
    scored = ~np.isnan(sentiment)
    if rule is SentimentRule.NON0:
        scored &= sentiment != 0
    positive = sentiment > 0 if rule is not SentimentRule.HAS0 else sentiment >= 0
    return positive & scored, scored


def graded_emotions(intensities: FloatArray) -> bool:
    """Whether intensities (utterance, 6), NaN rows where missing, are degrees: classes stored as such are 0 and 1 only.

    True where nothing is labelled.
    """
    given = intensities[~np.isnan(intensities)]
    return bool(not given.size or ((given != 0) & (given != 1)).any())


def emotion_multihot7(intensities: FloatArray) -> tuple[BoolArray, BoolArray]:
    """The paper's seven binary labels from intensities (utterance, 6), NaN rows where missing.

    Any non-zero intensity is 1; the seventh is 1 where all six are zero (paper, section 4.1).
    Returns ``(labels, scored)`` of shapes (utterance, 7) and (utterance,).
    """
    scored: BoolArray = np.asarray(~np.isnan(intensities).any(axis=1), dtype=np.bool_)
    present = np.nan_to_num(intensities) > 0
    none = ~present.any(axis=1, keepdims=True)
    labels: BoolArray = np.concatenate([present, none], axis=1) & scored[:, None]
    return labels, scored
