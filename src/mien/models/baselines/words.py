"""Recurrence over the words of utterances, for cells that torch does not have.

The words of all utterances of a batch are the rows of one array, so that computations without a recurrence are one
matrix product for all words. The first rows are the first words of all utterances, longest utterance first. The next
rows are the second words of all utterances with at least two words, and so on. There are no rows for padding.

Axes: n = utterances of a batch, without padding; row = all words of these utterances; active = the utterances that have
a word at the current step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.errors import UsageError
from mien.models.batch import Batch
from mien.schema import Modality

# inputs of a cell at one word, or its state after one word
State = tuple[Float[Tensor, "active feature"], ...]


@dataclass(frozen=True, slots=True)
class WordRows:
    """Layout of arrays that contain one row for every word of a batch: the utterance and the position of each word.

    The rows are sorted by position: the first words of all utterances, then all second words, and so on. Among words
    with the same position, those of the utterances with the most words come first.
    """

    # number of utterances that have a first word, a second word, and so on; the numbers never increase
    n_active: list[int]
    # utterance of each row, an index into the batch's utterances without padding
    owner: Int[Tensor, "row"]
    # position of each row's word in its utterance, from 0
    place: Int[Tensor, "row"]
    # row of the last word of each utterance; for an utterance without words, the number of rows
    last_row: Int[Tensor, "n"]
    # number of words of each utterance
    lengths: Int[Tensor, "n"]

    @property
    def n_spoken(self) -> int:
        """Number of utterances that have at least one word."""
        return self.n_active[0] if self.n_active else 0

    def scan(
        self,
        step: Callable[[State, State], State],
        inputs: Sequence[Float[Tensor, "row feature"]],
        sizes: Sequence[int],
    ) -> tuple[Float[Tensor, "row feature"], ...]:
        """Run a recurrence over the words of all utterances.

        Args:
            step: Function that computes the next state from the inputs at one word and the preceding state. One call
                processes the words of all utterances at the same position.
            inputs: Input arrays of the recurrence, one row per word.
            sizes: The state consists of several arrays; this is the number of features of each. The initial state is
                zero.

        Returns:
            The arrays of the state after every word, one row per word.
        """
        state = tuple(inputs[0].new_zeros(self.n_spoken, size) for size in sizes)
        if not self.n_active:
            return state
        states = []
        for *word, n in zip(*(torch.split(rows, self.n_active) for rows in inputs), self.n_active, strict=True):
            if n < len(state[0]):
                state = tuple(part[:n] for part in state)
            state = step(tuple(word), state)
            states.append(state)
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True))

    def pick(self, words: Float[Tensor, "n word feature"]) -> Float[Tensor, "row feature"]:
        """Return the vectors of all words, one row per word, in the order of this layout.

        In `words`, the same vectors are arranged by utterance, and each utterance is padded on the right.
        """
        return words[self.owner, self.place]

    def before(self, states: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
        """Return, for every word, the state after the preceding word of the same utterance.

        For the first word of an utterance, this state is zero.
        """
        if not self.n_active:
            return states
        initial = states.new_zeros(self.n_spoken, states.shape[1])
        # not strict, because the states after the last step precede no word
        earlier = zip(torch.split(states, self.n_active), self.n_active[1:], strict=False)
        return torch.cat([initial, *(part[:n] for part, n in earlier)])

    def last(self, states: Float[Tensor, "row feature"]) -> Float[Tensor, "n feature"]:
        """Return, for every utterance, the state after its last word. For an utterance without words, it is zero."""
        return torch.cat([states, states.new_zeros(1, states.shape[1])]).index_select(0, self.last_row)

    def mean(self, rows: Float[Tensor, "row feature"]) -> Float[Tensor, "n feature"]:
        """Compute, for every utterance, the mean of the rows of its words. Without words, the mean is zero."""
        total = rows.new_zeros(len(self.lengths), rows.shape[1]).index_add(0, self.owner, rows)
        return total / self.lengths.clamp(min=1).unsqueeze(1)


def word_rows(lengths: Int[Tensor, "n"]) -> WordRows:
    """Compute the layout with one row per word (see `WordRows`).

    `lengths` contains the number of words of each utterance.
    """
    order = lengths.argsort(descending=True, stable=True)
    longest = int(lengths.max()) if len(lengths) else 0
    words = torch.arange(longest, device=lengths.device)
    n_active = (lengths.unsqueeze(1) > words).sum(dim=0)  # (word,)
    first_row = n_active.cumsum(0) - n_active  # (word,)
    n_rows = int(n_active.sum())
    place = words.repeat_interleave(n_active)
    rank = torch.arange(n_rows, device=lengths.device) - first_row[place]  # rank of each row's utterance in `order`
    last_row = torch.full_like(lengths, n_rows)
    has_words = lengths > 0
    last_row[has_words] = first_row[lengths[has_words] - 1] + order.argsort()[has_words]
    return WordRows(n_active.tolist(), order[rank], place, last_row, lengths)


def read_words(
    batch: Batch, modalities: Sequence[Modality], max_words: int
) -> tuple[dict[Modality, Float[Tensor, "n word feature"]], Int[Tensor, "n"]]:
    """Return the vectors of the first `max_words` words of every utterance of a batch.

    Args:
        batch: Batch with words.
        modalities: Modalities whose vectors are returned.
        max_words: Largest number of words per utterance; later words are ignored.

    Returns:
        Vectors (n, word, feature) by modality; and the number of words of each utterance, at most `max_words`, (n,). A
        vector is zero where the word lacks the modality. The n utterances are those that are not padding.

    Raises:
        UsageError: The batch has no words.
    """
    if batch.words is None:
        raise UsageError(
            "Expected the words of every utterance, but got utterance vectors alone; give a word-level set"
        )
    lengths = batch.words.lengths.clamp(max=max_words)
    features = {}
    for modality in modalities:
        present = batch.words.present[modality][:, :max_words]
        # `where` instead of a product, because absent places may hold NaN.
        features[modality] = batch.words.features[modality][:, :max_words].where(present.unsqueeze(-1), 0.0)
    return features, lengths


def read_word_rows(
    batch: Batch, modalities: Sequence[Modality], max_words: int
) -> tuple[WordRows, Mapping[Modality, Float[Tensor, "row feature"]]]:
    """Return the vectors of the first `max_words` words of every utterance of a batch, one row per word.

    Args:
        batch: Batch with words.
        modalities: Modalities whose vectors are returned.
        max_words: Largest number of words per utterance; later words are ignored.

    Returns:
        The layout, which tells the utterance and the position of the word in each row (see `WordRows`); and the vectors
        (row, feature) by modality. A vector is zero where the word lacks the modality.

    Raises:
        UsageError: The batch has no words.
    """
    features, lengths = read_words(batch, modalities, max_words)
    rows = word_rows(lengths)
    return rows, {m: rows.pick(words) for m, words in features.items()}
