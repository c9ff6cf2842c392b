"""Batches made for the model tests. Sizes are prime, so that no swapped axis can pass."""

from __future__ import annotations

import torch

from mien.models.batch import Batch, Times, Tokens, Words
from mien.schema import Modality

N_FEATURES = {Modality.TEXT: 7, Modality.ACOUSTIC: 5, Modality.VISUAL: 3}
SILENT = 3  # the utterance of `spoken_batch` without words


def random_batch(
    lengths: tuple[int, ...] = (5, 2, 3),
    modalities: tuple[Modality, ...] = tuple(Modality),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    n = max(lengths)
    real = torch.arange(n) < torch.tensor(lengths).unsqueeze(1)
    features = {
        m: torch.randn(len(lengths), n, N_FEATURES[m], generator=generator, dtype=dtype) * real.unsqueeze(-1)
        for m in modalities
    }
    n_words = torch.randint(1, 8, (sum(lengths),), generator=generator)
    spoken = torch.arange(int(n_words.max())) < n_words.unsqueeze(1)
    words = {
        m: torch.randn(*spoken.shape, N_FEATURES[m], generator=generator, dtype=dtype) * spoken.unsqueeze(-1)
        for m in modalities
    }
    return Batch(
        features,
        {m: real.clone() for m in modalities},
        torch.tensor(lengths),
        real,
        Words(words, {m: spoken.clone() for m in modalities}, n_words),
        random_tokens(sum(lengths), generator),
        random_times(real, generator, dtype),
    )


def random_tokens(n: int, generator: torch.Generator) -> Tokens:
    """One to seven pieces of a vocabulary of 97 for each of n utterances."""
    lengths = torch.randint(1, 8, (n,), generator=generator)
    here = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
    return Tokens(torch.randint(1, 97, here.shape, generator=generator) * here, lengths)


def random_times(real, generator: torch.Generator, dtype: torch.dtype) -> Times:
    """Utterances one after another; the last of every video at an unknown time."""
    bounds_s = torch.rand(len(real), 2 * real.shape[1], generator=generator, dtype=dtype).cumsum(1) * 5
    known = real.clone()
    known[torch.arange(len(real)), real.sum(dim=1) - 1] = False
    return Times(bounds_s[:, ::2] * known, bounds_s[:, 1::2] * known, known)


def spoken_batch(modalities) -> Batch:
    """Ten utterances of 1 to 7 words, one of them silent, one word without the first modality."""
    batch = random_batch((5, 2, 3), modalities, dtype=torch.float64)
    words = batch.words
    assert len(set(words.lengths.tolist())) > 3
    words.lengths[SILENT] = 0
    for modality in modalities:
        words.features[modality][SILENT] = 0
        words.present[modality][SILENT] = False
    words.features[modalities[0]][0, 0] = 0
    words.present[modalities[0]][0, 0] = False
    return batch


def alone(batch: Batch, video: int) -> Batch:
    """One video of a batch without its padding, of utterances or of words."""
    n = int(batch.lengths[video])
    first = int(batch.lengths[:video].sum())
    mine = slice(first, first + n)
    longest = int(batch.words.lengths[mine].max())
    return Batch(
        {m: rows[video : video + 1, :n] for m, rows in batch.features.items()},
        {m: mask[video : video + 1, :n] for m, mask in batch.present.items()},
        batch.lengths[video : video + 1],
        batch.real[video : video + 1, :n],
        Words(
            {m: rows[mine, :longest] for m, rows in batch.words.features.items()},
            {m: mask[mine, :longest] for m, mask in batch.words.present.items()},
            batch.words.lengths[mine],
        ),
        Tokens(batch.tokens.ids[mine], batch.tokens.lengths[mine]),
        Times(*(getattr(batch.times, name)[video : video + 1, :n] for name in ("start_s", "end_s", "known"))),
    )


def drop(batch: Batch, modality: Modality, video: int, utterance: int, filler: float = 0.0) -> Batch:
    """The same batch with one utterance and its words lacking a modality; `filler` stands in their place."""
    features = {m: rows.clone() for m, rows in batch.features.items()}
    present = {m: mask.clone() for m, mask in batch.present.items()}
    features[modality][video, utterance] = filler
    present[modality][video, utterance] = False
    row = int(batch.lengths[:video].sum()) + utterance
    words = {m: rows.clone() for m, rows in batch.words.features.items()}
    spoken = {m: mask.clone() for m, mask in batch.words.present.items()}
    words[modality][row] = filler
    spoken[modality][row] = False
    tokens = Tokens(batch.tokens.ids.clone(), batch.tokens.lengths.clone())
    if modality is Modality.TEXT:
        tokens.ids[row], tokens.lengths[row] = int(filler), 0
    words = Words(words, spoken, batch.words.lengths)
    return Batch(features, present, batch.lengths, batch.real, words, tokens, batch.times)
