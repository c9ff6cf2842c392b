"""`marn`, `mfn` and `graph-mfn` against their equations in numpy, word by word and utterance by utterance."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.labelled import EMOTION, SENTIMENT
from tests.models.batches import N_FEATURES, SILENT, random_batch, spoken_batch
from tests.models.numpy_layers import numpy_dense, numpy_linear

from mien.models.baselines.marn import Marn, MarnSettings
from mien.models.baselines.mfn import GraphMfn, GraphMfnSettings, Mfn, MfnSettings
from mien.schema import Modality

BOTH = (SENTIMENT, EMOTION)
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(Modality, size)]
VIEWS = {"text_size": 5, "acoustic_size": 3, "visual_size": 2}
MARN = MarnSettings(**VIEWS, n_attentions=3, reduced_size=4, code_size=7, hidden_size=6, dense_size=11)
MFN = MfnSettings(**VIEWS, memory_size=7, hidden_size=6, gate_hidden_size=4, dense_size=11)
GRAPH = GraphMfnSettings(
    **VIEWS, vertex_size=6, node_hidden_size=8, memory_size=7, hidden_size=9, gate_hidden_size=4, dense_size=11
)
# What feeds every node, written out: singletons need no feeding, T hears every vertex.
FEEDS = {
    "text+acoustic": ["text", "acoustic"],
    "text+visual": ["text", "visual"],
    "acoustic+visual": ["acoustic", "visual"],
    "text+acoustic+visual": ["text", "acoustic", "visual", "text+acoustic", "text+visual", "acoustic+visual"],
}
VERTICES = {
    ("text",): ["text"],
    ("acoustic",): ["acoustic"],
    ("visual",): ["visual"],
    ("text", "acoustic"): ["text", "acoustic", "text+acoustic"],
    ("text", "visual"): ["text", "visual", "text+visual"],
    ("acoustic", "visual"): ["acoustic", "visual", "acoustic+visual"],
    ("text", "acoustic", "visual"): ["text", "acoustic", "visual", *FEEDS],
}


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def softmax(scores):
    exponents = np.exp(scores - scores.max())
    return exponents / exponents.sum()


def numpy_network(network, row):
    """A linear layer, ReLU, a linear layer."""
    first, second = (layer for layer in network if hasattr(layer, "weight"))
    return numpy_linear(second, np.maximum(numpy_linear(first, row), 0))


def matrix(layer):
    return layer.weight.detach().numpy()


def numpy_cell(inward, recurrent, x, told, memory):
    """One LSTM step with gates i, f, o and candidate: `told` is all that comes from the word before."""
    take, keep, give, candidate = np.split(numpy_linear(inward, x) + matrix(recurrent) @ told, 4)
    memory = sigmoid(keep) * memory + sigmoid(take) * np.tanh(candidate)
    return sigmoid(give) * np.tanh(memory), memory


def numpy_gated_memory(network, fused, memory):
    """u_t from c^_t and u_{t-1}, each gate with its own network of both."""
    n_hidden = network.keep.in_features
    both = np.concatenate([fused, memory])
    gates = []
    for number, second in enumerate((network.keep, network.take)):
        mine = slice(number * n_hidden, (number + 1) * n_hidden)
        weight = np.concatenate([matrix(network.gates_fused)[mine], matrix(network.gates_memory)[mine]], axis=1)
        hidden = weight @ both + network.gates_fused.bias.detach().numpy()[mine]
        gates.append(sigmoid(numpy_linear(second, np.maximum(hidden, 0))))
    return gates[0] * memory + gates[1] * np.tanh(numpy_network(network.candidate, fused))


def sizes_of(subset):
    return {m: VIEWS[f"{m}_size"] for m in subset}


def numpy_marn(network, rows):
    """[h_T of every view; z_T] of one utterance, rows: (word, feature) of each modality."""
    sizes = sizes_of(rows)
    h, c = ({m: np.zeros(size) for m, size in sizes.items()} for _ in range(2))
    z = np.zeros(MARN.code_size)
    for word in range(len(next(iter(rows.values())))):
        for m in rows:
            told = np.concatenate([h[m], z])
            h[m], c[m] = numpy_cell(network.inward[m], network.recurrent[m], rows[m][word], told, c[m])
        together = np.concatenate(list(h.values()))
        copies = np.split(numpy_network(network.attention, together), MARN.n_attentions)
        attended = [softmax(copy) * together for copy in copies]
        reduced, first = [], 0
        for m, size in sizes.items():
            mine = np.concatenate([copy[first : first + size] for copy in attended])
            reduced.append(np.maximum(numpy_linear(network.reduce[m], mine), 0))
            first += size
        z = numpy_network(network.mix, np.concatenate(reduced))
    return np.concatenate([*h.values(), z])


def numpy_views(network, rows):
    """h and c of every view before each word and after it: yields two dictionaries of pairs per word."""
    h, c = ({m: np.zeros(size) for m, size in sizes_of(rows).items()} for _ in range(2))
    for word in range(len(next(iter(rows.values())))):
        earlier_h, earlier_c = dict(h), dict(c)
        for m in rows:
            lstms = network.lstms
            h[m], c[m] = numpy_cell(lstms.inward[m], lstms.recurrent[m], rows[m][word], h[m], c[m])
        yield {m: (earlier_h[m], h[m]) for m in rows}, {m: (earlier_c[m], c[m]) for m in rows}


def numpy_mfn(network, rows):
    """[h_T of every view; u_T] of one utterance."""
    last, u = np.zeros(sum(sizes_of(rows).values())), np.zeros(MFN.memory_size)
    for hidden, memories in numpy_views(network, rows):
        changes = np.concatenate([pair[0] for pair in memories.values()] + [pair[1] for pair in memories.values()])
        fused = softmax(numpy_network(network.attention, changes)) * changes
        u = numpy_gated_memory(network.memory, fused, u)
        last = np.concatenate([now for _, now in hidden.values()])
    return np.concatenate([last, u])


def numpy_graph_mfn(network, rows, squash=sigmoid):
    """[h_T of every view; u_T] of one utterance, and the mean of each edge's efficacy over its words."""
    last, u, efficacies = np.zeros(sum(sizes_of(rows).values())), np.zeros(GRAPH.memory_size), []
    feeds = {node: fed for node, fed in FEEDS.items() if node in VERTICES[tuple(rows)]} | {"T": VERTICES[tuple(rows)]}
    edges = [f"{source}->{node}" for node, fed in feeds.items() for source in fed]
    for hidden, _ in numpy_views(network, rows):
        vertices = {
            str(m): np.maximum(numpy_linear(network.singletons[m], np.concatenate(pair)), 0)
            for m, pair in hidden.items()
        }
        alpha = squash(numpy_network(network.graph.efficacy_network, np.concatenate(list(vertices.values()))))
        strength = dict(zip(edges, alpha, strict=True))
        for node, fed in feeds.items():
            inputs = np.concatenate([strength[f"{source}->{node}"] * vertices[source] for source in fed])
            vertices[node] = numpy_network(network.graph.nodes[node], inputs)
        u = numpy_gated_memory(network.memory, vertices["T"], u)
        last = np.concatenate([now for _, now in hidden.values()])
        efficacies.append(alpha)
    mean = np.mean(efficacies, axis=0) if efficacies else np.zeros(len(edges))
    return np.concatenate([last, u]), dict(zip(edges, mean, strict=True))


