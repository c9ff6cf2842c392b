"""Reads a .csd data set as videos: labelled segments, their words, and all streams aligned to the words.

The splits are the official folds of CMU-MOSEI and CMU-MOSI, looked up by the video id, unless the user gives a list of
folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import paper_labels
from mien.limits import read_limited
from mien.readers import rules
from mien.readers.base import Described, ReaderOptions, SourceDataSet, collect_notes, read_in_order
from mien.readers.csd.alignment import EPSILON_S, interval_means, overlapping, start_order
from mien.readers.csd.folds import FOLD_LIST_SUFFIX, listed_folds, official_folds
from mien.readers.csd.sequences import (
    Roles,
    SequenceReader,
    SequenceRows,
    inspect,
    label_columns,
    match_sequences,
    normalised,
    open_sequence,
)
from mien.readers.fields import WORDS
from mien.readers.input_files import as_text, input_files
from mien.readers.rules import add_note, emotion_labels, finite_cells, sentiment_label, whole_words, without_absurd
from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video, in_start_order

SILENCE = "sp"
NUMBERS, TEXTS = "fiu", "SUO"
# one row per 10 ms; names from A2Zadeh/CMU-MultimodalSDK#208
COVAREP_COLUMNS = (
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"MCEP_{number}" for number in range(25)),
    *(f"HMPDM_{number}" for number in range(25)),
    *(f"HMPDD_{number}" for number in range(13)),
)


@dataclass(frozen=True, slots=True)
class _AlignedWords:
    """The n words of one video, ordered by start time, with the feature vectors of each modality for these words."""

    intervals: FloatArray  # (n, 2) seconds
    vectors: Mapping[Modality, FloatArray]  # (n, feature) float32, zero rows where not present
    present: Mapping[Modality, BoolArray]  # (n,)


def open_csd(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open the .csd files of one data set.

    The name of a file's root group determines its role: labels, words, text, acoustic or visual. The vector of a
    word is the mean of its frames, and the vector of a labelled segment is the mean over its words. The splits are the
    official folds of CMU-MOSEI and CMU-MOSI, or those of a list in a .csv file (see `listed_folds`). Only one video is
    in memory at a time; the frames of a long video are read in blocks.

    Args:
        paths: The files, or a folder that contains them; also a list of folds.
        options: `words` tells whether to keep word vectors. `mapping` is: role -> name of the root group to use.

    Returns:
        The data set; its videos can also be read by id.

    Raises:
        DataError: A file is not a computational sequence or is damaged, or a role has no sequence or two sequences.
    """
    given = input_files(paths, (".csd",), "csd")
    files = [path for path in given if path.suffix.lower() != FOLD_LIST_SUFFIX]
    fold_lists = [path for path in given if path not in files]
    if not files:
        raise DataError(
            f"Expected .csd files beside the list of folds {fold_lists[0]}, but got none; name the files or their "
            "folder, or choose the reader table for a table"
        )
    notes: Counter[str] = Counter()
    sequences = read_limited("computational sequences (.csd)", files, lambda: map(inspect, files))
    roles = match_sequences(list(sequences), options.mapping, notes)
    for sequence in roles.labels:
        label_columns(sequence)
    labelled = dict.fromkeys(video_id for sequence in roles.labels for video_id in sequence.entries)
    in_streams = {video_id for sequence in roles.streams.values() for video_id in sequence.entries}
    add_note(notes, rules.VIDEO_UNLABELLED, len(in_streams - labelled.keys()))
    folds = listed_folds(fold_lists) if fold_lists else official_folds()
    splits = {video_id: folds.get(video_id) for video_id in labelled}
    add_note(
        notes,
        rules.FOLD_UNLISTED if fold_lists else rules.FOLD_UNKNOWN,
        sum(split is None for split in splits.values()),
    )
    reader = CsdReader(roles, options.words)
    return SourceDataSet(
        splits=splits,
        spaces=_csd_feature_spaces(roles, options.words),
        videos=collect_notes(read_in_order(reader, list(splits), files), splits, notes),
        reader=reader,
        notes=notes,
        mapping=roles.mapping,
        files=tuple(given),
        licence_note="the terms of the data set these files come from apply (CMU-MOSEI: research use)",
    )


def _csd_feature_spaces(roles: Roles, keep_words: bool) -> dict[Modality, FeatureSpace]:
    spaces = {}
    for modality in Modality:
        if modality not in roles.streams:
            continue
        sequence = roles.streams[modality]
        root = sequence.root.replace(" ", "_")
        columns = COVAREP_COLUMNS if normalised(root) == "covarep" else ()
        recipe = {
            "source": "csd",
            "root_name": root,
            "word": f"mean of the rows overlapping the word by more than {EPSILON_S:g} s, non-finite values left out",
            "pooling": "mean of the words overlapping the segment",
            "words": "rows of the text vectors, else of the words",
        }
        spaces[modality] = FeatureSpace(
            modality,
            f"csd-{root}",
            sequence.n_features,
            columns=columns if len(columns) == sequence.n_features else (),
            level=Level.WORD if keep_words else Level.UTTERANCE,
            recipe=recipe,
        )
    return spaces


