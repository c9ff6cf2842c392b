"""`tfn`: the tensor against numpy's einsum, and what a missing modality leaves of it."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, drop, random_batch
from tests.models.numpy_layers import numpy_dense, numpy_linear

from mien.models.baselines.tfn import Tfn, TfnSettings, tensor_fusion
from mien.schema import Modality

SETTINGS = TfnSettings(text_size=4, acoustic_size=3, visual_size=2, inference_size=5)
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(Modality, size)]
# one letter per modality; the first axis counts utterances
EINSUM = {1: "ni->ni", 2: "ni,nj->nij", 3: "ni,nj,nk->nijk"}


def numpy_tensor(embeddings):
    factors = [np.concatenate([np.ones((len(rows), 1)), rows], axis=1) for rows in embeddings]
    return np.einsum(EINSUM[len(factors)], *factors).reshape(len(factors[0]), -1)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_the_network_equals_its_equations_in_numpy(subset):
    torch.manual_seed(1)
    network = Tfn({m: N_FEATURES[m] for m in subset}, (SENTIMENT, EMOTION), SETTINGS).double().eval()
    batch = drop(random_batch((5, 2, 3), subset, dtype=torch.float64), subset[0], video=0, utterance=1)
    outputs = network(batch)
    embeddings = []
    for modality in subset:
        rows = numpy_dense(network.embedders[modality], batch.features[modality][batch.real].numpy())
        rows[~batch.present[modality][batch.real].numpy()] = 0
        embeddings.append(rows)
    hidden = numpy_dense(network.inference, numpy_tensor(embeddings))
    for task, logits in outputs.logits.items():
        np.testing.assert_allclose(logits[batch.real].detach(), numpy_linear(network.heads[task], hidden), atol=1e-12)


def test_products_of_two_small_vectors_by_hand():
    fused = tensor_fusion([torch.tensor([[2.0, 3.0]]), torch.tensor([[5.0]])])
    assert fused.tolist() == [[1.0, 5.0, 2.0, 10.0, 3.0, 15.0]]


@pytest.mark.parametrize(("subset", "n_products"), list(zip(SUBSETS, (5, 4, 3, 20, 15, 12, 60), strict=True)))
def test_the_tensor_has_one_entry_per_choice_of_one_or_a_unit_from_each_modality(subset, n_products):
    network = Tfn({m: N_FEATURES[m] for m in subset}, (SENTIMENT,), SETTINGS)
    assert network.inference[1].in_features == n_products


def test_without_one_modality_the_tensor_is_that_of_the_others():
    text, voice, face = (torch.randn(6, size) for size in (4, 3, 2))
    whole = tensor_fusion([text, torch.zeros_like(voice), face]).reshape(6, 5, 4, 3)
    torch.testing.assert_close(whole[:, :, 0].flatten(1), tensor_fusion([text, face]))
    assert (whole[:, :, 1:] == 0).all()


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="Expected visual_size to be at least 1, but got 0"):
        TfnSettings(visual_size=0)
    with pytest.raises(ValueError, match=r"Expected fusion_dropout in \[0, 1\), but got 1"):
        TfnSettings(fusion_dropout=1.0)


def test_default_tfn_settings():
    assert dataclasses.asdict(TfnSettings()) == {
        "text_size": 64,
        "acoustic_size": 16,
        "visual_size": 16,
        "inference_size": 32,
        "embedding_dropout": 0.2,
        "fusion_dropout": 0.4,
    }
