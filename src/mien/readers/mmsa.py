"""Reader `mmsa`: pickles of MMSA and M-SENA (thuiar/MMSA).

They hold BERT, acoustic and visual vectors and sentiment scores.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import LabelKind, LabelSpace
from mien.readers.base import ReaderOptions, Row, SourceDataSet, group
from mien.readers.input_files import only_file
from mien.readers.padding import count_guessed_padding, is_foreign, nonzero_rows, unpadded_rows, with_padding_side
from mien.readers.pickles import read_pickle
from mien.readers.rules import MASK_FOREIGN, add_note, attach_rows
from mien.readers.split_arrays import INDEX_DIGITS, KEYS, SplitArrays, open_splits, shown, source_from_splits
from mien.readers.split_labels import RowLabels, read_labels
from mien.schema import SENTIMENT, BoolArray, FloatArray, Modality, Utterance

ID_SEPARATOR = "$_$"
LENGTHS = {Modality.ACOUSTIC: "audio_lengths", Modality.VISUAL: "vision_lengths"}
SCORES = "regression_labels"
# CH-SIMS also has the sentiment of text, voice and face alone, and CMU-MOSI and CMU-MOSEI do not
SIMS_KEYS = ("regression_labels_T", "regression_labels_A", "regression_labels_V")
SIMS_RANGE = (-1.0, 1.0)
SIMS_SPACE = LabelSpace(
    SENTIMENT, LabelKind.SCORE, (), *SIMS_RANGE, neutral=0.0, origin="CH-SIMS in the layout of MMSA"
)
# index on the second axis of `text_bert` (utterance, 3, row): the mask, which is 1 where there is a token
MASK_ROW = 1
# keys that are read, and those that docs/formats.md lists as left out
KNOWN_KEYS = {
    *("id", "raw_text", "text_bert", "annotations", "classification_labels", SCORES),
    *(*KEYS.values(), *LENGTHS.values(), *SIMS_KEYS),
    *(key.replace("regression", "classification") for key in SIMS_KEYS),
}
DOWNLOAD = "download the file again"


def open_mmsa(paths: Sequence[Path], options: ReaderOptions) -> SourceDataSet:
    """Open one pickle in the format of aligned_50.pkl or unaligned_50.pkl.

    Ids have the form ``video$_$clip``. The clip number becomes the index of the utterance. Utterances are sorted by
    index, because the format has no times. The keys audio_lengths and vision_lengths and the mask in text_bert tell
    which rows are padding, and `with_padding_side` on which side. In an aligned file, the mask applies to all three
    streams. A mask that does not belong to the text is not used. Word vectors are kept only from aligned files.

    Sentiment is a score in [-3, 3]. The file is CH-SIMS, and sentiment is a score in [-1, 1], if every split has the
    keys regression_labels_T, _A and _V and no score is outside [-1, 1]. The labels under these three keys are not read.

    Args:
        paths: One pickle.
        options: `words` tells whether to keep word vectors. `labels` are label spaces of the user's own, read from keys
            of the splits. This reader takes no `mapping`.

    Returns:
        The data set, with sentiment but no emotions; with `labels`, these, and sentiment unless they replace it.

    Raises:
        UnsafePickleError: The pickle contains something other than arrays and plain containers.
        DataError: The pickle is damaged, an array is missing, or its shape, type or values are wrong.
    """
    path = only_file(paths, (".pkl", ".pickle"), "mmsa")
    notes: Counter[str] = Counter()
    own_keys = {column for option in options.labels for column in option.columns}
    splits = open_splits(path, read_pickle(path, "mmsa"), KNOWN_KEYS | own_keys, notes)
    masks = _row_masks(splits, notes)
    keep_words = options.words and all(_is_word_aligned(split) for split in splits)
    scores = None if SCORES in own_keys else {split.name: _scores(split)[:, None] for split in splits}
    space = SIMS_SPACE if scores is not None and all(map(_is_sims, splits)) else None
    labels = read_labels(splits, scores, options.labels, space)
    rows = (row for split in splits for row in _mmsa_rows(split, labels.rows[split.name]))
    groups = group(rows, notes, splits[0].path, numbered=True, unit=options.unit)

    # with words, the same rows are removed from all streams, so that row i stays the same word in all of them
    unpadded = {
        split.name: unpadded_rows(
            split.features, [each for each in split.features if each not in masks[split.name]], jointly=keep_words
        )
        for split in splits
    }

    def attach(row: Row) -> None:
        split, index = row.place
        for modality, stream in split.features.items():
            kept = (unpadded if modality in unpadded[split.name] else masks)[split.name][modality][index]
            attach_rows(row.utterance, modality, stream[index][kept], keep_words, notes)
        count_guessed_padding(unpadded[split.name], split.features, index, notes, jointly=keep_words)

    mapping = {"video_id": "id", "index": "id", "transcript": "raw_text", **labels.mapping(SCORES)}
    source = source_from_splits("mmsa", splits, keep_words, groups, attach, notes, mapping)
    return dataclasses.replace(source, label_spaces=labels.spaces)


def _is_sims(split: SplitArrays) -> bool:
    """Return whether a split has the keys and the range of scores of CH-SIMS."""
    scores = _scores(split)
    low, high = SIMS_RANGE
    return all(key in split.values for key in SIMS_KEYS) and not ((scores < low) | (scores > high)).any()


def _scores(split: SplitArrays) -> FloatArray:
    """Return the sentiment scores (utterance,). Raise DataError if they are missing or not numbers."""
    scores = split.array(SCORES)
    if scores.ndim != 1 or scores.dtype.kind not in "fiu":
        raise split.refuse(SCORES, "one score per utterance", f"{scores.dtype} of {scores.shape}")
    return scores


def _is_word_aligned(split: SplitArrays) -> bool:
    """Return whether row i of an utterance is the same word in all modalities.

    It is not if the modalities have different numbers of rows, or if the file stores lengths for acoustic or visual.
    """
    return split.is_aligned and not any(key in split.values for key in LENGTHS.values())


def _row_masks(splits: Sequence[SplitArrays], notes: Counter[str]) -> dict[str, dict[Modality, BoolArray]]:
    """Return name of a split -> modality -> mask (utterance, row), which is False for padding.

    A modality is left out if the file stores neither its lengths nor a token mask that belongs to it.
    """
    masks: dict[str, dict[Modality, BoolArray]] = {split.name: {} for split in splits}
    # the rows of an aligned file are the same words in all streams, so that one mask holds for all of them
    aligned = all(map(_is_word_aligned, splits))
    holders = [
        split for split in splits if "text_bert" in split.values and (aligned or Modality.TEXT in split.features)
    ]
    if holders:
        tokens = list(map(_token_mask, holders))
        texts = [split.features.get(Modality.TEXT, next(iter(split.features.values()))) for split in holders]
        if is_foreign(tokens, [nonzero_rows([each]) for each in texts]):
            add_note(notes, MASK_FOREIGN, sum(split.n_rows for split in holders))
        else:
            nonzero = [
                nonzero_rows(list(split.features.values()) if aligned else [text])
                for split, text in zip(holders, texts, strict=True)
            ]
            tokens = with_padding_side(tokens, nonzero, f"the mask in 'text_bert' of {holders[0].path}", notes)
            for split, mask in zip(holders, tokens, strict=True):
                masks[split.name] = dict.fromkeys(split.features if aligned else (Modality.TEXT,), mask)
    for modality, key in LENGTHS.items():
        holders = [split for split in splits if key in split.values and modality in split.features]
        if holders:
            rows = [split.features[modality] for split in holders]
            lengths = [_length_mask(split, key, each.shape[1]) for split, each in zip(holders, rows, strict=True)]
            nonzero = [nonzero_rows([each]) for each in rows]
            sides = with_padding_side(lengths, nonzero, f"{key!r} of {holders[0].path}", notes)
            for split, mask in zip(holders, sides, strict=True):
                masks[split.name][modality] = mask
    return masks


def _token_mask(split: SplitArrays) -> BoolArray:
    tokens = split.array("text_bert")
    if tokens.ndim != 3 or tokens.shape[1] <= MASK_ROW or tokens.dtype.kind not in "fiu":
        expected = f"token ids, mask and segments of shape ({split.n_rows}, 3, row)"
        raise split.refuse("text_bert", expected, f"{tokens.dtype} of {tokens.shape}", DOWNLOAD)
    mask: BoolArray = tokens[:, MASK_ROW] != 0
    return mask


def _length_mask(split: SplitArrays, key: str, n_slots: int) -> BoolArray:
    lengths = split.array(key)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any() or (lengths > n_slots).any():
        largest = f" up to {lengths.max(initial=0)}" if lengths.dtype.kind in "iu" else ""
        expected, got = f"one whole number from 0 to {n_slots} per utterance", f"{lengths.dtype} of {lengths.shape}"
        raise split.refuse(key, expected, got + largest, DOWNLOAD)
    mask: BoolArray = np.arange(n_slots) < lengths[:, None]
    return mask


def _mmsa_rows(split: SplitArrays, labels: list[RowLabels]) -> Iterator[Row]:
    ids = split.texts("id")
    transcripts = split.texts("raw_text") if "raw_text" in split.values else [""] * split.n_rows
    for row, (full_id, transcript, row_labels) in enumerate(zip(ids, transcripts, labels, strict=True)):
        video_id, separator, clip = full_id.rpartition(ID_SEPARATOR)
        if not separator or not video_id or not clip.isdecimal() or len(clip) > INDEX_DIGITS:
            raise DataError(
                f"Expected an id like video{ID_SEPARATOR}3 in {split.where(row)}, but got {shown(full_id)}; "
                "the number after the separator is the order of the context"
            )
        utterance = Utterance(int(clip), transcript=transcript, labels=row_labels.values)
        yield Row(video_id, split.name, utterance, split.where(row), (split, row), applied=row_labels.applied)
