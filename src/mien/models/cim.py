"""`cim` and `cim-released`: multi-task network with contextual inter-modal attention.

Akhtar, Chauhan, Ghosal, Poria, Ekbal, Bhattacharyya: "Multi-task Learning for Multi-modal Emotion Recognition and
Sentiment Analysis", NAACL 2019, section 3.1 and Algorithm 1. For every video:

    T = dense(biGRU(t)),  V = dense(biGRU(v)),  A = dense(biGRU(a))
    Atn_XY = attention(X, Y) for the pairs TV, AV, TA:
        M1 = X Y^T           M2 = Y X^T
        N1 = softmax(M1)     N2 = softmax(M2)     by rows, without padding
        O1 = N1 Y            O2 = N2 X
        A1 = O1 * X          A2 = O2 * Y          element by element
        Atn_XY = [A1, A2]
    Rep = [Atn of every pair, T, A, V];  one linear head per task

Symbols (paper -> code): t, v, a -> batch.features; T, V, A -> states; X, Y -> query, context; N -> weights; O ->
attended; A1, A2 -> gated; Rep -> representation; d -> dense_size. The attention has no parameters and does not scale
the scores.

`cim-released` follows the authors' released script where the script differs from the paper. It still differs from the
script in the GRU: `torch.nn.GRU` has no recurrent dropout, and its gates differ in details from the script's.
`concat` is `cim` without the attention.

`mmmu-ba` is the predecessor of `cim` (Ghosal, Akhtar, Chauhan, Poria, Ekbal, Bhattacharyya: "Contextual Inter-modal
Attention for Multi-modal Sentiment Analysis", EMNLP 2018, D18-1382): the same network with other sizes, a tanh layer,
and the sentiment head alone. In this file it can learn any tasks, has no recurrent dropout, and gives no attention to
padding; in the authors' script, padding gets attention weight. The variants MMUU-SA and MU-SA of that paper are
omitted, but `mmmu-ba` on a single modality computes the self-attention of MU-SA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.batch import Batch, Outputs
from mien.models.fast.autograd import attend_pairs, run_grus
from mien.models.fast.dropout import dropout, use_fast
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import DENSE_ACTIVATIONS, States, SystemSettings, Weights, masked_softmax
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class CimSettings(SystemSettings):
    """Settings of the network `cim`: sizes of its layers, dropout rates, and attention.

    The defaults are those of the released script, except that padding gets no attention weight.
    """

    # units of the GRU per direction (released: 200; the paper's text says d = 100)
    gru_size: int = 200
    # units of the dense layer after each GRU, d in Algorithm 1; 0 omits the layer, as the paper's text does
    dense_size: int = 100
    # activation of the dense layer: relu as released, or tanh as in MMMU-BA
    activation: str = "relu"
    # dropout rates on the features, the GRU states and the outputs of the dense layer
    input_dropout: float = 0.3
    state_dropout: float = 0.3
    dense_dropout: float = 0.3
    # False: padding up to `padded_length` utterances gets attention weight, as in the released script
    mask_padding: bool = True
    # number of utterances to which videos are padded if padding is not masked: that of the longest training video (98
    # in CMU-MOSEI)
    padded_length: int = 98
    # False: no attention; Rep consists of the states alone (an ablation of the released script)
    attention: bool = True

    may_be_zero = frozenset({"dense_size", "padded_length"})

    def __post_init__(self) -> None:
        if self.activation not in DENSE_ACTIVATIONS:
            raise ValueError(f"Expected activation to be relu or tanh, but got {self.activation!r}")
        super().__post_init__()


def attend(query: States, context: States, context_present: Bool[Tensor, "video context"]) -> tuple[States, Weights]:
    """Compute the attention from the utterances of a modality X to the utterances of a modality Y.

    The equations are N = softmax(X Y^T) by rows, O = N Y and A = O * X (element by element).

    Args:
        query: States X of the utterances, (video, utterance, feature).
        context: States Y of the utterances, (video, utterance, feature).
        context_present: True for the utterances of Y that may get attention weight, (video, context). All others, such
            as padding, get weight zero. If no utterance of a video may get weight, all weights of this video are zero.

    Returns:
        ``(A, N)``: the gated vectors (video, utterance, feature) and the attention weights (video, utterance, context).
    """
    scores = query @ context.transpose(1, 2)  # (video, utterance, context)
    weights = masked_softmax(scores, context_present.unsqueeze(1))
    attended = weights @ context  # (video, utterance, feature)
    return attended * query, weights


class Cim(nn.Module):
    """The multi-task network with inter-modal attention (Algorithm 1 of the paper), for one, two or three modalities.

    The heads take one concatenated vector as input. It contains the gated vectors of the attention between each pair of
    modalities, then the states of each modality. A single modality attends to itself.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: CimSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        # The pairs (X, Y) as indices into `modalities`, then the same pairs reversed; one modality attends to itself.
        pairs = list(combinations(range(len(self.modalities)), 2))
        self.directions = [*pairs, *((y, x) for x, y in pairs)] or [(0, 0)]
        state_size = settings.dense_size or 2 * settings.gru_size
        self.grus = nn.ModuleDict(
            {m: nn.GRU(n_features[m], settings.gru_size, batch_first=True, bidirectional=True) for m in self.modalities}
        )
        self.dense = nn.ModuleDict(
            {m: nn.Linear(2 * settings.gru_size, settings.dense_size) for m in self.modalities if settings.dense_size}
        )
        n_blocks = len(self.modalities) + (len(self.directions) if settings.attention else 0)
        self.heads = make_heads(n_blocks * state_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits of each task, and the attention weights between utterances.

        Returns:
            Logits (video, utterance, logit) by task, and attention weights (video, utterance, context) by direction. In
            the direction "text->visual", the text of each utterance attends to the visual features of all utterances of
            the video.
        """
        n_utterances = batch.real.shape[1]
        batch, competing = self._slots(batch)
        states = self._states(batch)
        gated, attention = self._attend_modalities(states, competing) if self.settings.attention else ([], {})
        representation = torch.cat([*gated, *states.unbind()], dim=-1)[:, :n_utterances]
        return outputs_from_heads(
            self.heads,
            representation,
            attention={name: weights[:, :n_utterances] for name, weights in attention.items()},
        )

    def _states(self, batch: Batch) -> Float[Tensor, "modality video utterance feature"]:
        """Compute the states of all utterances, by a bidirectional GRU and a dense layer per modality.

        Dropout is applied to the features, to the states of the GRUs and to the outputs of the dense layers.
        """
        settings = self.settings
        presents = [batch.present[m] for m in self.modalities]
        inputs = [dropout(batch.features[m], settings.input_dropout, self.training) for m in self.modalities]
        states = run_grus([cast(nn.GRU, self.grus[m]) for m in self.modalities], inputs, presents)
        if not settings.mask_padding:
            states = torch.stack([fill_padding_as_released(each, batch.real) for each in states.unbind()])
        states = dropout(states, settings.state_dropout, self.training)
        if settings.dense_size:
            pairs = zip(self.modalities, states.unbind(), strict=True)
            states = DENSE_ACTIVATIONS[settings.activation](torch.stack([self.dense[m](each) for m, each in pairs]))
            states = dropout(states, settings.dense_dropout, self.training)
        if settings.mask_padding:
            # The bias of the dense layer makes missing modalities non-zero; the mask resets them.
            states = states * torch.stack(presents).unsqueeze(-1)
        return states

    def _slots(self, batch: Batch) -> tuple[Batch, Bool[Tensor, "modality video utterance"]]:
        """Return the batch, and a mask by modality that is True for the utterances that may get attention weight.

        If `mask_padding` is False, the returned batch is padded to `padded_length` utterances, and padding may get
        attention weight, too.
        """
        if self.settings.mask_padding:
            return batch, torch.stack([batch.present[m] for m in self.modalities])
        batch = pad_to(batch, self.settings.padded_length)
        # In a video longer than `padded_length`, only its utterances get attention weight, not the padding.
        slots = batch.lengths.clamp(min=self.settings.padded_length).unsqueeze(1)
        competing = torch.arange(batch.real.shape[1], device=slots.device) < slots
        return batch, competing.expand(len(self.modalities), *competing.shape)

    def _attend_modalities(
        self,
        states: Float[Tensor, "modality video utterance feature"],
        competing: Bool[Tensor, "modality video utterance"],
    ) -> tuple[list[States], dict[str, Weights]]:
        """Compute the attention between all pairs of modalities.

        Args:
            states: States of the utterances in each modality.
            competing: True for the utterances that may get attention weight.

        Returns:
            A list of gated vectors, two for each pair of modalities (one per direction); and the attention weights by
            direction, such as "text->visual".
        """
        if len(self.modalities) > 1 and use_fast(states):
            results = list(zip(*attend_pairs(states, competing, self.directions), strict=True))
        else:
            results = [attend(states[x], states[y], competing[y]) for x, y in self.directions]
        attended = dict(zip(self.directions, results, strict=True))
        # sorted by pair, so that A1 of each pair is followed by A2 of the same pair
        gated = [attended[direction][0] for direction in sorted(self.directions, key=sorted)]
        names = self.modalities
        return gated, {f"{names[x]}->{names[y]}": weights for (x, y), (_, weights) in attended.items()}


def pad_to(batch: Batch, n_slots: int) -> Batch:
    """Pad the videos of a batch on the right.

    Args:
        batch: Batch of utterance vectors. Its words, tokens and times are dropped.
        n_slots: Number of utterances to which all videos are padded. If the batch already has at least as many, nothing
            is added.

    Returns:
        The padded batch.
    """
    # Slices and products of tensors instead of Python numbers, because an ONNX graph must fit videos of any length.
    extra = torch.arange(n_slots, device=batch.real.device)[batch.real.shape[1] :]
    missing = torch.zeros_like(extra, dtype=torch.bool).expand(batch.real.shape[0], -1)
    return Batch(
        features={m: torch.cat([x, missing.unsqueeze(2) * x[:, :1]], dim=1) for m, x in batch.features.items()},
        present={m: torch.cat([mask, missing], dim=1) for m, mask in batch.present.items()},
        lengths=batch.lengths,
        real=torch.cat([batch.real, missing], dim=1),
    )


def fill_padding_as_released(
    states: Float[Tensor, "video utterance state"], real: Bool[Tensor, "video utterance"]
) -> Float[Tensor, "video utterance state"]:
    """Set the GRU states of padding to the values that they have in the script published by the authors of CIM.

    That script uses a masked GRU of Keras: the forward half of such a state is the forward state of the last utterance
    of the video, and the backward half is zero.

    Args:
        states: Forward and backward states of one modality, concatenated.
        real: False for padding. Every video has at least one utterance that is not padding.

    Returns:
        The states. Only those of padding have changed.
    """
    half = states.shape[-1] // 2
    last = (real.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, half)
    repeated = torch.cat([states[..., :half].gather(1, last), states.new_zeros(states.shape[0], 1, half)], dim=-1)
    return torch.where(real.unsqueeze(-1), states, repeated)
