"""Stepping over words: each utterance ends after its own last word, whatever stands beside or behind it."""

from __future__ import annotations

import pytest
import torch
from tests.models.batches import random_batch

from mien.errors import UsageError
from mien.models.baselines.words import read_words, word_rows
from mien.models.batch import Batch
from mien.schema import Modality


def count_and_weigh(word, state):
    """A cell whose result depends on the order of the words."""
    total, n_words = state
    return 2 * total + word[0], n_words + 1


def run(step, rows, lengths, sizes):
    """The state after each utterance's last word."""
    layout = word_rows(torch.tensor(lengths))
    return [layout.last(states) for states in layout.scan(step, [layout.pick(rows)], sizes)]


@pytest.mark.parametrize("lengths", [[2, 0, 3, 1, 3], [0, 0], [1], [3, 3]], ids=str)
def test_each_utterance_ends_after_its_own_last_word(lengths):
    rows = torch.randn(len(lengths), 4, 2, generator=torch.Generator().manual_seed(0))
    total, n_words = run(count_and_weigh, rows, lengths, (2, 1))
    assert n_words.squeeze(1).tolist() == lengths
    for utterance, length in enumerate(lengths):
        expected = torch.zeros(2)
        for word in range(length):
            expected = 2 * expected + rows[utterance, word]
        torch.testing.assert_close(total[utterance], expected)


def test_steps_see_no_padding():
    seen = []

    def step(word, state):
        seen.append(word[0][:, 0].tolist())
        return state

    rows = torch.tensor([[1.0, 9.0, 9.0], [2.0, 3.0, 4.0], [9.0, 9.0, 9.0], [5.0, 6.0, 9.0]]).unsqueeze(-1)
    run(step, rows, [1, 3, 0, 2], (1,))
    assert seen == [[2.0, 5.0, 1.0], [3.0, 6.0], [4.0]]


def test_the_gradient_of_a_state_reaches_the_words_of_its_utterance_alone():
    rows = torch.randn(3, 4, 2, requires_grad=True)
    total, _ = run(count_and_weigh, rows, [2, 0, 4], (2, 1))
    total[0].sum().backward()
    assert rows.grad[:, :, 0].tolist() == [[2.0, 1.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4]


def test_reads_the_first_words_and_nothing_of_what_is_absent():
    batch = random_batch((3, 2))
    words = batch.words
    words.present[Modality.VISUAL][1, 0] = False
    words.features[Modality.VISUAL][1, 0] = torch.nan
    features, lengths = read_words(batch, (Modality.TEXT, Modality.VISUAL), max_words=2)
    assert list(features) == [Modality.TEXT, Modality.VISUAL]
    assert lengths.tolist() == words.lengths.clamp(max=2).tolist()
    assert int(words.lengths.max()) > 2
    assert torch.equal(features[Modality.TEXT], words.features[Modality.TEXT][:, :2])
    assert (features[Modality.VISUAL][1, 0] == 0).all()
    assert torch.equal(features[Modality.VISUAL][0], words.features[Modality.VISUAL][0, :2])


def test_a_batch_without_words_is_refused():
    batch = random_batch()
    with pytest.raises(UsageError, match="Expected the words"):
        read_words(Batch(batch.features, batch.present, batch.lengths, batch.real), tuple(Modality), 50)
