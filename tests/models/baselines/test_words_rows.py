"""Words as rows: which row is which word, and what came before it."""

from __future__ import annotations

import pytest
import torch
from tests.models.batches import N_FEATURES, spoken_batch

from mien.models.baselines.words import read_word_rows, word_rows
from mien.schema import Modality


def test_rows_of_utterances_with_two_no_and_three_words():
    rows = word_rows(torch.tensor([2, 0, 3]))
    # the longest first: its first word, the other's first word, and so on
    assert rows.n_active == [2, 2, 1]
    assert rows.owner.tolist() == [2, 0, 2, 0, 2]
    assert rows.place.tolist() == [0, 0, 1, 1, 2]
    states = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert rows.before(states).flatten().tolist() == [0, 0, 1, 2, 3]
    assert rows.last(states).flatten().tolist() == [4, 0, 5]
    assert rows.mean(states).flatten().tolist() == [3, 0, 3]


def test_a_scan_begins_at_zero_and_hands_each_state_on():
    rows = word_rows(torch.tensor([2, 0, 3]))
    numbers = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    total, products = rows.scan(
        lambda inputs, state: (state[0] + inputs[0], state[1] + state[0] * inputs[1]), (numbers, 10 * numbers), (1, 1)
    )
    assert total.flatten().tolist() == [1, 2, 4, 6, 9]
    assert products.flatten().tolist() == [0, 0, 30, 80, 230]


@pytest.mark.parametrize("lengths", [[0, 0], [0], []], ids=str)
def test_without_any_words_there_are_no_rows(lengths):
    rows = word_rows(torch.tensor(lengths, dtype=torch.int64))
    assert rows.n_active == []
    assert rows.n_spoken == 0
    nothing = torch.zeros(0, 2)
    (states,) = rows.scan(lambda _, state: state, (nothing,), (3,))
    assert states.shape == (0, 3)
    assert rows.before(states).shape == (0, 3)
    assert torch.equal(rows.last(states), torch.zeros(len(lengths), 3))
    assert torch.equal(rows.mean(states), torch.zeros(len(lengths), 3))


def test_every_word_is_read_once_and_up_to_the_limit():
    batch = spoken_batch(tuple(Modality))
    rows, features = read_word_rows(batch, tuple(Modality), max_words=4)
    assert rows.lengths.tolist() == batch.words.lengths.clamp(max=4).tolist()
    expected = {(u, w) for u, n in enumerate(rows.lengths.tolist()) for w in range(n)}
    assert len(rows.owner) == len(expected)
    assert set(zip(rows.owner.tolist(), rows.place.tolist(), strict=True)) == expected
    for row, (utterance, word) in enumerate(zip(rows.owner, rows.place, strict=True)):
        for modality in N_FEATURES:
            assert torch.equal(features[modality][row], batch.words.features[modality][utterance, word])
