"""`ef-lstm` and `mv-lstm` against their equations in numpy, word by word and utterance by utterance."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, SILENT, spoken_batch
from tests.models.numpy_layers import numpy_dense, numpy_linear

from mien.models.baselines.lstms import TOPOLOGIES, EfLstm, EfLstmSettings, MvLstm, MvLstmSettings
from mien.schema import Modality

BOTH = (SENTIMENT, EMOTION)
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(Modality, size)]
EF = EfLstmSettings(lstm_size=4, dense_size=3)
MV = MvLstmSettings(view_size=6)
# Two of its own units of three, one of three of another view's: written out, not computed by the code under test.
UNITS_READ = {
    "view_specific": ([0, 1, 2, 3, 4, 5], []),
    "coupled": ([], [0, 1, 2, 3, 4, 5]),
    "fully_connected": ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
    "hybrid": ([0, 1, 2, 3], [4, 5]),
}


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def weights_of(module):
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def numpy_lstm(weights, rows):
    """h after the last row (Hochreiter and Schmidhuber 1997 with forget gate; torch's two biases, gates i f g o)."""
    size = weights["weight_hh"].shape[1]
    h = c = np.zeros(size)
    for row in rows:
        z = weights["weight_ih"] @ row + weights["weight_hh"] @ h
        i, f, g, o = (z + weights["bias_ih"] + weights["bias_hh"]).reshape(4, size)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def numpy_mv_lstm(network, topology, rows):
    """h of every view after the last word, by the equations with one matrix per pair of views. rows: by modality."""
    views, size = list(rows), 6
    own, others = UNITS_READ[topology]
    h, c = dict.fromkeys(views, np.zeros(size)), dict.fromkeys(views, np.zeros(size))
    for word in range(len(rows[views[0]])):
        before = dict(h)
        for view in views:
            inward = weights_of(network.inward[view])
            z = inward["weight"] @ rows[view][word] + inward["bias"]
            if view in network.recurrent:
                w = network.recurrent[view].weight.detach().numpy()
                z = z + w[:, : len(own)] @ before[view][own]
                start = len(own)
                for other in [v for v in views if v != view]:
                    z = z + w[:, start : start + len(others)] @ before[other][others]
                    start += len(others)
                assert start == w.shape[1]
            i, f, o, g = z.reshape(4, size)
            c[view] = sigmoid(f) * c[view] + sigmoid(i) * np.tanh(g)
            h[view] = sigmoid(o) * np.tanh(c[view])
    return np.concatenate([h[view] for view in views])


def assert_heads(network, outputs, batch, representation):
    for task, logits in outputs.logits.items():
        expected = numpy_linear(network.heads[task], representation)
        np.testing.assert_allclose(logits[batch.real].detach(), expected, atol=1e-12)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_ef_lstm_equals_its_equations_in_numpy(subset):
    torch.manual_seed(4)
    network = EfLstm({m: N_FEATURES[m] for m in subset}, BOTH, EF).double().eval()
    batch = spoken_batch(subset)
    rows = np.concatenate([batch.words.features[m].numpy() for m in subset], axis=-1)
    weights = weights_of(network.lstm)
    states = np.stack([numpy_lstm(weights, rows[u, :n]) for u, n in enumerate(batch.words.lengths.tolist())])
    assert (states[SILENT] == 0).all()
    assert_heads(network, network(batch), batch, numpy_dense(network.dense, states))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_mv_lstm_equals_its_equations_in_numpy(subset, topology):
    torch.manual_seed(5)
    network = MvLstm({m: N_FEATURES[m] for m in subset}, BOTH, replace(MV, topology=topology)).double().eval()
    batch = spoken_batch(subset)
    states = [
        numpy_mv_lstm(network, topology, {m: batch.words.features[m][u, :n].numpy() for m in subset})
        for u, n in enumerate(batch.words.lengths.tolist())
    ]
    assert (states[SILENT] == 0).all()
    assert_heads(network, network(batch), batch, np.stack(states))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("n_views", [1, 2, 3])
def test_every_topology_can_be_trained_whole(topology, n_views):
    torch.manual_seed(6)
    subset = tuple(Modality)[:n_views]
    network = MvLstm({m: N_FEATURES[m] for m in subset}, BOTH, replace(MV, topology=topology)).double()
    outputs = network(spoken_batch(subset))
    (outputs.logits[SENTIMENT.name].square().sum() + outputs.logits[EMOTION.name].square().sum()).backward()
    assert [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0] == []
    assert len(network.recurrent) == (0 if (topology, n_views) == ("coupled", 1) else n_views)


def test_view_specific_views_do_not_hear_each_other_and_coupled_ones_do():
    """Only the hidden units of the view itself may change when another modality's first word changes."""
    batch, other = spoken_batch(tuple(Modality)), spoken_batch(tuple(Modality))
    other.words.features[Modality.TEXT][:, 0] += 1.0
    other.words.present[Modality.TEXT][:, 0] = batch.words.lengths > 0
    heard = {}
    for topology in TOPOLOGIES:
        torch.manual_seed(7)
        network = MvLstm(N_FEATURES, (SENTIMENT,), replace(MV, topology=topology)).double().eval()
        # the head reads the visual view alone
        torch.nn.init.zeros_(network.heads[SENTIMENT.name].weight[:, :12])
        change = network(batch).logits[SENTIMENT.name] - network(other).logits[SENTIMENT.name]
        heard[topology] = bool((change.abs() > 1e-9).any())
    assert heard == {"view_specific": False, "coupled": True, "fully_connected": True, "hybrid": True}


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="Expected topology to be one of view_specific, coupled, .* but got 'ring'"):
        MvLstmSettings(topology="ring")
    with pytest.raises(ValueError, match="Expected max_words to be at least 1, but got 0"):
        EfLstmSettings(max_words=0)


def test_default_ef_lstm_settings():
    assert dataclasses.asdict(EfLstmSettings()) == {
        "lstm_size": 128,
        "dense_size": 64,
        "state_dropout": 0.4,
        "dense_dropout": 0.4,
        "max_words": 50,
    }


def test_default_mv_lstm_settings():
    assert dataclasses.asdict(MvLstmSettings()) == {
        "topology": "hybrid",
        "view_size": 48,
        "state_dropout": 0.4,
        "max_words": 50,
    }
