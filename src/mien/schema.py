"""Shared terms and data types of the package: modality, emotion, utterance, video, feature space.

Array shapes in all docstrings are written as axis names:

- ``video``      one row per video of a batch
- ``utterance``  one row per utterance of a video, ordered by start time
- ``word``       one row per word of an utterance
- ``feature``    one column per feature of a modality
- ``emotion``    one column per emotion in the order of `EMOTIONS`; a seventh column, if there is one, is `NO_EMOTION`
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

# The paper's order (alphabetical). CMU-MOSEI's "All Labels" uses another order, so columns are mapped by name.
EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
# Name of the seventh class, which is present if all six intensities are zero. It is computed from the intensities and
# never stored as a label.
NO_EMOTION = "none"
EMOTION_OUTPUTS = (*EMOTIONS, NO_EMOTION)
# names of the paper's two label spaces (`mien.labels`) and of the tasks that predict their classes
SENTIMENT = "sentiment"
EMOTION = "emotion"
SPLITS = ("train", "valid", "test")
# names of splits in published data sets, in lower case -> split
SPLIT_SPELLINGS = {
    **dict.fromkeys(("train", "training", "tr", "trn"), "train"),
    **dict.fromkeys(("valid", "val", "dev", "devel", "development", "validation", "validate"), "valid"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
# text columns that a Dataset has only if its source knows their values
EXTRA_COLUMNS = ("speaker", "fold")
# Key of the languages of the words, as codes like "en", in the origin of a Dataset and in what a Run states about its
# Dataset. It is absent if they are not known.
LANGUAGES = "languages"
SENTIMENT_RANGE = (-3.0, 3.0)
EMOTION_RANGE = (0.0, 3.0)


class Modality(StrEnum):
    """One of the three input channels of a system: text (the words), acoustic (the voice) or visual (the face)."""

    TEXT = "text"
    ACOUSTIC = "acoustic"
    VISUAL = "visual"


# other usual names of the modalities, accepted on the command line
MODALITY_ALIASES = {
    "words": Modality.TEXT,
    "language": Modality.TEXT,
    "audio": Modality.ACOUSTIC,
    "voice": Modality.ACOUSTIC,
    "speech": Modality.ACOUSTIC,
    "video": Modality.VISUAL,
    "vision": Modality.VISUAL,
    "face": Modality.VISUAL,
}

# Takes the place of the modality in names of attention weights ("fused->fused") if a system fuses the modalities before
# its attention.
FUSED = "fused"


class Level(StrEnum):
    """What one feature vector describes: a whole utterance, or a single word."""

    UTTERANCE = "utterance"
    WORD = "word"


class SentimentRule(StrEnum):
    """Rule that turns a sentiment score in [-3, 3] into one of the classes positive and negative.

    Scores above zero are positive, and scores below zero are negative. The rules differ in scores of exactly zero: with
    `HAS0` they are positive, with `GT0` they are negative, and with `NON0` they are left out.
    """

    HAS0 = "has0"  # >= 0 is positive (the paper's rule)
    NON0 = "non0"  # > 0 is positive; exact zeros are dropped
    GT0 = "gt0"  # > 0 is positive


class SentimentValues(StrEnum):
    """Meaning of the numbers in the sentiment column of a data set: scores in [-3, 3], or the classes -1 and +1."""

    INTENSITY = "intensity"  # a score in [-3, 3]
    HAS0_CLASS = "has0_class"  # -1 or +1 under `has0`: exact zeros are stored as +1
    SIGNED_CLASS = "signed_class"  # -1 or +1; neutral utterances have no label


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """Description of the features of one modality: their number, their names, and how they were computed.

    If two spaces have the same `fingerprint`, features of one can be used in place of features of the other.
    """

    modality: Modality
    name: str
    n_features: int
    columns: tuple[str, ...] = ()
    # UTTERANCE: one vector per utterance. WORD: word vectors are stored too; the utterance vector is their mean.
    level: Level = Level.UTTERANCE
    # everything else that determines the values: extractor, version, settings, sha256 of the weights
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the sha256 of modality, name, number of features, columns and recipe.

        The fingerprint does not depend on the field `level`, because the vectors of utterances are the same whether
        or not the vectors of words are stored too.
        """
        facts = {"modality": self.modality, "name": self.name, "n_features": self.n_features}
        facts |= {"columns": list(self.columns), "recipe": dict(self.recipe)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the fields and the fingerprint as a dictionary that can be written as JSON."""
        return {**asdict(self), "columns": list(self.columns), "recipe": dict(self.recipe)} | {
            "fingerprint": self.fingerprint
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> FeatureSpace:
        """Create a space from a dictionary of `to_json`. The fingerprint in the dictionary is ignored.

        Raises ValueError if the number of features is not between 0 (transcripts) and `MAX_FEATURES`.
        """
        if not 0 <= facts["n_features"] <= MAX_FEATURES:
            raise ValueError(f"{facts['n_features']} features")
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


# types in the dictionary of `FeatureSpace.to_json`
SPACE_SHAPE = {"modality": str, "name": str, "n_features": int, "columns": [str], "level": str, "recipe": {}}
MAX_FEATURES = 1_000_000


@dataclass(slots=True)
class Utterance:
    """One utterance: its start and end in seconds, transcript, features and labels.

    An unknown time or label is None. If the utterance lacks a modality, the dictionaries `features` and `words` have no
    entry for this modality. They do not contain zeros in its place.
    """

    # number of the utterance in its source: unique in the video, may have gaps, need not follow time order
    index: int
    start_s: float | None = None
    end_s: float | None = None
    transcript: str = ""
    # modality -> (feature,), one vector of the whole utterance
    features: dict[Modality, FloatArray] = field(default_factory=dict)
    # modality -> (word, feature); a row is zero where the word lacks the modality, see `word_present`
    words: dict[Modality, FloatArray] = field(default_factory=dict)
    # modality -> mask (word,); a modality in `words` without an entry here is present in every word
    word_present: dict[Modality, BoolArray] = field(default_factory=dict)
    # name of a label space -> labels (column,), see `mien.labels`; a space without labels has no entry
    labels: dict[str, FloatArray] = field(default_factory=dict)
    # name or id of the person who speaks
    speaker: str | None = None

    @property
    def sentiment(self) -> float | None:
        """Label of the label space `sentiment`, a score in CMU-MOSEI; None where missing."""
        return float(self.labels[SENTIMENT][0]) if SENTIMENT in self.labels else None

    @property
    def emotions(self) -> FloatArray | None:
        """Labels (column,) of the label space `emotion`, six intensities in CMU-MOSEI; None where missing."""
        return self.labels.get(EMOTION)


@dataclass(slots=True)
class Video:
    """One video: its id, its utterances, its split, and the fold to which it belongs (see `benchmark.folds`).

    The context of an utterance is all other utterances of its video.
    """

    id: str
    utterances: list[Utterance]
    split: str | None = None
    fold: str | None = None


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One spoken word with its start and end in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of a recording, before features are extracted: its start and end in seconds and its transcript."""

    index: int
    start_s: float
    end_s: float
    # empty if no speech was recognized
    transcript: str = ""
    # in time order; empty if only the whole text has a time (subtitles)
    words: tuple[TimedWord, ...] = ()
    # name or number of the person who speaks; None if unknown
    speaker: str | None = None
    # why no prediction may be made for this utterance, such as "a sound, not speech"; empty if one may
    not_judged: str = ""
    # code of the language of the words, see `mien.media.languages`; empty if unknown
    language: str = ""
    # index of the only channel of the sound in which the utterance is heard; None: the sound of the whole recording
    channel: int | None = None


def in_start_order(utterances: list[Utterance]) -> list[Utterance]:
    """Return the utterances sorted by start time. Utterances with the same start time are sorted by index.

    If any start time is unknown, all utterances are sorted by index.
    """
    if any(utterance.start_s is None for utterance in utterances):
        return sorted(utterances, key=lambda utterance: utterance.index)
    return sorted(utterances, key=lambda utterance: (utterance.start_s, utterance.index))


def sentiment_classes(sentiment: FloatArray, rule: SentimentRule = SentimentRule.HAS0) -> tuple[BoolArray, BoolArray]:
    """Turn sentiment scores into the classes positive and negative.

    Args:
        sentiment: Scores in [-3, 3], NaN where missing, (utterance,).
        rule: Rule that decides the class of a score of zero. By default such a score is positive (`has0`).

    Returns:
        Two masks (utterance,): ``(positive, scored)``. `positive` is True where the class is positive. `scored` is
        False where an utterance has no class, because the score is missing, or because it is zero and the rule is
        `non0`. If `scored` is False, `positive` is False, too.
    """
    scored = ~np.isnan(sentiment)
    if rule is SentimentRule.NON0:
        scored &= sentiment != 0
    positive = sentiment > 0 if rule is not SentimentRule.HAS0 else sentiment >= 0
    return positive & scored, scored


def graded_emotions(intensities: FloatArray) -> bool:
    """Tell whether emotion labels are intensities or classes that are stored as 0 and 1.

    Args:
        intensities: Emotion labels (utterance, 6), NaN where missing.

    Returns:
        True for intensities: some label is neither 0 nor 1, or all labels are missing. False for classes.
    """
    labelled = intensities[~np.isnan(intensities)]
    return bool(not labelled.size or ((labelled != 0) & (labelled != 1)).any())


def emotion_multihot7(intensities: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Turn emotion intensities into the seven binary labels of the paper (section 4.1).

    An emotion is present if its intensity is above zero. The seventh label, "none", is True if all six intensities are
    zero.

    Args:
        intensities: Intensities (utterance, 6). The row of an utterance without labels is NaN.

    Returns:
        ``(labels, scored)``. `labels` (utterance, 7) contains the binary labels. `scored` (utterance,) is False for an
        utterance without labels, and its seven binary labels are False, too.
    """
    scored: BoolArray = np.asarray(~np.isnan(intensities).any(axis=1), dtype=np.bool_)
    present = np.nan_to_num(intensities) > 0
    none = ~present.any(axis=1, keepdims=True)
    labels: BoolArray = np.concatenate([present, none], axis=1) & scored[:, None]
    return labels, scored
