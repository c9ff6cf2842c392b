"""A .csd data set as videos: labelled segments, the words inside them, and every stream aligned to the words.

The splits are the official folds of CMU-MOSEI, by whole video id.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from mien.readers import rules
from mien.readers.base import Described, ReaderOptions, SourceDataSet, collect_notes, read_in_order
from mien.readers.csd.alignment import EPSILON_S, interval_means, overlapping, start_order
from mien.readers.csd.sequences import (
    WORDS,
    Roles,
    SequenceReader,
    SequenceRows,
    inspect,
    label_columns,
    match_sequences,
    normalised,
    open_sequence,
)
from mien.readers.input_files import as_text, input_files
from mien.readers.rules import add_note, emotion_labels, finite_cells, sentiment_label, whole_words
from mien.schema import EMOTIONS, BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video, in_start_order

SILENCE = "sp"
NUMBERS, TEXTS = "fiu", "SUO"
# one row per 10 ms; names by A2Zadeh/CMU-MultimodalSDK#208
COVAREP_COLUMNS = (
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"MCEP_{number}" for number in range(25)),
    *(f"HMPDM_{number}" for number in range(25)),
    *(f"HMPDD_{number}" for number in range(13)),
)


@dataclass(frozen=True, slots=True)
class _WordLevel:
    """The words of one video in start order. n words."""

    intervals: FloatArray  # (n, 2) seconds
    vectors: Mapping[Modality, FloatArray]  # (n, feature) float32, zero rows where not present
    present: Mapping[Modality, BoolArray]  # (n,)


def open_csd(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open the .csd files of one data set, given as a folder or one by one.

    The name of a file's root group says its role: labels, words, text, acoustic or visual; `options.mapping` overrides
    (role -> root name). Frames are averaged over words, words over the labelled segments. Splits are the official
    folds of CMU-MOSEI. One video is in memory at a time, a long one's frames in pieces.

    Raises DataError when a file is no computational sequence, is damaged, or a role has no sequence or two.
    """
    files = input_files(paths, (".csd",), "csd")
    notes: Counter[str] = Counter()
    roles = match_sequences([inspect(path) for path in files], options.mapping, notes)
    for sequence in roles.labels:
        label_columns(sequence)
    labelled = dict.fromkeys(video_id for sequence in roles.labels for video_id in sequence.entries)
    everywhere = {video_id for sequence in roles.streams.values() for video_id in sequence.entries}
    add_note(notes, rules.VIDEO_UNLABELLED, len(everywhere - labelled.keys()))
    folds = mosei_folds()
    splits = {video_id: folds.get(video_id) for video_id in labelled}
    add_note(notes, rules.FOLD_UNKNOWN, sum(split is None for split in splits.values()))
    reader = CsdReader(roles, options.words)
    return SourceDataSet(
        splits=splits,
        spaces=_spaces(roles, options.words),
        videos=collect_notes(read_in_order(reader, splits), splits, notes),
        reader=reader,
        notes=notes,
        mapping=roles.mapping,
        files=tuple(files),
        licence_note="the terms of the data set these files come from apply (CMU-MOSEI: research use)",
    )


def mosei_folds() -> dict[str, str]:
    """Video id -> train (2,249 ids), valid (300) or test (678), as A2Zadeh/CMU-MultimodalSDK lists them."""
    with resources.files("mien.readers.csd").joinpath("mosei_folds.csv").open(encoding="utf-8") as handle:
        return {row["video_id"]: row["fold"] for row in csv.DictReader(handle)}


def _spaces(roles: Roles, keep_words: bool) -> dict[Modality, FeatureSpace]:
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

    roles: Roles
    keep_words: bool

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], Described]]:
        """Give a function: video id -> the video and the rules applied to it."""
        with ExitStack() as stack:
            labels = [stack.enter_context(open_sequence(sequence)) for sequence in self.roles.labels]
            streams = {
                role: stack.enter_context(open_sequence(sequence)) for role, sequence in self.roles.streams.items()
            }
            yield lambda video_id: _video(labels, streams, video_id, self.keep_words)


def _video(
    labels: Sequence[SequenceReader], streams: Mapping[str, SequenceReader], video_id: str, keep_words: bool
) -> Described:
    notes: Counter[str] = Counter()
    utterances = read_utterances(labels, video_id, notes)
    spoken = _read(streams, WORDS, video_id, TEXTS, notes)
    words = _word_level(streams, spoken, video_id, notes)
    _attach_transcripts(utterances, spoken)
    if words is not None:
        _attach_words(utterances, words, keep_words, notes)
    return Video(video_id, utterances), notes


def _read(
    streams: Mapping[str, SequenceReader], role: str, video_id: str, kinds: str, notes: Counter[str]
) -> SequenceRows | None:
    """A video's rows of one stream, or None, counted, where the stream lacks the video."""
    return streams[role].read(video_id, kinds) if _has(streams, role, video_id, notes) else None


def _has(streams: Mapping[str, SequenceReader], role: str, video_id: str, notes: Counter[str]) -> bool:
    if role not in streams:
        return False
    if video_id in streams[role]:
        return True
    notes[rules.WORDS_MISSING if role == WORDS else rules.STREAM_MISSING[Modality(role)]] += 1
    return False