def make(build, subset, settings, seed=4):
    torch.manual_seed(seed)
    network = build({m: N_FEATURES[m] for m in subset}, BOTH, settings).double().eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)  # large, so that no gate or softmax is nearly flat
    return network


def utterances(batch, subset):
    return [
        {m: batch.words.features[m][u, :n].numpy() for m in subset} for u, n in enumerate(batch.words.lengths.tolist())
    ]


def assert_logits(network, outputs, batch, states):
    dense = numpy_dense(network.dense, np.stack(states))
    for task, logits in outputs.logits.items():
        expected = numpy_linear(network.heads[task], dense)
        np.testing.assert_allclose(logits[batch.real].detach(), expected, atol=1e-12)
        assert np.ptp(expected, axis=0).min() > 0.01


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
@pytest.mark.parametrize(
    ("build", "settings", "reference"), [(Marn, MARN, numpy_marn), (Mfn, MFN, numpy_mfn)], ids=["marn", "mfn"]
)
def test_equals_its_equations_in_numpy(build, settings, reference, subset):
    network, batch = make(build, subset, settings), spoken_batch(subset)
    states = [reference(network, rows) for rows in utterances(batch, subset)]
    assert (states[SILENT] == 0).all()
    assert_logits(network, network(batch), batch, states)


