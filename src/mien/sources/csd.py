"""Computational sequences of CMU-MultimodalSDK (.csd): CMU-MOSEI and its relatives, aligned word by word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.schema import BoolArray, FeatureSpace, FloatArray, Level, Modality, Utterance, Video
from mien.sources import rules
from mien.sources.alignment import EPSILON_S, interval_means, overlapping, start_order
from mien.sources.csd_files import Rows, SequenceReader, inspect, opened
from mien.sources.csd_labels import read_utterances
from mien.sources.csd_roles import WORDS, Roles, assign_roles, label_columns, normalised
from mien.sources.folds import mosei_folds
from mien.sources.intake import Intake, SourceOptions, read_in_order
from mien.sources.paths import input_files
from mien.sources.pooling import finite_cells

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


def open_csd(paths: Sequence[Path], options: SourceOptions) -> Intake:
    """Open the .csd files of one data set, given as a folder or one by one.

    The name of a file's root group says its role: labels, words, text, acoustic or visual; `options.mapping` overrides
    (role -> root name). Frames are averaged over words, words over the labelled segments. Splits are the official
    folds of CMU-MOSEI. One video is in memory at a time, a long one's frames in pieces.

    Raises DataError when a file is no computational sequence, is damaged, or a role has no sequence or two.
    """
    files = input_files(paths, (".csd",), "csd")
    notes: Counter[str] = Counter()
    roles = assign_roles([inspect(path) for path in files], options.mapping, notes)
    for sequence in roles.labels:
        label_columns(sequence)
    labelled = dict.fromkeys(video_id for sequence in roles.labels for video_id in sequence.entries)
    everywhere = {video_id for sequence in roles.streams.values() for video_id in sequence.entries}
    rules.count(notes, rules.VIDEO_UNLABELLED, len(everywhere - labelled.keys()))
    folds = mosei_folds()
    splits = {video_id: folds.get(video_id) for video_id in labelled}
    rules.count(notes, rules.FOLD_UNKNOWN, sum(split is None for split in splits.values()))
    reader = CsdReader(roles, options.words)
    return Intake(
        name="csd",
        splits=splits,
        spaces=_spaces(roles, options.words),
        videos=read_in_order(reader, splits, notes),
        reader=reader,
        notes=notes,
        mapping=roles.mapping,
        files=tuple(files),
        licence_note="the terms of the data set these files come from apply (CMU-MOSEI: research use)",
    )


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
    def opened(self) -> Iterator[Callable[[str], tuple[Video, Counter[str]]]]:
        """Give a function: video id -> the video and the rules applied to it."""
        with ExitStack() as stack:
            labels = [stack.enter_context(opened(sequence)) for sequence in self.roles.labels]
            streams = {role: stack.enter_context(opened(sequence)) for role, sequence in self.roles.streams.items()}
            yield lambda video_id: _video(labels, streams, video_id, self.keep_words)


def _video(
    labels: Sequence[SequenceReader], streams: Mapping[str, SequenceReader], video_id: str, keep_words: bool
) -> tuple[Video, Counter[str]]:
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
) -> Rows | None:
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
    streams: Mapping[str, SequenceReader], spoken: Rows | None, video_id: str, notes: Counter[str]
) -> _WordLevel | None:
    """Every stream aligned to the rows of the text vectors, or of the words where there are none."""
    text = _read(streams, Modality.TEXT, video_id, NUMBERS, notes)
    reference = text if text is not None else spoken
    if reference is None:
        notes[rules.VIDEO_WORDLESS] += 1
        return None
    order = start_order(reference.intervals)
    rules.count(notes, rules.WORD_EMPTY, len(reference.intervals) - len(order))
    intervals = reference.intervals[order]
    vectors: dict[Modality, FloatArray] = {}
    present: dict[Modality, BoolArray] = {}
    if text is not None:
        # the reference keeps its own rows
        finite = finite_cells(text.features[order])
        whole: BoolArray = np.asarray(finite.all(axis=1))
        rules.count(notes, rules.VALUE_NOT_FINITE, int(finite.size - finite.sum()))
        rules.count(notes, rules.WORD_NOT_FINITE, int((~whole).sum()))
        vectors[Modality.TEXT] = np.where(whole[:, None], text.features[order], 0).astype(np.float32)
        present[Modality.TEXT] = whole
    for modality in (Modality.ACOUSTIC, Modality.VISUAL):
        if not _has(streams, modality, video_id, notes):
            continue
        stream = streams[modality]
        found = interval_means(intervals, stream.sequence.n_features, stream.blocks(video_id, NUMBERS))
        rules.count(notes, rules.VALUE_NOT_FINITE, found.n_not_finite)
        rules.count(notes, rules.WORD_NOT_FINITE, int((found.touched & ~found.present).sum()))
        rules.count(notes, rules.WORD_UNTOUCHED, int((~found.touched).sum()))
        vectors[modality], present[modality] = found.means, found.present
    return _WordLevel(intervals, vectors, present)


def _attach_transcripts(utterances: list[Utterance], spoken: Rows | None) -> None:
    if spoken is None:
        return
    order = start_order(spoken.intervals)
    intervals = spoken.intervals[order]
    texts = [_text(value) for value in spoken.features[order, 0].tolist()]
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
    rules.count(notes, rules.WORD_OUTSIDE, int((~used).sum()))


def _inside(intervals: FloatArray, utterance: Utterance) -> BoolArray:
    if utterance.start_s is None or utterance.end_s is None:
        return np.zeros(len(intervals), dtype=bool)
    return overlapping(intervals, utterance.start_s, utterance.end_s)


def _text(value: object) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
