"""Lists of tuples in the pickles of MAG-BERT and MISA, which the reader `mult` reads.

In MAG-BERT (WasifurRahman/BERT_multimodal_transformer), an utterance is ``((words, visual, acoustic), label, segment)``
with the words as texts. In MISA (declare-lab/MISA) it is ``((numbers, visual, acoustic, words), label, segment)``; the
numbers are those of the words in a vocabulary. MAG-BERT stores a dictionary of such lists by split, MISA one list per
file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.rules import (
    ENTRY_MALFORMED,
    KEY_UNREAD,
    MOST_MALFORMED,
    SEGMENT_UNREAD,
    UTTERANCE_ALONE,
    VECTOR_MALFORMED,
    WORDS_AS_NUMBERS,
    add_note,
    attach_rows,
    parts_without_absurd,
    with_names,
)
from mien.readers.split_arrays import POOLING, WRONG_FILE, SplitArrays, split_keys
from mien.readers.split_labels import LABELS, RowLabels, label_matrix, read_labels
from mien.readers.splits import split_role
from mien.schema import SPLITS, FeatureSpace, FloatArray, Level, Modality, Utterance

# "video[3]": video id and segment number; only the last bracket counts, because an id may contain any character
SEGMENT_ID = re.compile(r"(.+)\[(\d{1,18})\]", re.DOTALL)
# "video_3", read only if all segments have this form, because an id may contain "_" itself
UNDERSCORE_ID = re.compile(r"(.+)_(\d{1,18})", re.DOTALL)
# "video$_$3", as in MMSA
DOLLAR_ID = re.compile(r"(.+)\$_\$(\d{1,18})", re.DOTALL)
SEGMENT = "segment"
# modality -> its position in the first part of a tuple
POSITIONS = {Modality.VISUAL: 1, Modality.ACOUSTIC: 2}
WORD_LISTS = (list, tuple, np.ndarray)
EXPECTED = "((words, visual, acoustic), label, segment) or ((numbers, visual, acoustic, words), label, segment)"


def is_segments(content: object) -> bool:
    """Return whether a pickle is a list of tuples, or a dictionary of such lists."""
    lists = [content]
    if isinstance(content, dict):
        lists = [part for key, part in content.items() if isinstance(key, str) and split_role(key)]
    return any(isinstance(each, list) and each and isinstance(each[0], tuple | list) for each in lists)


def open_segments(contents: Mapping[Path, Any], options: ReaderOptions) -> SourceDataSet:
    """Open the lists of tuples of MAG-BERT (one file) or MISA (one file per split).

    The words become the transcript; their numbers are not features. Visual and acoustic vectors belong to words.

    Args:
        contents: File -> its content. A list belongs to the split that the name of its file has, as in train.pkl.
        options: `words` tells whether to keep word vectors. The keys for `labels` are ``labels`` and ``segment``.

    Returns:
        The data set, without text features.

    Raises:
        DataError: A tuple has other parts, or the split of a list is unknown.
    """
    notes: Counter[str] = Counter()
    lists = _lists_by_split(contents, notes)
    lists = {name: (path, _whole_items(items, notes)) for name, (path, items) in lists.items()}
    splits = [_as_split(path, name, items) for name, (path, items) in lists.items()]
    own_keys = {column for option in options.labels for column in option.columns}
    scores = None if LABELS in own_keys else {split.name: label_matrix(split) for split in splits}
    labels = read_labels(splits, scores, options.labels)
    features = {split.name: _features(lists[split.name][1], notes) for split in splits}
    form = _segment_form([text for split in splits for text in split.texts(SEGMENT)])
    rows = (
        row
        for split in splits
        for row in _segment_rows(split, lists[split.name][1], form, labels.rows[split.name], notes)
    )
    groups = group(rows, notes, splits[0].path, numbered=form is not None, unit=options.unit)

    def attach(row: Row) -> None:
        name, index = row.place
        for modality, matrices in features[name].items():
            attach_rows(row.utterance, modality, matrices[index], options.words, notes)

    widths = {modality: each[0].shape[1] for modality, each in features[splits[0].name].items()}
    for split in splits:
        for modality, matrices in features[split.name].items():
            if {each.shape[1] for each in matrices} != {widths[modality]}:
                raise DataError(
                    f"Expected {modality} vectors of {widths[modality]} numbers in every utterance of {split.name!r} "
                    f"in {split.path}, but got other lengths; {WRONG_FILE}"
                )
    return SourceDataSet(
        splits=groups.splits,
        spaces={modality: _space(modality, width, options.words) for modality, width in widths.items()},
        videos=groups.videos(attach),
        notes=notes,
        mapping={"video_id": SEGMENT, "index": SEGMENT, "transcript": "words", **labels.mapping(LABELS)},
        files=tuple(contents),
        label_spaces=labels.spaces,
    )


def _space(modality: Modality, width: int, keep_words: bool) -> FeatureSpace:
    level = Level.WORD if keep_words else Level.UTTERANCE
    recipe = {"source": "mult", "key": f"position {POSITIONS[modality]}", "rows": "words", "pooling": POOLING}
    return FeatureSpace(modality, f"mult-tuples-{modality}", width, level=level, recipe=recipe)


def _lists_by_split(contents: Mapping[Path, Any], notes: Counter[str]) -> dict[str, tuple[Path, list[Any]]]:
    """Return the key of each split, its file and its list, in the order train, valid, test."""
    found: dict[str, tuple[Path, list[Any]]] = {}
    for path, content in contents.items():
        if isinstance(content, dict):
            parts = [key for key, part in content.items() if isinstance(part, list) and part]
            keys = split_keys(path, parts, [key for key in parts if is_segments([*content[key][:1]])])
            unread = [key for key in content if key not in keys]
            if unread:
                notes[with_names(KEY_UNREAD, unread)] += len(unread)
            named = {key: content[key] for key in keys}
        else:
            if not isinstance(content, list) or not content:
                got = "an empty list" if isinstance(content, list) else type(content).__name__
                raise DataError(f"Expected a list of tuples in {path}, but got {got}; leave the file out")
            name = next(filter(split_role, re.split(r"[^A-Za-z]+", path.stem)), None)
            if name is None:
                raise DataError(
                    f"Expected a name with train, dev or test for {path}, which holds the list of one split, but got "
                    f"{path.name}; rename the file after its split"
                )
            named = {name: content}
        for key, items in named.items():
            if split_role(key) is not None and split_role(key) in map(split_role, found):
                raise DataError(f"Expected one list of each split, but got two for {key}; leave one of the files out")
            found[key] = (path, items)
    return dict(sorted(found.items(), key=lambda each: SPLITS.index(split_role(each[0]) or SPLITS[0])))


def _whole_items(items: list[Any], notes: Counter[str]) -> list[Any]:
    """Leave out malformed items, if there are only a few, and vectors that do not belong to the words.

    Args:
        items: Tuples of a split.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The items that have all parts, with NaN in place of malformed vectors. The same list if nothing is
        malformed, or if more than `MOST_MALFORMED` of the items are.
    """
    whole = [item for item in items if _has_parts(item) and isinstance(_words(item[0]), WORD_LISTS)]
    widths = {
        position: Counter(item[0][position].shape[1] for item in whole if _has_vectors(item[0], position))
        for position in POSITIONS.values()
    }
    usual = {position: each.most_common(1)[0][0] for position, each in widths.items() if each}
    malformed = {
        (number, position)
        for number, item in enumerate(whole)
        for position, width in usual.items()
        if not _has_vectors(item[0], position) or item[0][position].shape[1] != width
    }
    n_malformed = len(items) - len(whole) + len({number for number, _ in malformed})
    if not n_malformed or n_malformed > max(1, MOST_MALFORMED * len(items)) or len(usual) < len(POSITIONS):
        return items
    add_note(notes, ENTRY_MALFORMED, len(items) - len(whole))
    add_note(notes, VECTOR_MALFORMED, len(malformed))
    for number, position in malformed:
        parts = list(whole[number][0])
        parts[position] = np.full((len(_words(parts)), usual[position]), np.nan, dtype=np.float32)
        whole[number] = (tuple(parts), *whole[number][1:])
    return whole


def _has_parts(item: Any) -> bool:
    parts = item[0] if isinstance(item, tuple | list) and item else None
    return isinstance(parts, tuple | list) and len(parts) in (3, 4) and len(item) in (2, 3, 4)


def _words(parts: Sequence[Any]) -> Any:
    return parts[3] if len(parts) == 4 else parts[0]


def _has_vectors(parts: Sequence[Any], position: int) -> bool:
    """Return whether the first part of a tuple has one vector per word at a position."""
    words, matrix = _words(parts), parts[position]
    is_matrix = isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.dtype.kind in "fiu" and matrix.shape[1]
    return bool(is_matrix and isinstance(words, WORD_LISTS) and len(matrix) == len(words))


def _as_split(path: Path, name: str, items: Sequence[Any]) -> SplitArrays:
    """Check the tuples of a split, and return their labels and segments. Raise DataError if a tuple has other parts."""
    labels, segments = [], []
    for number, item in enumerate(items):
        if not _has_parts(item):
            raise DataError(
                f"Expected {EXPECTED} as item {number} of {name!r} in {path}, but got other parts; {WRONG_FILE}"
            )
        for position in POSITIONS.values():
            if not _has_vectors(item[0], position):
                raise DataError(
                    f"Expected one visual and one acoustic vector per word in item {number} of {name!r} in {path}, but "
                    f"got others at position {position}; {WRONG_FILE}"
                )
        labels.append(np.asarray(item[1]).reshape(-1))
        segments.append(item[2] if len(item) > 2 else None)
    values = {LABELS: labels, SEGMENT: segments}
    return SplitArrays(path, name, values, len(items), {})


def _features(items: Sequence[Any], notes: Counter[str]) -> dict[Modality, list[FloatArray]]:
    """Return for each modality the vectors (word, feature) of each utterance."""
    features: dict[Modality, list[FloatArray]] = {}
    for modality, position in POSITIONS.items():
        features[modality] = parts_without_absurd([item[0][position] for item in items], notes)
    return features


def _segment_form(segments: Sequence[str]) -> re.Pattern[str] | None:
    """Return the form that the ids of all segments have, apart from missing ones; None if they have no common form."""
    known = [segment for segment in segments if segment]
    forms = (SEGMENT_ID, DOLLAR_ID, UNDERSCORE_ID)
    return next((form for form in forms if known and all(map(form.fullmatch, known))), None)


def _segment_rows(
    split: SplitArrays,
    items: Sequence[Any],
    form: re.Pattern[str] | None,
    labels: list[RowLabels],
    notes: Counter[str],
) -> Iterator[Row]:
    transcripts = [_spoken_words(item[0], notes) for item in items]
    for row, (segment, transcript) in enumerate(zip(split.texts(SEGMENT), transcripts, strict=True)):
        match = form.fullmatch(segment) if form else None
        utterance = Utterance(int(match[2]) if match else 0, transcript=transcript, labels=labels[row].values)
        video_id = match[1] if match else segment or f"{split.role}-{row:05d}"
        if match is None:
            labels[row].applied[SEGMENT_UNREAD if segment else UTTERANCE_ALONE] += 1
        place = (split.name, row)
        yield Row(video_id, split.name, utterance, split.where(row), place, applied=labels[row].applied)


def _spoken_words(parts: Sequence[Any], notes: Counter[str]) -> str:
    words = [
        each.decode("utf-8", "replace") if isinstance(each, bytes) else each
        for each in list(parts[-1 if len(parts) == 4 else 0])
    ]
    if not all(isinstance(each, str) for each in words):
        notes[WORDS_AS_NUMBERS] += 1
        return ""
    return " ".join(word for each in words if (word := each.strip()) and word != "sp")