@dataclass(frozen=True, slots=True)
class CsdReader:
    """Reads the videos of a data set one by one (see `VideoReader`)."""

    # the files to read
    roles: Roles
    # whether to keep word vectors
    keep_words: bool

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], Described]]:
        """Open the files of the data set, as a context manager that closes them at the end.

        It yields a function. The function takes a video id. It returns the video, and a counter of how often each rule
        for invalid data was applied to it.
        """
        with ExitStack() as stack:
            labels = [stack.enter_context(open_sequence(sequence)) for sequence in self.roles.labels]
            streams = {
                role: stack.enter_context(open_sequence(sequence)) for role, sequence in self.roles.streams.items()
            }
            yield lambda video_id: _read_video(labels, streams, video_id, self.keep_words)


def _read_video(
    labels: Sequence[SequenceReader], streams: Mapping[str, SequenceReader], video_id: str, keep_words: bool
) -> Described:
    notes: Counter[str] = Counter()
    utterances = read_utterances(labels, video_id, notes)
    spoken = _read_stream(streams, WORDS, video_id, TEXTS, notes)
    words = _align_words(streams, spoken, video_id, notes)
    _attach_transcripts(utterances, spoken)
    if words is not None:
        _attach_words(utterances, words, keep_words, notes)
    return Video(video_id, utterances), notes


def _read_stream(
    streams: Mapping[str, SequenceReader], role: str, video_id: str, kinds: str, notes: Counter[str]
) -> SequenceRows | None:
    """Read the rows of a video from the file of one role: the words, or the features of one modality.

    Return None if the data set has no file for this role, or if the file lacks the video. Only the second case is
    counted in `notes`.
    """
    return streams[role].read(video_id, kinds) if _has_video(streams, role, video_id, notes) else None


def _has_video(streams: Mapping[str, SequenceReader], role: str, video_id: str, notes: Counter[str]) -> bool:
    if role not in streams:
        return False
    if video_id in streams[role]:
        return True
    notes[rules.WORDS_MISSING if role == WORDS else rules.STREAM_MISSING[Modality(role)]] += 1
    return False


def _align_words(
    streams: Mapping[str, SequenceReader], spoken: SequenceRows | None, video_id: str, notes: Counter[str]
) -> _AlignedWords | None:
    """Align the features of every modality to the words of a video.

    Each text vector of the video stands for one word. If the video has no text vectors, `spoken` gives the words. If
    `spoken` is None, too, the result is None.
    """
    text = _read_stream(streams, Modality.TEXT, video_id, NUMBERS, notes)
    reference = text if text is not None else spoken
    if reference is None:
        notes[rules.VIDEO_WORDLESS] += 1
        return None
    order = start_order(reference.intervals)
    add_note(notes, rules.WORD_EMPTY, len(reference.intervals) - len(order))
    intervals = reference.intervals[order]
    vectors: dict[Modality, FloatArray] = {}
    present: dict[Modality, BoolArray] = {}
    if text is not None:
        # text vectors need no alignment, because they are the reference
        rows = text.features[order]
        usual = without_absurd(rows, notes, rules.ABSURD_ALWAYS)
        add_note(notes, rules.VALUE_NOT_FINITE, int((~finite_cells(rows)).sum()))
        vectors[Modality.TEXT], present[Modality.TEXT] = whole_words(usual, notes)
    for modality in (Modality.ACOUSTIC, Modality.VISUAL):
        if not _has_video(streams, modality, video_id, notes):
            continue
        stream = streams[modality]
        blocks = (
            (times_s, without_absurd(frames, notes, rules.ABSURD_ALWAYS))
            for times_s, frames in stream.blocks(video_id, NUMBERS)
        )
        aligned = interval_means(intervals, stream.sequence.n_features, blocks)
        add_note(notes, rules.VALUE_NOT_FINITE, aligned.n_not_finite)
        add_note(notes, rules.WORD_NOT_FINITE, int((aligned.touched & ~aligned.present).sum()))
        add_note(notes, rules.WORD_UNTOUCHED, int((~aligned.touched).sum()))
        vectors[modality], present[modality] = aligned.means, aligned.present
    return _AlignedWords(intervals, vectors, present)


