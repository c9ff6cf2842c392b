"""Readers `iemocap` and `iemocap4`: the public features of IEMOCAP (declare-lab/conv-emotion, IEMOCAP_features.pkl).

The pickle holds nine parts without names, whose order is that of `PARTS`. Seven are dictionaries by dialogue, with one
value per utterance. The last two list the dialogues of the usual train and test splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.labels import LabelKind, LabelSpace
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import only_file
from mien.readers.pickles import read_pickle
from mien.readers.positional import TEST, TRAIN, PositionalFile, texts, usual_features
from mien.readers.rules import attach_vector
from mien.readers.split_arrays import shown
from mien.schema import EMOTION, FloatArray, Modality, Utterance

PARTS = (
    *("videoIDs", "videoSpeakers", "videoLabels", "videoText", "videoAudio", "videoVisual", "videoSentence"),
    *(TRAIN, TEST),
)
FEATURES = {Modality.TEXT: "videoText", Modality.ACOUSTIC: "videoAudio", Modality.VISUAL: "videoVisual"}
# the classes in the order of their numbers in the file: hap, sad, neu, ang, exc, fru
CLASSES = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
LABEL_SPACE = LabelSpace(
    EMOTION, LabelKind.CLASSES, CLASSES, neutral="neutral", origin="IEMOCAP: the six classes of conv-emotion"
)
# The literature's other task has four classes: excited counts as happy, and frustrated utterances have no label.
FOUR_CLASSES = ("happy", "sad", "neutral", "angry")
FOUR_CLASSES_SPACE = LabelSpace(
    EMOTION, LabelKind.CLASSES, FOUR_CLASSES, neutral="neutral", origin="IEMOCAP: four classes, excited as happy"
)
# such as "Ses02F_script01_1": the session, then the person who wears the markers
DIALOGUE_ID = re.compile(r"(Ses0[1-5])[FM]_\w+")
SPEAKERS = ("F", "M")
LICENCE = "for research, under the licence of USC's SAIL that each user must sign"
WRONG_FILE = "check that this is IEMOCAP_features.pkl of conv-emotion (that of MELD has the reader meld-features)"


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """The values of one dialogue, one per utterance."""

    id: str
    session: str
    speakers: list[str]
    transcripts: list[str]
    # number of the class in `CLASSES`
    classes: list[int]
    # modality -> (utterance, feature)
    features: Mapping[Modality, FloatArray]


def open_iemocap(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open IEMOCAP_features.pkl.

    Each dialogue becomes a video, and its session (Ses01 to Ses05) becomes the fold of the video. The speaker is the
    session with the letter F or M, because every session has two other people. The position in the dialogue is the
    index; there are no times. The label space `emotion` has six classes.

    Args:
        paths: One pickle.
        options: Ignored; the parts have no names, and there are no words.

    Returns:
        The data set. Its only label space is `emotion`.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, or a part is missing or does not fit the others.
    """
    return _open(paths, LABEL_SPACE)


def open_iemocap4(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open IEMOCAP_features.pkl like `open_iemocap`, with four classes.

    Excited utterances are happy. Frustrated utterances have no label; they stay in their dialogue as context.

    Args:
        paths: One pickle.
        options: Ignored, as in `open_iemocap`.

    Returns:
        The data set. Its only label space is `emotion`.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, or a part is missing or does not fit the others.
    """
    return _open(paths, FOUR_CLASSES_SPACE)


def _open(paths: Sequence[Path], label_space: LabelSpace) -> SourceDataSet:
    path = only_file(paths, (".pkl", ".pickle"), "iemocap")
    file = PositionalFile(path, PARTS, str, WRONG_FILE)
    parts = file.parts(read_pickle(path, "iemocap"))
    splits = file.splits(parts)
    notes: Counter[str] = Counter()
    parts = file.with_whole_vectors(parts, FEATURES.values(), notes)
    dialogues = {name: _dialogue(file, name, parts) for name in parts[PARTS[0]]}
    spaces = file.spaces("iemocap", FEATURES, [each.features for each in dialogues.values()])
    features = dict(zip(dialogues, usual_features([each.features for each in dialogues.values()], notes), strict=True))
    rows = (row for each in dialogues.values() for row in _rows(each, splits.get(each.id), path, label_space))
    groups = group(rows, notes, path, numbered=True)

    def attach(row: Row) -> None:
        for modality, matrix in features[row.video_id].items():
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
            **{str(modality): name for modality, name in FEATURES.items()},
        },
        files=(path,),
        licence_note=f"IEMOCAP: {LICENCE}",
        label_spaces=(label_space,),
        extra_columns=("speaker", "fold"),
    )


def _dialogue(file: PositionalFile, name: str, parts: Mapping[str, Any]) -> _Dialogue:
    """Check the values of one dialogue, and convert them. Raise DataError if they do not fit each other."""
    where = file.where(name)
    match = DIALOGUE_ID.fullmatch(name)
    if not match:
        raise file.refuse("ids of dialogues like 'Ses02F_impro01'", shown(name))
    values, n = file.dialogue(name, parts)
    speakers, sentences = (texts(values[part]) for part in ("videoSpeakers", "videoSentence"))
    for letter in speakers:
        if letter not in SPEAKERS:
            raise DataError(f"Expected F or M in videoSpeakers of {where}, but got {shown(letter)}; {WRONG_FILE}")
    return _Dialogue(
        name,
        match[1],
        [f"{match[1]}{letter}" for letter in speakers],
        sentences,
        file.classes(values["videoLabels"], n, f"videoLabels of {where}", len(CLASSES)),
        {modality: file.matrix(values[part], n, f"{part} of {where}", 2) for modality, part in FEATURES.items()},
    )


def _rows(dialogue: _Dialogue, split: str | None, path: Path, label_space: LabelSpace) -> Iterator[Row]:
    spoken = zip(dialogue.speakers, dialogue.transcripts, dialogue.classes, strict=True)
    for index, (speaker, transcript, class_number) in enumerate(spoken):
        name = CLASSES[class_number]
        if label_space is FOUR_CLASSES_SPACE and name == "excited":
            name = "happy"
        labels = {EMOTION: np.array([float(label_space.names.index(name))])} if name in label_space.names else {}
        utterance = Utterance(index, transcript=transcript, speaker=speaker, labels=labels)
        where = f"utterance {index} of {dialogue.id} in {path}"
        yield Row(dialogue.id, split, utterance, where, fold=dialogue.session)
