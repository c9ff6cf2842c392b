"""Reader `mult`: pickles of the Multimodal Transformer (yaohungt/Multimodal-Transformer), also used by MultiBench."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import as_text
from mien.readers.pickles import SplitArrays, open_splits, source_from_splits
from mien.readers.rules import UTTERANCE_ALONE, attach_rows, sentiment_label, usable_end, without_zero_ends
from mien.schema import Utterance

# "video[3]": video id and segment number; only the last bracket counts, because an id may contain any character
SEGMENT_ID = re.compile(r"(.+)\[(\d+)\]", re.DOTALL)


def open_mult(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one pickle in the format of mosei_senti_data.pkl (aligned) or mosei_senti_data_noalign.pkl (unaligned).

    The format stores no lengths. In an aligned file, rows at both ends of an utterance that are zero in all streams are
    treated as padding. In an unaligned file, this is decided for each stream separately. The key ``id`` holds the video
    id with start and end, or with a number (``video[3]``). Without ``id``, each utterance becomes a separate video,
    because its context is unknown. Word vectors are kept only from aligned files.

    Args:
        paths: One pickle.
        options: `words` tells whether to keep word vectors. This reader takes no `mapping`.

    Returns:
        The data set, with sentiment but no emotions.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, or the shapes or types of its arrays are wrong.
    """
    splits = open_splits(paths, "mult")
    aligned = all(split.is_aligned for split in splits)
    keep_words = options.words and aligned
    notes: Counter[str] = Counter()
    rows = (row for split in splits for row in _mult_rows(split, notes))
    numbered = all(SEGMENT_ID.fullmatch(each) for split in splits for each in _segment_ids(split))
    groups = group(rows, notes, splits[0].path, numbered=numbered)

    def attach(row: Row) -> None:
        split, index = row.place
        streams = {modality: stream[index] for modality, stream in split.features.items()}
        joint_unpadded = without_zero_ends(list(streams.values()), notes) if aligned else None
        for modality, stream in streams.items():
            unpadded = without_zero_ends([stream], notes) if joint_unpadded is None else joint_unpadded
            attach_rows(row.utterance, modality, stream[unpadded], keep_words, notes)

    mapping = {"video_id": "id", "start": "id", "end": "id", "sentiment": "labels"}
    return source_from_splits("mult", splits, keep_words, groups, attach, notes, mapping)


def _segment_ids(split: SplitArrays) -> list[str]:
    """Return one id per utterance; empty texts if the file has no ids, or if its ids have more than one column."""
    if "id" not in split.values or split.array("id").size != split.n_rows:
        return [""] * split.n_rows
    return split.texts("id")


def _mult_rows(split: SplitArrays, notes: Counter[str]) -> Iterator[Row]:
    labels = split.array("labels")
    if labels.size != split.n_rows or labels.dtype.kind not in "fiu":
        raise DataError(
            f"Expected one sentiment score per utterance in 'labels' of {split.name!r} in {split.path}, but got "
            f"{labels.dtype} of {labels.shape}; files with other labels (IEMOCAP) are not read"
        )
    for row, score in enumerate(labels.reshape(-1)):
        utterance = Utterance(0, sentiment=sentiment_label(float(score), notes))
        video_id = _apply_id(split, row, utterance, notes)
        yield Row(video_id, split.name, utterance, split.where(row), (split, row))


def _apply_id(split: SplitArrays, row: int, utterance: Utterance, notes: Counter[str]) -> str:
    """Set the times or the index of an utterance from its id, and return its video id.

    If the file has no ids, return a new video id and leave the utterance unchanged.
    """
    if "id" not in split.values:
        notes[UTTERANCE_ALONE] += 1
        return f"{split.name}-{row:05d}"
    parts = as_text(np.atleast_1d(split.array("id")[row]))
    segment = SEGMENT_ID.fullmatch(parts[0]) if len(parts) == 1 else None
    if segment:
        utterance.index = int(segment[2])
        return segment[1]
    try:
        video_id, start_s, end_s = parts[0], *map(float, parts[1:])
    except (TypeError, ValueError):
        video_id, start_s, end_s = "", math.nan, math.nan
    if not video_id or not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise DataError(
            f"Expected video id, start and end (or video[3]) as 'id' in {split.where(row)}, but got {parts}; "
            "remove the key 'id' to import without context"
        )
    utterance.start_s = start_s
    utterance.end_s = usable_end(start_s, end_s, notes)
    return video_id
