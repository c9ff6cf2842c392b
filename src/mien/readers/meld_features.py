"""Reader `meld-features`: the public features of MELD (declare-lab/conv-emotion, MELD_features_raw.pkl).

The pickle holds nine parts without names, whose order is that of `PARTS`: `MELDDataset` in conv-emotion's loaders
unpacks them so. Seven are dictionaries by the number of the dialogue, with one value per utterance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import only_file
from mien.readers.meld import EMOTION_CLASSES, LABEL_SPACES, SENTIMENT_CLASSES
from mien.readers.pickles import read_pickle
from mien.readers.positional import TEST, TRAIN, PositionalFile, texts, usual_features
from mien.readers.rules import attach_vector
from mien.schema import EMOTION, SENTIMENT, FloatArray, Modality, Utterance

PARTS = (
    *("videoIDs", "videoSpeakers", "videoLabels", "videoText", "videoAudio", "videoSentence"),
    *(TRAIN, TEST, "videoSentiments"),
)
FEATURES = {Modality.TEXT: "videoText", Modality.ACOUSTIC: "videoAudio"}
# the classes in the order of their numbers in the file, from the README of declare-lab/MELD
NUMBERED_EMOTIONS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
NUMBERED_SENTIMENTS = ("neutral", "positive", "negative")
WRONG_FILE = "check that this is MELD_features_raw.pkl of conv-emotion"


@dataclass(frozen=True, slots=True)
class _MeldDialogue:
    """The values of one dialogue, one per utterance."""

    transcripts: list[str]
    # number of the person within the dialogue
    speakers: list[int]
    # number of the class in the file
    emotions: list[int]
    sentiments: list[int]
    # modality -> (utterance, feature)
    features: Mapping[Modality, FloatArray]


def open_meld_features(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open MELD_features_raw.pkl.

    Each dialogue becomes a video, such as ``dia12``. The position in the dialogue is the index; there are no times. The
    speaker is the dialogue with a number, because the file does not tell whether numbers are the same person elsewhere.

    Args:
        paths: One pickle.
        options: Ignored; the parts have no names, and there are no words.

    Returns:
        The data set, with seven emotions and three sentiments, and features of text and voice.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, or a part is missing or does not fit the others.
    """
    path = only_file(paths, (".pkl", ".pickle"), "meld-features")
    file = PositionalFile(path, PARTS, int, WRONG_FILE)
    parts = file.parts(read_pickle(path, "meld-features"))
    splits = file.splits(parts)
    notes: Counter[str] = Counter()
    parts = file.with_whole_vectors(parts, FEATURES.values(), notes)
    dialogues = {number: _meld_dialogue(file, number, parts) for number in parts[PARTS[0]]}
    spaces = file.spaces("meld-features", FEATURES, [each.features for each in dialogues.values()])
    features = dict(zip(dialogues, usual_features([each.features for each in dialogues.values()], notes), strict=True))
    rows = (row for number, each in dialogues.items() for row in _meld_rows(number, each, splits.get(number), path))
    groups = group(rows, notes, path, numbered=True)

    def attach(row: Row) -> None:
        for modality, matrix in features[row.place].items():
            attach_vector(row.utterance, modality, matrix[row.utterance.index], notes)

    return SourceDataSet(
        splits=groups.splits,
        spaces=spaces,
        videos=groups.videos(attach),
        notes=notes,
        mapping={
            "video_id": "videoIDs",
            "speaker": "videoSpeakers",
            "transcript": "videoSentence",
            EMOTION: "videoLabels",
            SENTIMENT: "videoSentiments",
            **{str(modality): name for modality, name in FEATURES.items()},
        },
        files=(path,),
        licence_note="MELD: for research; the dialogues are from a television series",
        label_spaces=LABEL_SPACES,
        extra_columns=("speaker",),
    )


def _meld_dialogue(file: PositionalFile, number: int, parts: Mapping[str, Any]) -> _MeldDialogue:
    """Check the values of one dialogue, and convert them. Raise DataError if they do not fit each other."""
    values, n = file.dialogue(number, parts)
    where = file.where(number)
    speakers = file.matrix(values["videoSpeakers"], n, f"videoSpeakers of {where}", 2)
    return _MeldDialogue(
        texts(values["videoSentence"]),
        [int(each) for each in speakers.argmax(axis=1)],
        file.classes(values["videoLabels"], n, f"videoLabels of {where}", len(NUMBERED_EMOTIONS)),
        file.classes(values["videoSentiments"], n, f"videoSentiments of {where}", len(NUMBERED_SENTIMENTS)),
        {modality: file.matrix(values[part], n, f"{part} of {where}", 2) for modality, part in FEATURES.items()},
    )


def _meld_rows(number: int, dialogue: _MeldDialogue, split: str | None, path: Path) -> Iterator[Row]:
    video_id = f"dia{number}"
    spoken = zip(dialogue.transcripts, dialogue.speakers, dialogue.emotions, dialogue.sentiments, strict=True)
    for index, (transcript, speaker, emotion, sentiment) in enumerate(spoken):
        labels = {
            EMOTION: np.array([float(EMOTION_CLASSES.index(NUMBERED_EMOTIONS[emotion]))]),
            SENTIMENT: np.array([float(SENTIMENT_CLASSES.index(NUMBERED_SENTIMENTS[sentiment]))]),
        }
        utterance = Utterance(index, transcript=transcript, speaker=f"{video_id}-{speaker}", labels=labels)
        yield Row(video_id, split, utterance, f"utterance {index} of {video_id} in {path}", number)
