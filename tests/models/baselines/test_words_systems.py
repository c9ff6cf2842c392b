"""What every system that reads words must do, beside the contract of all systems: padding, limit, silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, spoken_batch
from torch.nn import functional

from mien.models import MODELS, ModelEntry, build_model
from mien.models.batch import InputKind, Words
from mien.schema import Modality

BOTH = (SENTIMENT, EMOTION)
SYSTEMS = [
    name for name, entry in MODELS.items() if isinstance(entry, ModelEntry) and entry.input_kind is InputKind.WORDS
]


def make(name, **changes):
    torch.manual_seed(8)
    return build_model(name, N_FEATURES, BOTH, replace(MODELS[name].settings, **changes)).double().eval()


@pytest.mark.parametrize("name", SYSTEMS)
def test_padded_words_do_not_matter_and_words_beyond_the_limit_are_not_read(name):
    network, short = make(name), make(name, max_words=3)
    batch = spoken_batch(tuple(Modality))
    words = batch.words
    calm = network(batch).logits[EMOTION.name]
    padded = Words(
        {m: functional.pad(rows, (0, 0, 0, 9), value=7.0) for m, rows in words.features.items()},
        {m: functional.pad(mask, (0, 9)) for m, mask in words.present.items()},
        words.lengths,
    )
    torch.testing.assert_close(network(replace(batch, words=padded)).logits[EMOTION.name], calm)
    cut = Words(
        {m: rows[:, :3] for m, rows in words.features.items()},
        {m: mask[:, :3] for m, mask in words.present.items()},
        words.lengths.clamp(max=3),
    )
    first_three = short(batch).logits[EMOTION.name]
    torch.testing.assert_close(first_three, network(replace(batch, words=cut)).logits[EMOTION.name])
    changed = (first_three - calm).abs().sum(-1)[batch.real] > 1e-9
    assert changed.tolist() == (words.lengths > 3).tolist()


@pytest.mark.parametrize("name", SYSTEMS)
def test_utterances_without_any_words_are_all_judged_alike(name):
    network = make(name)
    batch = spoken_batch(tuple(Modality))
    batch.words.lengths[:] = 0
    logits = network(batch).logits[SENTIMENT.name][batch.real]
    logits.sum().backward()
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_order_of_the_words_matters(name):
    network, batch = make(name), spoken_batch(tuple(Modality))
    calm = network(batch).logits[EMOTION.name][batch.real]
    long = int((batch.words.lengths >= 3).nonzero()[0])
    for rows in batch.words.features.values():
        rows[long, 1:3] = rows[long, 1:3].flip(0)
    changed = (network(batch).logits[EMOTION.name][batch.real] - calm).abs().sum(-1) > 1e-9
    assert changed.nonzero().flatten().tolist() == [long]
