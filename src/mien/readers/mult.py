"""Reader `mult`: pickles of the Multimodal Transformer (yaohungt/Multimodal-Transformer), also used by MultiBench.

It also reads the lists of tuples of MAG-BERT and MISA, see `segment_tuples`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.errors import DataError
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import input_files, only_file
from mien.readers.padding import count_guessed_padding, unpadded_rows
from mien.readers.pickles import read_pickle
from mien.readers.rules import UTTERANCE_ALONE, attach_rows, usable_end
from mien.readers.segment_tuples import SEGMENT_ID, is_segments, open_segments
from mien.readers.split_arrays import KEYS, SplitArrays, open_splits, shown, source_from_splits
from mien.readers.split_labels import LABELS, RowLabels, label_matrix, read_labels
from mien.schema import SPLITS, Utterance

KNOWN_KEYS = {"id", LABELS, *KEYS.values()}


def open_mult(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one pickle in the format of mosei_senti_data.pkl (aligned) or mosei_senti_data_noalign.pkl (unaligned).

    The format stores no lengths. In an aligned file, rows at both ends of an utterance that are zero in all streams are
    treated as padding. In an unaligned file, this is decided for each stream separately. The key ``id`` holds the video
    id with start and end, or with a number (``video[3]``). Without ``id``, each utterance becomes a separate video,
    because its context is unknown. Word vectors are kept only from aligned files. The labels are the sentiment, or the
    sentiment and the six emotions.

    Args:
        paths: One pickle; or the lists of tuples of MISA, one file per split.
        options: `words` tells whether to keep word vectors. `labels` are label spaces of the user's own, read from keys
            of the splits. This reader takes no `mapping`.

    Returns:
        The data set.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, or the shapes or types of its arrays are wrong.
    """
    files = input_files(paths, (".pkl", ".pickle"), "mult")
    contents = {path: read_pickle(path, "mult") for path in files}
    if any(map(is_segments, contents.values())):
        return open_segments(contents, options)
    path = only_file(paths, (".pkl", ".pickle"), "mult")
    if isinstance(contents[path], list | tuple) and any(isinstance(part, dict) for part in contents[path]):
        raise DataError(
            f"Expected a dictionary with {', '.join(SPLITS)} in {path}, but got a list of dictionaries; the lists of "
            "conv-emotion have the readers iemocap (IEMOCAP_features.pkl) and meld-features (MELD_features_raw.pkl)"
        )
    notes: Counter[str] = Counter()
    own_keys = {column for option in options.labels for column in option.columns}
    splits = open_splits(path, contents[path], KNOWN_KEYS | own_keys, notes)
    aligned = all(split.is_aligned for split in splits)
    keep_words = options.words and aligned
    ids = {split.name: split.text_rows("id") if "id" in split.values else None for split in splits}
    scores = None if LABELS in own_keys else {split.name: label_matrix(split) for split in splits}
    labels = read_labels(splits, scores, options.labels)
    rows = (row for split in splits for row in _mult_rows(split, ids[split.name], labels.rows[split.name]))
    numbered = all(each is not None and all(map(_segment, each)) for each in ids.values())
    groups = group(rows, notes, splits[0].path, numbered=numbered, unit=options.unit)
    unpadded = {split.name: unpadded_rows(split.features, split.features, jointly=aligned) for split in splits}

    def attach(row: Row) -> None:
        split, index = row.place
        for modality, stream in split.features.items():
            data_rows = unpadded[split.name][modality][index]
            attach_rows(row.utterance, modality, stream[index, data_rows], keep_words, notes)
        count_guessed_padding(unpadded[split.name], split.features, index, notes, jointly=aligned)

    mapping = {"video_id": "id", "start": "id", "end": "id", **labels.mapping(LABELS)}
    source = source_from_splits("mult", splits, keep_words, groups, attach, notes, mapping)
    return dataclasses.replace(source, label_spaces=labels.spaces)


def _segment(parts: list[str]) -> re.Match[str] | None:
    """Return the match of an id of the form ``video[3]``, or None for another id."""
    return SEGMENT_ID.fullmatch(parts[0]) if len(parts) == 1 else None


def _mult_rows(split: SplitArrays, ids: list[list[str]] | None, labels: list[RowLabels]) -> Iterator[Row]:
    for row, row_labels in enumerate(labels):
        utterance, applied = Utterance(0, labels=row_labels.values), row_labels.applied
        if ids is None:
            applied[UTTERANCE_ALONE] += 1
            video_id = f"{split.role}-{row:05d}"
        else:
            video_id = _apply_id(split.where(row), ids[row], utterance, applied)
        yield Row(video_id, split.name, utterance, split.where(row), (split, row), applied=applied)


def _apply_id(where: str, parts: list[str], utterance: Utterance, notes: Counter[str]) -> str:
    """Set the times or the index of an utterance from its id, and return its video id."""
    segment = _segment(parts)
    if segment:
        utterance.index = int(segment[2])
        return segment[1]
    try:
        video_id, start_s, end_s = parts[0], *map(float, parts[1:])
    except (IndexError, ValueError):
        video_id, start_s, end_s = "", math.nan, math.nan
    if not video_id or not (math.isfinite(start_s) and math.isfinite(end_s)):
        got = ", ".join(map(shown, parts[:4]))
        raise DataError(
            f"Expected video id, start and end (or video[3]) as 'id' in {where}, but got [{got}]; "
            "remove the key 'id' to import without context"
        )
    utterance.start_s = start_s
    utterance.end_s = usable_end(start_s, end_s, notes)
    return video_id