def _word_level(
    streams: Mapping[str, SequenceReader], spoken: SequenceRows | None, video_id: str, notes: Counter[str]
) -> _WordLevel | None:
    """Every stream aligned to the rows of the text vectors, or of the words where there are none."""
    text = _read(streams, Modality.TEXT, video_id, NUMBERS, notes)
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
        # the reference keeps its own rows
        rows = text.features[order]
        add_note(notes, rules.VALUE_NOT_FINITE, int((~finite_cells(rows)).sum()))
        vectors[Modality.TEXT], present[Modality.TEXT] = whole_words(rows, notes)
    for modality in (Modality.ACOUSTIC, Modality.VISUAL):
        if not _has(streams, modality, video_id, notes):
            continue
        stream = streams[modality]
        found = interval_means(intervals, stream.sequence.n_features, stream.blocks(video_id, NUMBERS))
        add_note(notes, rules.VALUE_NOT_FINITE, found.n_not_finite)
        add_note(notes, rules.WORD_NOT_FINITE, int((found.touched & ~found.present).sum()))
        add_note(notes, rules.WORD_UNTOUCHED, int((~found.touched).sum()))
        vectors[modality], present[modality] = found.means, found.present
    return _WordLevel(intervals, vectors, present)


def _attach_transcripts(utterances: list[Utterance], spoken: SequenceRows | None) -> None:
    if spoken is None:
        return
    order = start_order(spoken.intervals)
    intervals = spoken.intervals[order]
    texts = [text.strip() for text in as_text(spoken.features[order, 0])]
    for utterance in utterances:
        inside = [texts[place] for place in np.flatnonzero(_inside(intervals, utterance))]
        utterance.transcript = " ".join(text for text in inside if text and text != SILENCE)


def _attach_words(utterances: list[Utterance], words: _WordLevel, keep_words: bool, notes: Counter[str]) -> None:
    used = np.zeros(len(words.intervals), dtype=bool)
    for utterance in utterances:
        inside = _inside(words.intervals, utterance)
        used |= inside
        for modality, vectors in words.vectors.items():
            present = words.present[modality][inside]
            if not present.any():
                continue
            chosen = vectors[inside]
            utterance.features[modality] = chosen[present].mean(axis=0, dtype=np.float64).astype(np.float32)
            if keep_words:
                utterance.words[modality] = chosen
                utterance.word_present[modality] = present
    add_note(notes, rules.WORD_OUTSIDE, int((~used).sum()))


def _inside(intervals: FloatArray, utterance: Utterance) -> BoolArray:
    if utterance.start_s is None or utterance.end_s is None:
        return np.zeros(len(intervals), dtype=bool)
    return overlapping(intervals, utterance.start_s, utterance.end_s)


@dataclass(frozen=True, slots=True)
class _LabelRow:
    number: int
    start_s: float
    end_s: float
    # column name -> value as the file has it
    values: dict[str, float]


def read_utterances(readers: Sequence[SequenceReader], video_id: str, notes: Counter[str]) -> list[Utterance]:
    """The segments of a video in start order, labels looked up by name, the row number as index.

    The first reader's rows are the segments; a second one's (the older pair of files) are joined by their times.
    Raises DataError when the file is damaged.
    """
    holders = [reader for reader in readers if video_id in reader]
    rows = _rows(holders[0], video_id)
    for reader in holders[1:]:
        _join(rows, _rows(reader, video_id), notes)
    utterances: list[Utterance] = []
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        # written so that a time that is NaN is no length either
        if not (row.end_s - row.start_s >= EPSILON_S and np.isfinite(row.end_s)):
            notes[rules.SEGMENT_EMPTY] += 1
            continue
        content = (row.start_s, row.end_s, *sorted(row.values.items()))
        if content in seen:
            notes[rules.ROW_REPEATED] += 1
            continue
        seen.add(content)
        utterances.append(_utterance(row, notes))
    return in_start_order(utterances)


def _rows(reader: SequenceReader, video_id: str) -> list[_LabelRow]:
    columns = label_columns(reader.sequence)
    read = reader.read(video_id, "fiu")
    return [
        _LabelRow(int(number), float(start_s), float(end_s), dict(zip(columns, map(float, values), strict=True)))
        for number, (start_s, end_s), values in zip(read.numbers, read.intervals, read.features, strict=True)
    ]


def _join(rows: list[_LabelRow], others: list[_LabelRow], notes: Counter[str]) -> None:
    """Give each row the values of the other row of the same times, if there is one."""
    for row in rows:
        for other in others:
            if abs(other.start_s - row.start_s) <= EPSILON_S and abs(other.end_s - row.end_s) <= EPSILON_S:
                row.values.update(other.values)
                others.remove(other)
                break
    add_note(notes, rules.LABEL_ROW_UNMATCHED, len(others))


def _utterance(row: _LabelRow, notes: Counter[str]) -> Utterance:
    utterance = Utterance(row.number, row.start_s, row.end_s)
    if EMOTIONS[0] in row.values:
        utterance.emotions = emotion_labels(np.array([row.values[name] for name in EMOTIONS]), notes)
    if "sentiment" in row.values:
        utterance.sentiment = sentiment_label(row.values["sentiment"], notes)
    return utterance
