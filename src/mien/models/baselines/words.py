"""Recurrence over the words of utterances, for cells that torch does not have.

The words of a batch stand one below the other, so that what waits for no other word is one product for all of them: the
first word of every utterance, longest utterance first, then every second word, and so on. There is no row for padding.

Axes: n = real utterances of a batch; row = their words; active = the utterances that still have a word.
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

# whatever a cell takes at one word, or carries from word to word
State = tuple[Float[Tensor, "active feature"], ...]


@dataclass(frozen=True, slots=True)
class WordRows:
    """Which row is which word."""

    # utterances that have a first, second, ... word; never growing
    n_active: list[int]
    # utterance of each row, in the batch's order
    owner: Int[Tensor, "row"]
    # number of each row's word in its utterance
    place: Int[Tensor, "row"]
    # row of each utterance's last word; for an utterance without words the number of rows
    last_row: Int[Tensor, "n"]
    # words of each utterance
    lengths: Int[Tensor, "n"]

    @property
    def n_spoken(self) -> int:
        """Utterances that have words."""
        return self.n_active[0] if self.n_active else 0

    def scan(
        self,
        step: Callable[[State, State], State],
        inputs: Sequence[Float[Tensor, "row feature"]],
        sizes: Sequence[int],
    ) -> tuple[Float[Tensor, "row feature"], ...]:
        """Call `step` word by word.

        Args:
            step: Takes the inputs of this word and the state before it, of the utterances that still have a word, and
                gives the state after it.
            inputs: What the step takes at each word.
            sizes: Features of each part of the state, which begins as zeros.

        Returns:
            The state after every word, part by part.
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
        """The words of every utterance as rows."""
        return words[self.owner, self.place]

    def before(self, states: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
        """The state one word earlier; zero at the first word."""
        if not self.n_active:
            return states
        begin = states.new_zeros(self.n_spoken, states.shape[1])
        # nothing follows the last word
        earlier = zip(torch.split(states, self.n_active), self.n_active[1:], strict=False)
        return torch.cat([begin, *(part[:n] for part, n in earlier)])

    def last(self, states: Float[Tensor, "row feature"]) -> Float[Tensor, "n feature"]:
        """The state after each utterance's last word; zero for an utterance without words."""
        return torch.cat([states, states.new_zeros(1, states.shape[1])]).index_select(0, self.last_row)

    def mean(self, rows: Float[Tensor, "row feature"]) -> Float[Tensor, "n feature"]:
        """The mean over each utterance's words; zero for an utterance without words."""
        total = rows.new_zeros(len(self.lengths), rows.shape[1]).index_add(0, self.owner, rows)
        return total / self.lengths.clamp(min=1).unsqueeze(1)


def word_rows(lengths: Int[Tensor, "n"]) -> WordRows:
    """Lay out the words of utterances with so many words each."""
    order = lengths.argsort(descending=True, stable=True)
    longest = int(lengths.max()) if len(lengths) else 0
    words = torch.arange(longest, device=lengths.device)
    n_active = (lengths.unsqueeze(1) > words).sum(dim=0)  # (word,)
    first_row = n_active.cumsum(0) - n_active  # (word,)
    n_rows = int(n_active.sum())
    place = words.repeat_interleave(n_active)
    rank = torch.arange(n_rows, device=lengths.device) - first_row[place]  # of each row's utterance in `order`
    last_row = torch.full_like(lengths, n_rows)
    spoken = lengths > 0
    last_row[spoken] = first_row[lengths[spoken] - 1] + order.argsort()[spoken]
    return WordRows(n_active.tolist(), order[rank], place, last_row, lengths)


def read_words(
    batch: Batch, modalities: Sequence[Modality], max_words: int
) -> tuple[dict[Modality, Float[Tensor, "n word feature"]], Int[Tensor, "n"]]:
    """The first `max_words` words of every real utterance and how many each has; zero where a word lacks a modality."""
    if batch.words is None:
        raise UsageError(
            "Expected the words of every utterance, but got utterance vectors alone; give a word-level set"
        )
    lengths = batch.words.lengths.clamp(max=max_words)
    features = {}
    for modality in modalities:
        present = batch.words.present[modality][:, :max_words]
        # `where`, not a product: what stands in an absent place may be anything, also not a number.
        features[modality] = batch.words.features[modality][:, :max_words].where(present.unsqueeze(-1), 0.0)
    return features, lengths


def read_word_rows(
    batch: Batch, modalities: Sequence[Modality], max_words: int
) -> tuple[WordRows, Mapping[Modality, Float[Tensor, "row feature"]]]:
    """The words of `read_words` as rows."""
    features, lengths = read_words(batch, modalities, max_words)
    rows = word_rows(lengths)
    return rows, {m: rows.pick(words) for m, words in features.items()}
