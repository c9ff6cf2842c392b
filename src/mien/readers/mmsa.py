"""Pickles of MMSA and M-SENA (thuiar/MMSA): BERT, acoustic and visual rows with sentiment scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.pickles import KEYS, SplitArrays, open_splits, source_from_splits
from mien.readers.rules import attach_rows, sentiment_label, without_zero_ends
from mien.schema import BoolArray, Modality, Utterance

ID_SEPARATOR = "$_$"
LENGTHS = {Modality.ACOUSTIC: "audio_lengths", Modality.VISUAL: "vision_lengths"}
SCORES = "regression_labels"
# row of `text_bert` (N, 3, row) that is 1 where there is a token
MASK_ROW = 1


def open_mmsa(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one pickle of the kind aligned_50.pkl or unaligned_50.pkl.

    Ids are ``video$_$clip``; the clip is the utterance's index, and the order where there are no times. Lengths come
    from audio_lengths, vision_lengths and the mask in text_bert, which in aligned files holds for all three streams.
    Words are kept where the streams are aligned. There are no emotion labels.

    Raises UnsafePickleError when the pickle names a call; DataError when it is cut or arrays are missing.
    """
    splits = open_splits(paths, "mmsa")
    masks = {split.name: _masks(split) for split in splits}
    keep_words = options.words and all(_row_is_word(split) for split in splits)
    notes: Counter[str] = Counter()
    rows = (row for split in splits for row in _rows(split, notes))
    groups = group(rows, notes, splits[0].path, numbered=True)

    def attach(row: Row) -> None:
        split, place = row.place
        guessed: slice | None = None
        for modality, stream in split.features.items():
            rows = stream[place]
            if modality in masks[split.name]:
                rows = rows[masks[split.name][modality][place]]
            elif keep_words:
                # padding is judged over all streams at once, so that rows stay words
                streams = [each[place] for each in split.features.values()]
                guessed = without_zero_ends(streams, notes) if guessed is None else guessed
                rows = rows[guessed]
            else:
                rows = rows[without_zero_ends([rows], notes)]
            attach_rows(row.utterance, modality, rows, keep_words, notes)

    mapping = {"video_id": "id", "index": "id", "transcript": "raw_text", "sentiment": SCORES}
    return source_from_splits("mmsa", splits, keep_words, groups, attach, notes, mapping)


def _row_is_word(split: SplitArrays) -> bool:
    """Whether row i is the same word in all streams; a file that counts the streams' rows apart denies it."""
    return split.is_aligned and not any(key in split.values for key in LENGTHS.values())


def _masks(split: SplitArrays) -> dict[Modality, BoolArray]:
    """Which rows of a split are real: per modality (N, row), or nothing where the file does not say."""
    masks: dict[Modality, BoolArray] = {}
    if "text_bert" in split.values:
        mask = _token_mask(split)
        holds_for = tuple(split.features) if _row_is_word(split) else (Modality.TEXT,)
        for modality in holds_for:
            if modality in split.features:
                masks[modality] = mask
    for modality, key in LENGTHS.items():
        if key in split.values and modality in split.features:
            masks[modality] = _length_mask(split, key, split.features[modality].shape[1])
    for modality, mask in masks.items():
        if mask.shape != split.features[modality].shape[:2]:
            raise DataError(
                f"Expected the mask in 'text_bert' of {split.name!r} in {split.path} to fit the rows of "
                f"{KEYS[modality]!r} {split.features[modality].shape}, but got {mask.shape}; the file was altered: "
                "download it again"
            )
    return masks


def _token_mask(split: SplitArrays) -> BoolArray:
    tokens = split.array("text_bert")
    if tokens.ndim != 3 or tokens.shape[1] <= MASK_ROW or tokens.dtype.kind not in "fiu":
        raise DataError(
            f"Expected token ids, mask and segments of shape ({split.n_rows}, 3, row) in 'text_bert' of "
            f"{split.name!r} in {split.path}, but got {tokens.dtype} of {tokens.shape}; download the file again"
        )
    mask: BoolArray = tokens[:, MASK_ROW] != 0
    return mask


def _length_mask(split: SplitArrays, key: str, n_slots: int) -> BoolArray:
    lengths = split.array(key)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any() or (lengths > n_slots).any():
        raise DataError(
            f"Expected one whole number from 0 to {n_slots} per utterance in {key!r} of {split.name!r} in "
            f"{split.path}, but got {lengths.dtype} of {lengths.shape} up to {lengths.max(initial=0)}; "
            "download the file again"
        )
    mask: BoolArray = np.arange(n_slots) < lengths[:, None]
    return mask


def _rows(split: SplitArrays, notes: Counter[str]) -> Iterator[Row]:
    ids = split.texts("id")
    transcripts = split.texts("raw_text") if "raw_text" in split.values else [""] * split.n_rows
    scores = split.array(SCORES)
    if scores.ndim != 1 or scores.dtype.kind not in "fiu":
        raise DataError(
            f"Expected one score per utterance in {SCORES!r} of {split.name!r} in {split.path}, but got "
            f"{scores.dtype} of {scores.shape}; check that this is the file the reader expects"
        )
    for row, (each, transcript, score) in enumerate(zip(ids, transcripts, scores, strict=True)):
        video_id, separator, clip = each.rpartition(ID_SEPARATOR)
        if not separator or not video_id or not clip.isdecimal():
            raise DataError(
                f"Expected an id like video{ID_SEPARATOR}3 in {split.where(row)}, but got {each!r}; "
                "the number after the separator is the order of the context"
            )
        utterance = Utterance(int(clip), transcript=transcript, sentiment=sentiment_label(float(score), notes))
        yield Row(video_id, split.name, utterance, split.where(row), (split, row))
