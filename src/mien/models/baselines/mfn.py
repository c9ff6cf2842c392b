"""`mfn`: memory fusion network, with an LSTM per modality, attention over their changes and a gated memory.

Zadeh, Liang, Mazumder, Poria, Cambria, Morency: "Memory Fusion Network for Multi-view Sequential Learning", AAAI 2018.

    h_t, c_t of every view by its own LSTM
    c*_t = [c_{t-1}; c_t] of all views;  a_t = softmax(NN_a(c*_t)) over its features;  c^_t = a_t c*_t
    u_t by the gated memory of `memory.py`;  output from [h_T of all views; u_T]

Symbols: h, c -> hidden, memories; c* -> changes; a -> weights; c^ -> their product; u -> memory; NN_a -> attention. NN
is linear, ReLU, dropout, linear.

The equations follow the authors' code, whose gates read u_{t-1} beside c^_t. Sizes are those that a public
re-implementation (MMSA) tuned on CMU-MOSEI, but with 128 instead of 256 hidden units for each gate, which saves a
quarter of the weights. The learning rate is MMSA's too. Dropout rates and the size of the layer before the heads are
ours; the optimiser is Adam.

`graph-mfn`: memory fusion network whose attention is a dynamic fusion graph.

Zadeh, Liang, Poria, Cambria, Morency: "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable
Dynamic Fusion Graph", ACL 2018 (P18-1208).

    singleton of view m: v_m = ReLU(W_m [h_{t-1}; h_t] + b_m)
    vertex of a set S of several modalities: v_S = D_S([alpha_{s->S} v_s for every non-empty s properly inside S])
    T = D_T([alpha_{s->T} v_s for every vertex s]);  all alpha = sigmoid(NN_alpha([v_m for every modality]))
    T replaces MFN's c^_t in the gated memory of `memory.py`;  output from [h_T of all views; u_T]

Symbols: h -> hidden; v -> vertices, named "text+visual"; D_S, D_T -> nodes; alpha -> efficacies, named by their edge
"text->text+visual", the mean over an utterance's words in Outputs.fusion; NN_alpha -> efficacy_network; u -> memory.

The public implementations (the authors' SDK and MMSA) keep the networks D_S in a plain dictionary, where PyTorch does
not find their parameters, so these are never trained, also in published re-runs. Here they are trained. Those
implementations also apply no sigmoid to alpha (`sigmoid_efficacies` = False); that the paper applies one, we know only
from secondary sources.

The singleton, a layer over hidden states, is MMSA's. D and NN_alpha are linear, ReLU, dropout, linear; MMSA has two
linear layers without an activation, which equal one. Views, memory, vertices and the hidden units of D have MMSA's
sizes for CMU-MOSEI, and the learning rate is MMSA's; the gates' networks, dropout rates and the layer before the heads
are ours; the optimiser is Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mien.models.baselines.memory import GatedMemory, ViewLstms, by_view
from mien.models.baselines.words import WordRows, read_word_rows
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import SystemSettings, two_layers, view_sizes
from mien.schema import Modality


@dataclass(frozen=True)
class MfnSettings(SystemSettings):
    """Sizes and regularisation of `mfn`."""

    # units of each modality's LSTM
    text_size: int = 128
    acoustic_size: int = 32
    visual_size: int = 128
    # units of the gated memory
    memory_size: int = 128
    # hidden units of the attention network and of the network of the memory candidate
    hidden_size: int = 128
    # hidden units of each gate's network
    gate_hidden_size: int = 128
    # units of the ReLU layer before the heads
    dense_size: int = 64
    # inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # the first words of an utterance that are read
    max_words: int = 50


class Mfn(nn.Module):
    """Memory fusion of any one, two or three modalities.

    With one modality, the attention compares the features of its memory. A word that lacks a modality is zero in that
    view; an utterance without words ends with zero states.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: MfnSettings) -> None:
        super().__init__()
        self.max_words = settings.max_words
        sizes = view_sizes(settings, n_features)
        n_units = sum(sizes.values())
        self.lstms = ViewLstms(n_features, sizes)
        self.attention = two_layers(2 * n_units, settings.hidden_size, 2 * n_units, settings.hidden_dropout)
        self.memory = GatedMemory(2 * n_units, settings)
        dense = nn.Linear(n_units + settings.memory_size, settings.dense_size)
        self.dense = nn.Sequential(dense, nn.ReLU(), nn.Dropout(settings.dense_dropout))
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute logits (video, utterance, output) from the words of each utterance alone."""
        rows, features = read_word_rows(batch, tuple(self.lstms.sizes), self.max_words)
        hidden, memories = self.lstms(rows, features)
        changes = torch.cat([rows.before(memories), memories], dim=1)
        weights = self.attention(changes).softmax(dim=1)
        memory = self.memory(rows, weights * changes)
        representation = to_videos(batch, self.dense(rows.last(torch.cat([hidden, memory], dim=1))))
        return outputs_from_heads(self.heads, representation)


# name of the node that every other node feeds
TOP = "T"


@dataclass(frozen=True)
class GraphMfnSettings(SystemSettings):
    """Sizes and regularisation of `graph-mfn`."""

    # units of each modality's LSTM and of its vertex
    text_size: int = 64
    acoustic_size: int = 16
    visual_size: int = 64
    # units of every vertex of several modalities and of T
    vertex_size: int = 128
    # hidden units of the node networks and of the efficacy network
    node_hidden_size: int = 100
    # False: no sigmoid on efficacies, as in the public implementations
    sigmoid_efficacies: bool = True
    # units of the gated memory
    memory_size: int = 300
    # hidden units of the network of the memory candidate, and of each gate's network
    hidden_size: int = 128
    gate_hidden_size: int = 128
    # units of the ReLU layer before the heads
    dense_size: int = 64
    # inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # the first words of an utterance that are read
    max_words: int = 50


class DynamicFusionGraph(nn.Module):
    """Graph with a vertex per set of modalities, fed by its proper subsets, and a vertex T, fed by all.

    Numbers of vertices (without T) and edges: 7 and 6 + 6 + 7 for three modalities, 3 and 2 + 3 for two, 1 and 1 for
    one.
    """

    def __init__(self, sizes: Mapping[Modality, int], settings: GraphMfnSettings) -> None:
        super().__init__()
        subsets = [each for n in range(1, len(sizes) + 1) for each in combinations(sizes, n)]
        # sources of each node, in an order in which the nodes can be computed
        self.sources = {
            "+".join(target): ["+".join(each) for each in subsets if set(each) < set(target)]
            for target in subsets
            if len(target) > 1
        } | {TOP: ["+".join(each) for each in subsets]}
        self.edges = [f"{source}->{target}" for target, sources in self.sources.items() for source in sources]
        self.squash = settings.sigmoid_efficacies
        hidden, dropout = settings.node_hidden_size, settings.hidden_dropout
        width = {str(m): size for m, size in sizes.items()} | dict.fromkeys(self.sources, settings.vertex_size)
        self.efficacy_network = two_layers(sum(sizes.values()), hidden, len(self.edges), dropout)
        self.nodes = nn.ModuleDict(
            {
                target: two_layers(sum(width[source] for source in sources), hidden, settings.vertex_size, dropout)
                for target, sources in self.sources.items()
            }
        )

    def forward(
        self, singletons: Mapping[Modality, Float[Tensor, "row feature"]]
    ) -> tuple[Float[Tensor, "row vertex"], Float[Tensor, "row edge"]]:
        """Compute T and the efficacies, in the order of `edges`, for every word separately."""
        efficacies = self.efficacy_network(torch.cat(list(singletons.values()), dim=1))
        if self.squash:
            efficacies = efficacies.sigmoid()
        by_edge = dict(zip(self.edges, efficacies.split(1, dim=1), strict=True))  # (row, 1) each
        vertices = {str(m): rows for m, rows in singletons.items()}
        for target, sources in self.sources.items():
            inputs = [by_edge[f"{source}->{target}"] * vertices[source] for source in sources]
            vertices[target] = self.nodes[target](torch.cat(inputs, dim=1))
        return vertices[TOP], efficacies


class GraphMfn(nn.Module):
    """Memory fusion through the graph for any one, two or three modalities.

    A word that lacks a modality is zero in that view. An utterance without words ends with zero states, and its
    efficacies in `Outputs.fusion` are zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: GraphMfnSettings) -> None:
        super().__init__()
        self.max_words = settings.max_words
        sizes = view_sizes(settings, n_features)
        self.lstms = ViewLstms(n_features, sizes)
        self.singletons = nn.ModuleDict({m: nn.Linear(2 * size, size) for m, size in sizes.items()})
        self.graph = DynamicFusionGraph(sizes, settings)
        self.memory = GatedMemory(settings.vertex_size, settings)
        dense = nn.Linear(sum(sizes.values()) + settings.memory_size, settings.dense_size)
        self.dense = nn.Sequential(dense, nn.ReLU(), nn.Dropout(settings.dense_dropout))
        self.heads = make_heads(settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute logits (video, utterance, output) and efficacies from the words of each utterance alone."""
        rows, features = read_word_rows(batch, tuple(self.lstms.sizes), self.max_words)
        hidden, _ = self.lstms(rows, features)
        top, efficacies = self.graph(self._singletons(rows, hidden))
        memory = self.memory(rows, top)
        representation = to_videos(batch, self.dense(rows.last(torch.cat([hidden, memory], dim=1))))
        means = to_videos(batch, rows.mean(efficacies))
        return outputs_from_heads(
            self.heads,
            representation,
            fusion={edge: means[..., number] for number, edge in enumerate(self.graph.edges)},
        )

    def _singletons(
        self, rows: WordRows, hidden: Float[Tensor, "row unit"]
    ) -> dict[Modality, Float[Tensor, "row feature"]]:
        sizes = self.lstms.sizes
        pairs = zip(sizes, by_view(rows.before(hidden), sizes), by_view(hidden, sizes), strict=True)
        return {m: self.singletons[m](torch.cat([earlier, later], dim=1)).relu() for m, earlier, later in pairs}
