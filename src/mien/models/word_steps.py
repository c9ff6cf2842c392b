"""Recurrence over the words of utterances, for cells that torch does not have. n = real utterances of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.errors import UsageError
from mien.models.batch import Batch
from mien.schema import Modality

# One row per utterance that still has a word; whatever a cell carries from word to word.
State = tuple[Float[Tensor, "active feature"], ...]
Step = Callable[[Mapping[Modality, Float[Tensor, "active feature"]], State], State]
InputT = TypeVar("InputT")


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


def run_words(
    step: Step, features: Mapping[Modality, Float[Tensor, "n word feature"]], lengths: Int[Tensor, "n"], state: State
) -> State:
    """Call `step` word by word; the state of each utterance after its own last word, in the order given.

    `state` is where every utterance begins, (n, ...) each; an utterance without words ends where it began. `step` sees
    only the utterances that still have a word, so padding is never computed: at word w it takes the features at w and
    their state, and gives their next state. What a system collects over the words (a sum of weights) is one more part
    of the state.
    """
    order = lengths.argsort(descending=True, stable=True)
    # Longest utterance first, so that those still active are the first rows of every word. Unbound rather than indexed
    # by word: the gradient of many slices of one tensor costs a whole tensor each.
    by_word = {m: rows.index_select(0, order).unbind(1) for m, rows in features.items()}
    longest = int(lengths.max()) if len(lengths) else 0
    place = torch.arange(longest, device=lengths.device)
    n_active = (lengths.unsqueeze(1) > place).sum(dim=0).tolist()  # (word,)
    inputs = ({m: rows[word][:n] for m, rows in by_word.items()} for word, n in enumerate(n_active))
    begin = tuple(part.index_select(0, order) for part in state)
    states = [begin, *each_word(step, inputs, n_active, begin)]
    # The utterances that end first stand last in `order`.
    ended = [
        tuple(part[n:] for part in active)
        for active, n in zip(states, [*n_active, 0], strict=True)
        if n < len(active[0]) or not n
    ]
    back = order.argsort()
    return tuple(torch.cat(parts[::-1]).index_select(0, back) for parts in zip(*ended, strict=True))


def each_word(
    step: Callable[[InputT, State], State], inputs: Iterable[InputT], n_active: Iterable[int], state: State
) -> list[State]:
    """The states after every word; `inputs` and `n_active` hold what `step` takes and how many rows are left, by word.

    Rows stand longest utterance first, so `n_active` never grows and the rows that are left are the first.
    """
    states = []
    for word, n in zip(inputs, n_active, strict=True):
        if n < len(state[0]):
            state = tuple(part[:n] for part in state)
        state = step(word, state)
        states.append(state)
    return states
