"""Padding of utterances to one number of rows, for files that store lengths or a token mask.

Lengths and masks count from the first row. MMSA-FET can also put the padding in front, and stores the same lengths. The
rows that are all zero then tell on which side the padding is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mien.errors import DataError
from mien.readers.rules import LENGTHS_TOO_LONG, PADDING_GUESSED, PADDING_IN_FRONT, add_note
from mien.schema import BoolArray, FloatArray, Modality

# share of the utterances above which a mask is taken to be another one
MOST = 0.5
# Share of the utterances with padding above which all-zero rows at the end of their length are padding, too; and the
# least number of such utterances. A zero row in some of them is data, such as a video frame without a face.
NEARLY_ALL, LEAST_UTTERANCES = 0.9, 5


# utterances are compared with zero in blocks of about this size, because a stream may take gigabytes
BLOCK_BYTES = 16 << 20


def nonzero_rows(streams: Sequence[FloatArray], *, nan_is_zero: bool = False) -> BoolArray:
    """Find the rows that are not all zero in every stream.

    Args:
        streams: Feature vectors (utterance, row, feature) of each stream.
        nan_is_zero: Whether a row that is NaN in all columns of a stream counts as zero in this stream.

    Returns:
        Mask (utterance, row).
    """
    nonzero = np.zeros(streams[0].shape[:2], dtype=bool)
    for stream in streams:
        n_block = max(1, BLOCK_BYTES // max(1, stream[:1].nbytes))
        for start in range(0, len(stream), n_block):
            block = stream[start : start + n_block]
            rows = (block != 0).any(axis=2)
            if nan_is_zero and stream.dtype.kind == "f":
                rows &= ~np.isnan(block).all(axis=2)
            nonzero[start : start + n_block] |= rows
    return nonzero


def without_zero_ends(streams: Sequence[FloatArray]) -> list[slice]:
    """Find the rows of each utterance that are not padding, for a file that stores no lengths.

    Rows at the start and at the end are taken for padding if they are zero in all streams (modalities). A zero row
    between rows that are not padding is kept, and so is a row that is zero in only one of several streams.

    Args:
        streams: Feature vectors (utterance, row, feature) of each stream, with the same numbers of utterances and rows.

    Returns:
        For each utterance, the range of rows that are not padding; empty if all its rows are zero.
    """
    # NaN in all columns says nothing about the row; other streams tell whether it is padding
    nonzero = nonzero_rows(streams, nan_is_zero=len(streams) > 1)
    n_rows = nonzero.shape[1]
    if not n_rows:
        return [slice(0, 0)] * len(nonzero)
    is_empty = ~nonzero.any(axis=1)
    first, stop = nonzero.argmax(axis=1), n_rows - nonzero[:, ::-1].argmax(axis=1)
    stop[is_empty] = 0
    return [slice(*ends) for ends in zip(first.tolist(), stop.tolist(), strict=True)]


def unpadded_rows(
    features: Mapping[Modality, FloatArray], without_mask: Iterable[Modality], *, jointly: bool
) -> dict[Modality, list[slice]]:
    """Find the rows of each utterance that are not padding, see `without_zero_ends`.

    Args:
        features: Feature vectors (utterance, row, feature) of each modality.
        without_mask: The modalities to find the rows of.
        jointly: Whether a row is padding only if it is zero in all modalities. They then have equal numbers of rows.

    Returns:
        Modality -> for each utterance, the range of its rows.
    """
    modalities = list(without_mask)
    if jointly and modalities:
        return dict.fromkeys(modalities, without_zero_ends(list(features.values())))
    return {modality: without_zero_ends([features[modality]]) for modality in modalities}


def count_guessed_padding(
    unpadded: Mapping[Modality, Sequence[slice]],
    features: Mapping[Modality, FloatArray],
    index: int,
    notes: Counter[str],
    *,
    jointly: bool,
) -> None:
    """Count an utterance if rows of it were taken for padding: once per modality, or once if judged jointly.

    Args:
        unpadded: Result of `unpadded_rows`.
        features: Feature vectors (utterance, row, feature) of each modality.
        index: Index of the utterance.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.
        jointly: As for `unpadded_rows`.
    """
    shortened = [
        rows[index].stop - rows[index].start < features[modality].shape[1] for modality, rows in unpadded.items()
    ]
    add_note(notes, PADDING_GUESSED, any(shortened) if jointly else sum(shortened))


def padded_in_front(mask: BoolArray) -> BoolArray:
    """Return the mask (utterance, row) with the rows of each utterance in reverse order."""
    return mask[:, ::-1]


def is_contradicted(mask: BoolArray, nonzero: BoolArray) -> bool:
    """Return whether a mask leaves out data and keeps padding in some utterance.

    Args:
        mask: True for the rows to read (utterance, row).
        nonzero: True for the rows that are not all zero (utterance, row).

    Returns:
        Whether an utterance has rows that are all zero in the mask, and rows that are not outside of it. One of the two
        alone proves nothing: a row of data may be all zero, and padding may hold any number.
    """
    kept_zero = (mask & ~nonzero).any(axis=1)
    left_out = (~mask & nonzero).any(axis=1)
    return bool((kept_zero & left_out).any())


def with_padding_side(
    masks: Sequence[BoolArray], nonzero: Sequence[BoolArray], what: str, notes: Counter[str]
) -> list[BoolArray]:
    """Find on which side the padding is, the same in all splits.

    Args:
        masks: For each split, which rows are data if the padding is at the end (utterance, row).
        nonzero: For each split, which rows are not all zero (utterance, row).
        what: Description of the lengths or mask and of the file, for the error message.
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The masks, mirrored if the padding is in front. In this case, `notes` counts the utterances with padding. If the
        lengths are too long in nearly all utterances, see `_without_surplus`, the masks are shorter.

    Raises:
        DataError: Neither side fits.
    """
    masks = list(masks)
    if not any(map(is_contradicted, masks, nonzero)):
        return _without_surplus(masks, nonzero, notes)
    mirrored = list(map(padded_in_front, masks))
    if any(map(is_contradicted, mirrored, nonzero)):
        raise DataError(
            f"Expected {what} to cover the rows that are not all zero, from the first row or up to the last, but got "
            "rows of zeros within it and other rows outside; check how the file was padded, or remove the key to have "
            "the rows of zeros at both ends taken as padding"
        )
    add_note(notes, PADDING_IN_FRONT, sum(int((~mask.all(axis=1)).sum()) for mask in masks))
    # the same rule for the other side
    shorter = _without_surplus(masks, list(map(padded_in_front, nonzero)), notes)
    return list(map(padded_in_front, shorter))


def _without_surplus(masks: list[BoolArray], nonzero: Sequence[BoolArray], notes: Counter[str]) -> list[BoolArray]:
    """Leave out all-zero rows at the end of the lengths, if nearly all utterances with padding have them.

    Args:
        masks: For each split, which rows are data (utterance, row), with the padding at the end.
        nonzero: For each split, which rows are not all zero (utterance, row).
        notes: Counter: text of a rule for invalid data -> how often it was applied. It is updated in place.

    Returns:
        The masks, in which the last row of each utterance is not all zero; unchanged if few utterances have such rows.
    """
    reached = list(map(_up_to_last, masks, nonzero))
    padded = [~mask.all(axis=1) & each.any(axis=1) for mask, each in zip(masks, reached, strict=True)]
    surplus: list[BoolArray] = [
        np.logical_and((mask & ~each).any(axis=1), rows)
        for mask, each, rows in zip(masks, reached, padded, strict=True)
    ]
    n_padded, n_surplus = (sum(int(each.sum()) for each in parts) for parts in (padded, surplus))
    if n_surplus < max(LEAST_UTTERANCES, NEARLY_ALL * n_padded):
        return masks
    add_note(notes, LENGTHS_TOO_LONG, n_surplus)
    return [mask & (each | ~rows[:, None]) for mask, each, rows in zip(masks, reached, surplus, strict=True)]


def _up_to_last(mask: BoolArray, nonzero: BoolArray) -> BoolArray:
    """Return a mask (utterance, row) of the rows up to the last one that is in the mask and not all zero."""
    reversed_rows = (mask & nonzero)[:, ::-1]
    reached: BoolArray = np.logical_or.accumulate(reversed_rows, axis=1)[:, ::-1]
    return reached


def is_foreign(masks: Sequence[BoolArray], nonzero: Sequence[BoolArray]) -> bool:
    """Return whether a token mask belongs to other rows than these, such as those of another tokeniser.

    Args:
        masks: For each split, where the token mask is not 0 (utterance, row).
        nonzero: For each split, which rows of the text are not all zero (utterance, row).

    Returns:
        Whether the shapes differ; or whether the mask misfits the text in most utterances, wherever the padding is, see
        `_misfits`.
    """
    if any(mask.shape != rows.shape for mask, rows in zip(masks, nonzero, strict=True)):
        return True
    for side in (masks, list(map(padded_in_front, masks))):
        misfits = np.concatenate([_misfits(mask, rows) for mask, rows in zip(side, nonzero, strict=True)])
        if misfits.sum() <= MOST * misfits.size:
            return False
    return True


def _misfits(mask: BoolArray, nonzero: BoolArray) -> BoolArray:
    """Return for each utterance whether its mask misfits the rows of its text.

    The mask misfits if it begins or ends with a row that is all zero: the vectors of words are not zero, so this row is
    padding. It also misfits if it leaves out rows that are not all zero, beside others that are: the padding is zero,
    so the former are words.
    """
    if not mask.shape[1]:
        return np.zeros(len(mask), dtype=bool)
    rows = np.arange(len(mask))
    first = mask.argmax(axis=1)
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    begins_or_ends_with_zeros = mask.any(axis=1) & ~(nonzero[rows, first] & nonzero[rows, last])
    leaves_out_words = (~mask & nonzero).any(axis=1) & (~mask & ~nonzero).any(axis=1)
    misfits: BoolArray = begins_or_ends_with_zeros | leaves_out_words
    return misfits
