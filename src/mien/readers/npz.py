"""Reader `npz`: the three archives that the paper's code reads (GussailRaat/NAACL-19-CIM).

The archives hold padded videos without ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import paper_labels
from mien.readers.archives import array_names, read_arrays, require_arrays
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.input_files import AnyArray, require_file
from mien.readers.rules import (
    ARRAY_UNREAD,
    VIDEO_ANONYMOUS,
    VIDEO_EMPTY,
    add_note,
    attach_vector,
    emotion_labels,
    sentiment_label,
    with_names,
    without_absurd,
)
from mien.schema import EMOTIONS, SPLITS, FeatureSpace, Modality, Utterance, Video

FILE_NAMES = {Modality.TEXT: "text.npz", Modality.ACOUSTIC: "audio.npz", Modality.VISUAL: "video.npz"}


def open_npz(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:  # noqa: ARG001 - one signature for all readers
    """Open text.npz, audio.npz and video.npz.

    For each split, each file has features (video, utterance, feature), padded at the end of the utterance axis.
    video.npz also has sentiment (video, utterance), emotions (video, utterance, 6) in alphabetical order, and the
    number of utterances of each video (video,). Only this number tells which rows are padding. The format has no ids,
    times or texts. A video is therefore named by its split and row, such as ``train-0000``.

    Args:
        paths: The three files, or their folder.
        options: Ignored; the array names are fixed and there are no word vectors.

    Returns:
        The data set with one feature vector per utterance, without transcripts.

    Raises:
        DataError: A file or an array is missing, or the shapes or types of the arrays are wrong.
    """
    files = _three_files(paths)
    unread: list[str] = []
    for modality, path in files.items():
        names_in_file = array_names(path, "npz")
        needed = [f"{split}_data" for split in SPLITS]
        needed += _label_names() if modality is Modality.VISUAL else []
        require_arrays(path, needed, names_in_file)
        unread += [f"{path.name}: {name}" for name in names_in_file if name not in needed]
    lengths = read_arrays(files[Modality.VISUAL], [f"{split}_length" for split in SPLITS], "npz")
    splits: dict[str, str | None] = {}
    for split in SPLITS:
        splits |= {_video_id(split, row): split for row in range(lengths[f"{split}_length"].size)}
    first = f"{SPLITS[0]}_data"
    widths = {}
    for modality, path in files.items():
        shape = read_arrays(path, [first], "npz")[first].shape
        if len(shape) != 3 or not shape[2]:
            raise DataError(
                f"Expected shape (video, utterance, feature) in {first!r} of {path}, but got {shape}; "
                "check that this is the file the reader expects"
            )
        widths[modality] = int(shape[2])
    recipe = {"source": "npz", "key": "data", "pooling": "none: one vector per utterance, as stored"}
    notes = Counter({VIDEO_ANONYMOUS: len(splits)})
    add_note(notes, with_names(ARRAY_UNREAD, unread), len(unread))
    return SourceDataSet(
        splits=splits,
        spaces={m: FeatureSpace(m, f"authors-npz-{m}", width, recipe=recipe) for m, width in widths.items()},
        videos=_padded_videos(files, widths, notes),
        notes=notes,
        mapping={"sentiment": "SentiLabel", "emotions": "EmoLabel", **dict.fromkeys(map(str, FILE_NAMES), "data")},
        files=tuple(files.values()),
    )


def _three_files(paths: Sequence[Path]) -> dict[Modality, Path]:
    candidates = [path / name for path in paths if path.is_dir() for name in FILE_NAMES.values()]
    candidates += [path for path in paths if not path.is_dir()]
    by_name = {path.name.lower(): path for path in candidates}
    if len(candidates) != len(FILE_NAMES) or set(by_name) != set(FILE_NAMES.values()):
        raise DataError(
            f"Expected {', '.join(FILE_NAMES.values())} or the folder that holds them for the reader 'npz', but got "
            f"{', '.join(str(path) for path in paths) or 'nothing'}; name the three files so (one archive of aligned "
            "arrays is the reader 'arrays')"
        )
    files = {modality: by_name[name] for modality, name in FILE_NAMES.items()}
    for path in files.values():
        require_file(path, "npz")
    return files


def _label_names() -> list[str]:
    return [name for split in SPLITS for name in (f"{split}_length", f"{split}SentiLabel", f"{split}EmoLabel")]


def _video_id(split: str, row: int) -> str:
    return f"{split}-{row:04d}"


def _padded_videos(
    files: Mapping[Modality, Path], widths: Mapping[Modality, int], notes: Counter[str]
) -> Iterator[Video]:
    for split in SPLITS:
        features = {
            modality: read_arrays(path, [f"{split}_data"], "npz")[f"{split}_data"] for modality, path in files.items()
        }
        labels = read_arrays(files[Modality.VISUAL], _label_names(), "npz")
        lengths = labels[f"{split}_length"]
        sentiment, emotions = labels[f"{split}SentiLabel"], labels[f"{split}EmoLabel"]
        _require_lengths(files[Modality.VISUAL], split, lengths, sentiment)
        n_videos, n_slots = sentiment.shape
        for modality, path in files.items():
            _require_shape(path, f"{split}_data", features[modality], (n_videos, n_slots, widths[modality]))
            features[modality] = without_absurd(features[modality], notes)
        _require_shape(files[Modality.VISUAL], f"{split}EmoLabel", emotions, (n_videos, n_slots, len(EMOTIONS)))
        for row in range(n_videos):
            utterances = []
            for slot in range(int(lengths[row])):
                utterance = Utterance(
                    index=slot,
                    labels=paper_labels(
                        sentiment_label(float(sentiment[row, slot]), notes), emotion_labels(emotions[row, slot], notes)
                    ),
                )
                for modality in files:
                    attach_vector(utterance, modality, features[modality][row, slot], notes)
                utterances.append(utterance)
            if utterances:
                yield Video(_video_id(split, row), utterances)
            else:
                notes[VIDEO_EMPTY] += 1


def _require_lengths(path: Path, split: str, lengths: AnyArray, sentiment: AnyArray) -> None:
    """Raise DataError unless `lengths` is one number of utterances per video that fits the padded labels."""
    numbers = sentiment.dtype.kind in "fiu" and lengths.dtype.kind in "iu"
    if sentiment.ndim != 2 or lengths.shape != sentiment.shape[:1] or not numbers:
        raise DataError(
            f"Expected one whole number per video in '{split}_length' and shape (video, utterance) in "
            f"'{split}SentiLabel' of {path}, but got {lengths.shape} of {lengths.dtype} and {sentiment.shape}; "
            "the lengths alone say what is padding"
        )
    n_slots = sentiment.shape[1]
    wrong = np.flatnonzero((lengths < 0) | (lengths > n_slots))
    if len(wrong):
        raise DataError(
            f"Expected lengths from 0 to {n_slots} in '{split}_length' of {path}, but got {lengths[wrong[0]]} for "
            f"video {wrong[0]}; the file was altered: copy it again"
        )


def _require_shape(path: Path, name: str, values: AnyArray, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype.kind not in "fiu":
        raise DataError(
            f"Expected numbers of shape {shape} in {name!r} of {path}, but got {values.dtype} of {values.shape}; "
            "the three files must come from one run of the authors' code"
        )
