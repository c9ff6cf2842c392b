from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mien.errors import DataError
from mien.readers import padding, rules
from mien.readers.padding import (
    count_guessed_padding,
    is_foreign,
    nonzero_rows,
    unpadded_rows,
    with_padding_side,
    without_zero_ends,
)
from mien.schema import Modality


def mask(*texts: str) -> np.ndarray:
    """Rows such as "xx--": x is True."""
    return np.array([[letter == "x" for letter in text] for text in texts])


def test_a_row_counts_if_any_stream_has_a_value_there() -> None:
    text = np.array([[[0.0, 0.0], [np.nan, 0.0], [0.0, 0.0]]])
    voice = np.array([[[0.0], [0.0], [2.0]]])
    assert nonzero_rows([text, voice]).tolist() == [[False, True, True]]


@pytest.mark.parametrize(
    "nonzero",
    [
        ("xxx-", "x---"),  # zeros after the length
        ("xxxx", "xxxx"),  # any numbers after the length
        ("x-x-", "----"),  # zeros within the length: data, such as no face
    ],
)
def test_padding_is_at_the_end_unless_something_speaks_against_it(nonzero: tuple[str, ...]) -> None:
    notes: Counter[str] = Counter()
    stored = mask("xxx-", "x---")
    (found,) = with_padding_side([stored], [mask(*nonzero)], "lengths", notes)
    assert found is stored
    assert notes == {}


def test_padding_in_front_is_found_from_some_utterances_and_holds_for_all() -> None:
    notes: Counter[str] = Counter()
    lengths = [mask("xxx-", "xx--"), mask("x---", "xxxx")]
    # the second utterance is silent, and the third has no zeros
    found = with_padding_side(lengths, [mask("-xxx", "----"), mask("xxxx", "xxxx")], "lengths", notes)
    assert np.array_equal(found, [mask("-xxx", "--xx"), mask("---x", "xxxx")])
    assert notes == {rules.PADDING_IN_FRONT: 3}


def test_lengths_that_fit_neither_side_are_refused() -> None:
    with pytest.raises(DataError, match=r"^Expected lengths of x\.pkl to cover the rows .*; check how the file was"):
        with_padding_side([mask("xx--", "xx--")], [mask("-xx-", "xx--")], "lengths of x.pkl", Counter())


@pytest.mark.parametrize(
    ("tokens", "nonzero", "foreign"),
    [
        (("xxx-", "xx--"), ("xxx-", "xx--"), False),
        (("xxx-", "xx--"), ("xxxx", "xxxx"), False),  # the padding of text need not be zero
        (("xxx-", "xx--"), ("-xxx", "--xx"), False),  # padding in front
        (("xxx-", "xx--", "x---"), ("xxx-", "x---", "x---"), False),  # one odd utterance
        (("xxxx", "xxx-"), ("xx--", "x---"), True),  # more tokens than rows
        (("x---", "xx--"), ("xx--", "xxx-"), True),  # fewer tokens than rows
        (("xx", "xx"), ("xx-", "xx-"), True),  # another number of rows
    ],
)
def test_a_token_mask_belongs_to_the_rows_or_not(
    tokens: tuple[str, ...], nonzero: tuple[str, ...], foreign: bool
) -> None:
    assert is_foreign([mask(*tokens)], [mask(*nonzero)]) is foreign


def test_no_utterance_is_no_reason_to_refuse_a_mask() -> None:
    empty = np.zeros((0, 3), dtype=bool)
    assert not is_foreign([empty], [empty])


@pytest.mark.parametrize("in_front", [False, True])
def test_lengths_that_are_too_long_in_all_utterances_are_shortened(in_front: bool) -> None:
    lengths = np.array([2, 3, 4, 2, 3, 4])
    nonzero = np.arange(6) < lengths[:, None]
    mask = np.arange(6) < lengths[:, None] + 1  # such as a token at the end that the features lack
    rows = nonzero[:, ::-1] if in_front else nonzero
    notes: Counter[str] = Counter()
    (found,) = with_padding_side([mask], [rows], "the lengths", notes)
    assert (found == rows).all()
    assert notes[rules.LENGTHS_TOO_LONG] == 6


def test_a_zero_row_at_the_end_of_some_utterances_is_data() -> None:
    mask = np.arange(6) < np.array([2, 3, 4, 2, 3, 4])[:, None]
    nonzero = mask.copy()
    nonzero[0, 1] = nonzero[3, 1] = False
    notes: Counter[str] = Counter()
    (found,) = with_padding_side([mask], [nonzero], "the lengths", notes)
    assert (found == mask).all()
    assert notes == {}


def ends(*streams):
    (rows,) = without_zero_ends([stream[None] for stream in streams])
    return rows


def test_padding_is_judged_over_all_streams_and_only_at_the_ends() -> None:
    text = np.array([[0.0], [1.0], [0.0], [0.0], [2.0], [0.0], [0.0]])
    voice = np.array([[0.0], [0.0], [0.0], [3.0], [0.0], [4.0], [0.0]])
    assert ends(text, voice) == slice(1, 6)
    assert ends(text[1:2]) == slice(0, 1)
    assert ends(text * 0) == slice(0, 0)
    assert ends(text[:0]) == slice(0, 0)
    assert without_zero_ends([np.stack([text, voice, text * 0])]) == [slice(1, 5), slice(3, 6), slice(0, 0)]


def test_utterances_whose_padding_was_guessed_are_counted_once_if_the_modalities_are_judged_together() -> None:
    features = {Modality.TEXT: np.array([[[1.0], [0.0]]]), Modality.ACOUSTIC: np.array([[[1.0], [0.0]]])}
    for jointly, count in ((True, 1), (False, 2)):
        notes: Counter[str] = Counter()
        unpadded = unpadded_rows(features, features, jointly=jointly)
        assert unpadded == {modality: [slice(0, 1)] for modality in features}
        count_guessed_padding(unpadded, features, 0, notes, jointly=jointly)
        assert notes == {rules.PADDING_GUESSED: count}


def test_long_streams_are_compared_block_by_block(monkeypatch) -> None:
    stream = np.random.default_rng(0).integers(0, 2, (7, 5, 3)).astype(np.float32)
    whole = without_zero_ends([stream])
    monkeypatch.setattr(padding, "BLOCK_BYTES", 2 * stream[0].nbytes)
    assert without_zero_ends([stream]) == whole


def test_a_stream_without_any_number_does_not_make_padding_data() -> None:
    text = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 0.0]])
    face = np.full((3, 2), np.nan)
    assert ends(text, face) == slice(1, 3)
    assert ends(text, np.array([[np.nan, 1.0], [np.nan] * 2, [np.nan] * 2])) == slice(0, 3)
    assert ends(face) == slice(0, 3)
