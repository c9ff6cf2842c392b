"""`mfn`: memory fusion network, with an LSTM per modality, attention over the changes of their memories, gated memory.

Zadeh, Liang, Mazumder, Poria, Cambria, Morency: "Memory Fusion Network for Multi-view Sequential Learning", AAAI 2018.

    h_t, c_t of every view (modality) by a separate LSTM
    c*_t = [c_{t-1}; c_t] of all views;  a_t = softmax(NN_a(c*_t)) over its features;  c^_t = a_t c*_t
    u_t by the gated memory of `memory.py`;  output from [h_T of all views; u_T]

Symbols (paper -> code): h, c -> hidden, memories; c* -> changes; a -> weights; c^ -> weights * changes; u -> memory;
NN_a -> attention. Every NN is a linear layer, ReLU, dropout and a linear layer.

The equations follow the authors' code, whose gates take u_{t-1} in addition to c^_t. The sizes are those that a public
re-implementation (MMSA) tuned on CMU-MOSEI, except for 128 instead of 256 hidden units for each gate, which saves a
quarter of the weights. The learning rate is MMSA's too. Dropout rates and the size of the layer before the heads are
ours, and the optimiser is Adam.

`graph-mfn`: memory fusion network whose attention is a dynamic fusion graph.

Zadeh, Liang, Poria, Cambria, Morency: "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable
Dynamic Fusion Graph", ACL 2018 (P18-1208).

    singleton of view m: v_m = ReLU(W_m [h_{t-1}; h_t] + b_m)
    vertex of a set S of several modalities: v_S = D_S([alpha_{s->S} v_s for every non-empty s properly inside S])
    T = D_T([alpha_{s->T} v_s for every vertex s]);  all alpha = sigmoid(NN_alpha([v_m for every modality]))
    T replaces MFN's c^_t in the gated memory of `memory.py`;  output from [h_T of all views; u_T]

Symbols (paper -> code): h -> hidden; v -> vertices, with names such as "text+visual"; D_S, D_T -> nodes; alpha (the
efficacies) -> efficacies, named by their edge, such as "text->text+visual"; NN_alpha -> efficacy_network; u -> memory.
`Outputs.fusion` contains the mean of each efficacy over the words of an utterance.

The public implementations (the authors' SDK and MMSA) keep the networks D_S in a plain dictionary, where PyTorch does
not find their parameters. These networks are therefore never trained, also in published re-runs. Here they are trained.
The public implementations also apply no sigmoid to alpha (`sigmoid_efficacies` = False). We know only from secondary
sources that the paper applies one.

The singleton, a layer over hidden states, is taken from MMSA. D and NN_alpha consist of a linear layer, ReLU, dropout
and a linear layer; MMSA has two linear layers without an activation between them, which equal one. The sizes of views,
memory, vertices and hidden units of D are those of MMSA for CMU-MOSEI, as is the learning rate. The sizes of the gates'
networks and of the layer before the heads, and the dropout rates, are ours. The optimiser is Adam.
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
from mien.tasks import Task


@dataclass(frozen=True)
class MfnSettings(SystemSettings):
    """Settings of the network `mfn`: sizes of its layers, dropout rates, and number of words per utterance."""

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
    # dropout rates inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # largest number of words that are read from the start of an utterance
    max_words: int = 50


class Mfn(nn.Module):
    """Memory fusion network, for any one, two or three modalities.

    It has one LSTM per modality, attention over the changes of their memories, and a gated memory. With one modality,
    the attention acts only on the memory of this modality. If a word lacks a modality, its vector for that modality is
    zero. If an utterance has no words, its last states are zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: MfnSettings) -> None:
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
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance depend only on the words of this utterance.
        """
        rows, features = read_word_rows(batch, tuple(self.lstms.sizes), self.max_words)
        hidden, memories = self.lstms(rows, features)
        changes = torch.cat([rows.before(memories), memories], dim=1)
        weights = self.attention(changes).softmax(dim=1)
        memory = self.memory(rows, weights * changes)
        representation = to_videos(batch, self.dense(rows.last(torch.cat([hidden, memory], dim=1))))
        return outputs_from_heads(self.heads, representation)


# name of the vertex that has an edge from every other vertex
TOP = "T"


@dataclass(frozen=True)
class GraphMfnSettings(SystemSettings):
    """Settings of the network `graph-mfn`: sizes of its layers, dropout rates, and number of words per utterance."""

    # units of each modality's LSTM and of its vertex
    text_size: int = 64
    acoustic_size: int = 16
    visual_size: int = 64
    # units of every vertex for several modalities, and of the vertex T
    vertex_size: int = 128
    # hidden units of the networks of the vertices and of the efficacy network
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
    # dropout rates inside the networks, and before the heads
    hidden_dropout: float = 0.2
    dense_dropout: float = 0.4
    # largest number of words that are read from the start of an utterance
    max_words: int = 50


class DynamicFusionGraph(nn.Module):
    """Graph with one vertex per non-empty set of modalities, and a final vertex T.

    A vertex is computed from the vertices of its proper subsets, by one weighted edge from each. T is computed from all
    other vertices. With three modalities, there are 7 vertices besides T and 19 edges: 6 into the pairs, 6 into the
    triple and 7 into T. With two modalities, there are 3 vertices besides T and 5 edges. With one, there is 1 vertex
    besides T and 1 edge.
    """

    def __init__(self, sizes: Mapping[Modality, int], settings: GraphMfnSettings) -> None:
        super().__init__()
        subsets = [each for n in range(1, len(sizes) + 1) for each in combinations(sizes, n)]
        # sources of the edges into each vertex, in an order in which the vertices can be computed
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
        """Compute the vertices of the graph, separately for every word.

        Args:
            singletons: By modality, the vectors of the vertex that consists of this modality alone, one row per word.

        Returns:
            The vectors of vertex T (row, vertex); and the weights of the edges (row, edge), in the order of the
            attribute `edges`.
        """
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
    """Memory fusion network with a dynamic fusion graph, for any one, two or three modalities.

    If a word lacks a modality, its vector for that modality is zero. If an utterance has no words, its last states and
    its edge weights are zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: GraphMfnSettings) -> None:
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
        """Compute the logits of each task and the weights of the edges of the fusion graph.

        The results of an utterance depend only on the words of this utterance.

        Returns:
            Logits (video, utterance, logit) by task; and weights (video, utterance) by edge. The weight of an edge is
            averaged over the words of an utterance.
        """
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
