"""Readers `iemocap` and `iemocap4`: the public features of IEMOCAP (declare-lab/conv-emotion, IEMOCAP_features.pkl).

The pickle holds nine parts without names, whose order is that of `PARTS`. Seven are dictionaries by dialogue, with one
value per utterance. The last two list the dialogues of the usual train and test splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.labels import LabelKind, LabelSpace
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import as_text, only_file
from mien.readers.pickles import read_pickle
from mien.readers.rules import attach_vector
from mien.readers.split_arrays import is_missing, shown
from mien.schema import EMOTION, FeatureSpace, FloatArray, Modality, Utterance

PARTS = (
    *("videoIDs", "videoSpeakers", "videoLabels", "videoText", "videoAudio", "videoVisual", "videoSentence"),
    *("trainVid", "testVid"),
)
BY_DIALOGUE = PARTS[:7]
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
WRONG_FILE = "check that this is IEMOCAP_features.pkl of conv-emotion"


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
    parts = _named_parts(path, read_pickle(path, "iemocap"))
    splits = _splits(path, parts)
    notes: Counter[str] = Counter()
    dialogues = {name: _dialogue(path, name, parts) for name in parts[BY_DIALOGUE[0]]}
    spaces = _spaces(path, dialogues.values())
    rows = (row for each in dialogues.values() for row in _rows(each, splits.get(each.id), path, label_space))
    groups = group(rows, notes, path, numbered=True)

    def attach(row: Row) -> None:
        for modality, matrix in dialogues[row.video_id].features.items():
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
        licence_note="IEMOCAP: for research, under the licence of USC's SAIL that each user must sign",
        label_spaces=(label_space,),
        extra_columns=("speaker", "fold"),
    )


def _named_parts(path: Path, loaded: object) -> dict[str, Any]:
    """Return the nine parts by name. Raise DataError if their number or types are wrong."""
    if not isinstance(loaded, list | tuple) or len(loaded) != len(PARTS):
        got = f"{len(loaded)} parts" if isinstance(loaded, list | tuple) else type(loaded).__name__
        raise DataError(f"Expected {len(PARTS)} parts ({', '.join(PARTS)}) in {path}, but got {got}; {WRONG_FILE}")
    parts = dict(zip(PARTS, loaded, strict=True))
    for name, part in parts.items():
        expected = dict if name in BY_DIALOGUE else list | tuple
        ids = part if isinstance(part, expected) else [part]
        if not isinstance(part, expected) or not all(isinstance(each, str) for each in ids):
            kind = "a dictionary" if name in BY_DIALOGUE else "a list"
            raise DataError(
                f"Expected {kind} of ids of dialogues as {name} in {path}, but got {type(part).__name__}; {WRONG_FILE}"
            )
    return parts


def _splits(path: Path, parts: Mapping[str, Any]) -> dict[str, str]:
    both = set(parts["trainVid"]) & set(parts["testVid"])
    if both:
        raise DataError(
            f"Expected every dialogue in one of trainVid and testVid in {path}, but got {shown(min(both))} in both; "
            f"{WRONG_FILE}"
        )
    return dict.fromkeys(parts["trainVid"], "train") | dict.fromkeys(parts["testVid"], "test")


def _dialogue(path: Path, name: str, parts: Mapping[str, Any]) -> _Dialogue:
    """Check the values of one dialogue, and convert them. Raise DataError if they do not fit each other."""
    where = f"dialogue {shown(name)} of {path}"
    match = DIALOGUE_ID.fullmatch(name)
    if not match:
        raise DataError(
            f"Expected ids of dialogues like 'Ses02F_impro01' in {path}, but got {shown(name)}; {WRONG_FILE}"
        )
    values = {part: parts[part].get(name) for part in BY_DIALOGUE}
    n = len(values["videoIDs"]) if isinstance(values["videoIDs"], list | tuple | np.ndarray) else 0
    for part, each in values.items():
        if not isinstance(each, list | tuple | np.ndarray) or len(each) != n or not n:
            got = f"{len(each)} values" if isinstance(each, list | tuple | np.ndarray) else type(each).__name__
            raise DataError(f"Expected one value per utterance in {part} of {where}, but got {got}; {WRONG_FILE}")
    speakers, sentences = (as_text(as_objects(values[part])) for part in ("videoSpeakers", "videoSentence"))
    for letter in speakers:
        if letter not in SPEAKERS:
            raise DataError(f"Expected F or M in videoSpeakers of {where}, but got {shown(letter)}; {WRONG_FILE}")
    classes = _matrix(values["videoLabels"], n, f"videoLabels of {where}", 1)
    unknown = classes[~np.isin(classes, range(len(CLASSES)))]
    if unknown.size:
        raise DataError(f"Expected classes 0 to 5 in videoLabels of {where}, but got {unknown[0]:g}; {WRONG_FILE}")
    return _Dialogue(
        name,
        match[1],
        [f"{match[1]}{letter}" for letter in speakers],
        sentences,
        classes.astype(int).tolist(),
        {modality: _matrix(values[part], n, f"{part} of {where}", 2) for modality, part in FEATURES.items()},
    )


def as_objects(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Return values as an array of objects (utterance,); a missing text (None or NaN) is empty."""
    array = np.empty(len(values), dtype=object)
    array[:] = ["" if is_missing(value) else value for value in values]
    return array


def _matrix(values: Any, n_rows: int, where: str, n_axes: int) -> FloatArray:
    """Convert the numbers of a dialogue to an array with a row per utterance, and one or two axes."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = np.asarray(list(values), dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.ndim != n_axes or len(array) != n_rows or not array.size or array.dtype.kind not in "fiu":
        shape = f"({n_rows}, feature)" if n_axes == 2 else f"({n_rows},)"
        got = f"{array.dtype} of {array.shape}" if array.size else "rows of different lengths or kinds"
        raise DataError(f"Expected numbers of shape {shape} in {where}, but got {got}; {WRONG_FILE}")
    return array


def _spaces(path: Path, dialogues: Collection[_Dialogue]) -> dict[Modality, FeatureSpace]:
    spaces: dict[Modality, FeatureSpace] = {}
    for modality, part in FEATURES.items():
        sizes = sorted({each.features[modality].shape[1] for each in dialogues})
        if len(sizes) > 1:
            raise DataError(
                f"Expected features of one length in {part} of {path}, but got {sizes[0]} and {sizes[1]}; {WRONG_FILE}"
            )
        recipe = {"source": "iemocap", "key": part}
        if sizes:
            spaces[modality] = FeatureSpace(modality, f"iemocap-{modality}", sizes[0], recipe=recipe)
    return spaces


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
