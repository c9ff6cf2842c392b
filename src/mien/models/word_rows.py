"""The words of a batch one below the other, so that what waits for no other word is one product for all of them.

Order of the rows: the first word of every utterance, longest utterance first, then every second word, and so on. There
is no row for padding. n = real utterances of a batch, row = their words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.models.batch import Batch
from mien.models.word_steps import State, each_word, read_words
from mien.schema import Modality


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
        """Call `step(inputs of this word, state)` word by word; the state after every word.

        The state begins as zeros, one part of each size.
        """
        begin = tuple(inputs[0].new_zeros(self.n_spoken, size) for size in sizes)
        by_word = (
            list(zip(*(torch.split(rows, self.n_active) for rows in inputs), strict=True)) if self.n_active else []
        )
        states = each_word(step, by_word, self.n_active, begin)
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True)) if states else begin

    def before(self, states: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
        """The state one word earlier; zero at the first word."""
        if not self.n_active:
            return states
        begin = states.new_zeros(self.n_spoken, states.shape[1])
        earlier = zip(
            torch.split(states, self.n_active), self.n_active[1:], strict=False
        )  # nothing follows the last word
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


def read_word_rows(
    batch: Batch, modalities: Sequence[Modality], max_words: int
) -> tuple[WordRows, Mapping[Modality, Float[Tensor, "row feature"]]]:
    """The first `max_words` words of every utterance as rows; zero where a word lacks a modality."""
    features, lengths = read_words(batch, modalities, max_words)
    rows = word_rows(lengths)
    return rows, {m: words[rows.owner, rows.place] for m, words in features.items()}