def _attach_transcripts(utterances: list[Utterance], spoken: SequenceRows | None) -> None:
    if spoken is None:
        return
    order = start_order(spoken.intervals)
    intervals = spoken.intervals[order]
    texts = [text.strip() for text in as_text(spoken.features[order, 0])]
    for utterance in utterances:
        segment_texts = [texts[word] for word in np.flatnonzero(_overlap_mask(intervals, utterance))]
        utterance.transcript = " ".join(text for text in segment_texts if text and text != SILENCE)


def _attach_words(utterances: list[Utterance], words: _AlignedWords, keep_words: bool, notes: Counter[str]) -> None:
    used = np.zeros(len(words.intervals), dtype=bool)
    for utterance in utterances:
        mask = _overlap_mask(words.intervals, utterance)
        used |= mask
        for modality, vectors in words.vectors.items():
            present = words.present[modality][mask]
            if not present.any():
                continue
            segment_vectors = vectors[mask]
            utterance.features[modality] = segment_vectors[present].mean(axis=0, dtype=np.float64).astype(np.float32)
            if keep_words:
                utterance.words[modality] = segment_vectors
                utterance.word_present[modality] = present
    add_note(notes, rules.WORD_OUTSIDE, int((~used).sum()))


def _overlap_mask(intervals: FloatArray, utterance: Utterance) -> BoolArray:
    if utterance.start_s is None or utterance.end_s is None:
        return np.zeros(len(intervals), dtype=bool)
    return overlapping(intervals, utterance.start_s, utterance.end_s)


@dataclass(frozen=True, slots=True)
class _LabelRow:
    number: int
    start_s: float
    end_s: float
    # column name -> value as stored
    values: dict[str, float]


def read_utterances(readers: Sequence[SequenceReader], video_id: str, notes: Counter[str]) -> list[Utterance]:
    """Read the labelled segments of a video as utterances.

    Args:
        readers: Open label sequences, of which at least one contains the video. The rows of the first sequence are the
            segments. Older files store sentiment and emotions in two sequences; the rows of the second sequence are
            joined to the segments with the same times.
        video_id: Id of the video, complete and without a segment number.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        Utterances ordered by start time, with labels but without text and features. The index of an utterance is its
        row number in the file.

    Raises:
        DataError: The file is damaged.
    """
    readers_with_video = [reader for reader in readers if video_id in reader]
    if not readers_with_video:  # an entry without rows
        return []
    rows = _read_label_rows(readers_with_video[0], video_id)
    for reader in readers_with_video[1:]:
        _merge_label_rows(rows, _read_label_rows(reader, video_id), notes)
    utterances: list[Utterance] = []
    contents: set[tuple[object, ...]] = set()
    for row in rows:
        # the negated comparison also rejects NaN times
        if not (row.end_s - row.start_s >= EPSILON_S and np.isfinite(row.end_s)):
            notes[rules.SEGMENT_EMPTY] += 1
            continue
        content = (row.start_s, row.end_s, *sorted(row.values.items()))
        if content in contents:
            notes[rules.ROW_REPEATED] += 1
            continue
        contents.add(content)
        utterances.append(_labelled_utterance(row, notes))
    return in_start_order(utterances)


def _read_label_rows(reader: SequenceReader, video_id: str) -> list[_LabelRow]:
    columns = label_columns(reader.sequence)
    sequence_rows = reader.read(video_id, "fiu")
    return [
        _LabelRow(int(number), float(start_s), float(end_s), dict(zip(columns, map(float, values), strict=True)))
        for number, (start_s, end_s), values in zip(
            sequence_rows.numbers, sequence_rows.intervals, sequence_rows.features, strict=True
        )
    ]


def _merge_label_rows(rows: list[_LabelRow], unmatched: list[_LabelRow], notes: Counter[str]) -> None:
    """Add the values of the `unmatched` rows to the `rows` with the same times.

    Both lists are changed in place: rows that were used are removed from `unmatched`. `notes` counts the rows that
    remain.
    """
    for row in rows:
        for candidate in unmatched:
            if abs(candidate.start_s - row.start_s) <= EPSILON_S and abs(candidate.end_s - row.end_s) <= EPSILON_S:
                row.values.update(candidate.values)
                unmatched.remove(candidate)
                break
    add_note(notes, rules.LABEL_ROW_UNMATCHED, len(unmatched))


def _labelled_utterance(row: _LabelRow, notes: Counter[str]) -> Utterance:
    utterance = Utterance(row.number, row.start_s, row.end_s)
    if EMOTIONS[0] in row.values:
        emotions = emotion_labels(np.array([row.values[name] for name in EMOTIONS]), notes)
        utterance.labels |= paper_labels(emotions=emotions)
    if "sentiment" in row.values:
        utterance.labels |= paper_labels(sentiment_label(row.values["sentiment"], notes))
    return utterance