@pytest.mark.parametrize("squashed", [True, False])
@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_graph_mfn_equals_its_equations_in_numpy(subset, squashed):
    settings = GRAPH if squashed else GraphMfnSettings(**vars(GRAPH) | {"sigmoid_efficacies": False})
    network, batch = make(GraphMfn, subset, settings), spoken_batch(subset)
    squash = sigmoid if squashed else np.asarray
    references = [numpy_graph_mfn(network, rows, squash) for rows in utterances(batch, subset)]
    outputs = network(batch)
    assert_logits(network, outputs, batch, [state for state, _ in references])
    assert list(outputs.fusion) == list(references[0][1])
    assert len(outputs.fusion) == {1: 1, 2: 2 + 3, 3: 6 + 6 + 7}[len(subset)]
    for edge, shares in outputs.fusion.items():
        np.testing.assert_allclose(shares[batch.real].detach(), [mean[edge] for _, mean in references], atol=1e-12)
        assert (shares[~batch.real] == 0).all()
        assert shares[batch.real][SILENT] == 0


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_every_vertex_of_several_modalities_and_t_have_a_network_that_learns(subset):
    """Public codes keep these networks where the optimiser does not find them."""
    torch.manual_seed(6)
    network = GraphMfn({m: N_FEATURES[m] for m in subset}, BOTH, GraphMfnSettings())
    assert set(network.graph.nodes) == {*(v for v in VERTICES[subset] if v in FEEDS), "T"}
    batch = random_batch((5, 2, 3), subset)
    before = {name: p.detach().clone() for name, p in network.graph.nodes.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters())
    outputs = network(batch)
    (
        outputs.logits[SENTIMENT.name][batch.real].square().sum() + outputs.logits[EMOTION.name][batch.real].sum()
    ).backward()
    assert all(p.grad.abs().sum() > 0 for p in network.graph.nodes.parameters())
    optimizer.step()
    assert [name for name, p in network.graph.nodes.named_parameters() if torch.equal(p, before[name])] == []


def test_marns_attentions_are_one_softmax_for_each_copy():
    """With equal scores every feature has weight 1 / features in each copy, whatever the number of copies."""
    network = make(Marn, tuple(Modality), MARN)
    torch.nn.init.zeros_(network.attention[-1].weight)
    torch.nn.init.zeros_(network.attention[-1].bias)
    hidden = torch.randn(2, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    attended = hidden / 10
    reduced = [
        network.reduce[m](torch.cat([part] * MARN.n_attentions, dim=1)).relu()
        for m, part in zip(Modality, attended.split([5, 3, 2], dim=1), strict=True)
    ]
    torch.testing.assert_close(network._code(hidden), network.mix(torch.cat(reduced, dim=1)))


@pytest.mark.parametrize(
    ("build", "name"), [(MarnSettings, "n_attentions"), (MfnSettings, "memory_size"), (GraphMfnSettings, "vertex_size")]
)
def test_wrong_settings_are_refused(build, name):
    with pytest.raises(ValueError, match=f"Expected {name} to be at least 1, but got 0"):
        build(**{name: 0})
    with pytest.raises(ValueError, match=r"Expected hidden_dropout in \[0, 1\), but got 1.0"):
        build(hidden_dropout=1.0)


def test_default_marn_settings():
    assert dataclasses.asdict(MarnSettings()) == {
        "text_size": 128,
        "acoustic_size": 32,
        "visual_size": 128,
        "n_attentions": 4,
        "reduced_size": 32,
        "code_size": 64,
        "hidden_size": 64,
        "dense_size": 64,
        "hidden_dropout": 0.2,
        "dense_dropout": 0.4,
        "max_words": 50,
    }


def test_default_mfn_settings():
    assert dataclasses.asdict(MfnSettings()) == {
        "text_size": 128,
        "acoustic_size": 32,
        "visual_size": 128,
        "memory_size": 128,
        "hidden_size": 128,
        "gate_hidden_size": 128,
        "dense_size": 64,
        "hidden_dropout": 0.2,
        "dense_dropout": 0.4,
        "max_words": 50,
    }


def test_default_graph_mfn_settings():
    assert dataclasses.asdict(GraphMfnSettings()) == {
        "text_size": 64,
        "acoustic_size": 16,
        "visual_size": 64,
        "vertex_size": 128,
        "node_hidden_size": 100,
        "sigmoid_efficacies": True,
        "memory_size": 300,
        "hidden_size": 128,
        "gate_hidden_size": 128,
        "dense_size": 64,
        "hidden_dropout": 0.2,
        "dense_dropout": 0.4,
        "max_words": 50,
    }
