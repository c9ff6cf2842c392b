"""The forms of the networks for one video: the same numbers as `nn.GRU` and as the batched networks, gaps included."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.models.batches import N_FEATURES, drop, random_batch
from torch import nn

from mien.models import build_model
from mien.models.cim import CimSettings
from mien.models.fast.numpy_cim import PackedGrus
from mien.models.one_video import to_quick, to_traceable
from mien.schema import Modality
from mien.tasks import EMOTION, SENTIMENT

TASKS = (SENTIMENT, EMOTION)
SMALL = CimSettings(gru_size=5, dense_size=3, padded_length=7)
SETTINGS = {
    "masked": SMALL,
    "released": replace(SMALL, mask_padding=False),
    "without dense": replace(SMALL, dense_size=0),
    "without attention": replace(SMALL, attention=False),
    "tanh": replace(SMALL, activation="tanh"),
}
# which utterances of a video of nine lack which modality
GAPS = {
    "whole": {},
    "first and last": {Modality.TEXT: (0, 8)},
    "different": {Modality.TEXT: (3,), Modality.ACOUSTIC: (0, 1, 2), Modality.VISUAL: (8,)},
    "never": {Modality.VISUAL: tuple(range(9))},
    "nothing at all": {m: tuple(range(9)) for m in Modality},
}


@pytest.mark.parametrize("lengths", [(4, 4, 4), (1, 1, 1), (6, 2, 0), (0, 0, 0)], ids=str)
def test_packed_grus_are_torch_s(lengths):
    torch.manual_seed(0)
    sizes = (7, 5, 3)
    grus = [nn.GRU(size, 6, batch_first=True, bidirectional=True).double() for size in sizes]
    inputs = [torch.randn(n, size, dtype=torch.float64) for n, size in zip(lengths, sizes, strict=True)]
    found = PackedGrus.of(grus).run([rows.numpy() for rows in inputs])
    assert found.shape == (3, max(lengths), 12)
    with torch.no_grad():
        for gru, rows, states in zip(grus, inputs, found, strict=True):
            if len(rows):
                np.testing.assert_allclose(states[: len(rows)], gru(rows.unsqueeze(0))[0][0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("gaps", GAPS.values(), ids=GAPS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("form", [to_quick, to_traceable])
def test_cim_for_one_video_says_what_cim_says(form, settings, gaps):
    for size in (1, 2, 3):
        for inputs in itertools.combinations(Modality, size):
            torch.manual_seed(0)
            network = build_model("cim", {m: N_FEATURES[m] for m in inputs}, TASKS, settings).double().eval()
            batch = random_batch((9,), inputs, dtype=torch.float64)
            for modality in set(gaps) & set(inputs):
                for utterance in gaps[modality]:
                    batch = drop(batch, modality, 0, utterance)
            with torch.no_grad():
                expected, found = network(batch), form(network)(batch)
            torch.testing.assert_close(found.logits, expected.logits, atol=1e-12, rtol=0)
            assert list(found.attention) == list(expected.attention)
            for name, weights in expected.attention.items():
                torch.testing.assert_close(found.attention[name], weights, atol=1e-12, rtol=0)


def test_the_network_itself_is_left_as_it_was():
    network = build_model("cim", N_FEATURES, TASKS, SMALL).train()
    kind = type(network)
    assert not to_traceable(network).training
    assert type(network) is kind
    assert network.training


def test_large_states_do_not_overflow():
    """Warnings are errors here: neither the gates nor the attention of extreme features may raise one."""
    network = build_model("cim", N_FEATURES, TASKS, SMALL).eval()
    batch = random_batch((9,))
    batch.features = {m: 1e20 * rows for m, rows in batch.features.items()}
    found = to_quick(network)(batch)
    torch.testing.assert_close(found.logits[EMOTION], network(batch).logits[EMOTION], atol=1e-5, rtol=1e-5)
