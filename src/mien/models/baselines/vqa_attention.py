"""`vqa-attention` (experimental): question-guided one-way attention instead of `cim`'s attention.

Teney, Anderson, He, van den Hengel: "Tips and Tricks for Visual Question Answering: Learnings from the 2017 Challenge",
2017 (arXiv 1708.02711). It is not certain with which paper of that year Akhtar et al. compare; this one
describes such an attention.

Adapted from images to videos: an utterance of one modality is the question, and the utterances of another modality are
the image regions. In each pair, the question is the modality that comes first in the order text, acoustic, visual. The
encoders (bi-GRU, dense layer) and the representation ([joint representations, states]) are those of `cim`, so that the
two networks differ only in their attention. In the paper, the regions are CNN features without a recurrence, and only
the joint representation is classified.

Symbols (paper -> code): q -> question; v_i -> regions; f -> gated tanh; f_a(w; W, W') -> score, question_to_hidden,
region_to_hidden; alpha -> weights; v^ -> weights @ regions; h = f_q(q) * f_v(v^) -> joint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.models.batch import Batch, Outputs
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import ContextEncoder, DropoutRates, States, SystemSettings, Weights, masked_softmax
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class VqaAttentionSettings(SystemSettings):
    """Settings of the network `vqa-attention`: sizes of its layers, dropout rates. The defaults are those of `cim`."""

    # units of the GRU per direction
    gru_size: int = 200
    # units of the ReLU layer after each GRU, and of every gated tanh layer
    dense_size: int = 100
    # dropout rates on the features, the GRU states and the outputs of the dense layer
    input_dropout: float = 0.3
    state_dropout: float = 0.3
    dense_dropout: float = 0.3


class GatedTanh(nn.Module):
    """Gated tanh layer, which computes tanh(W x + b) * sigmoid(W' x + b') for an input x."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.value = nn.Linear(size, size)
        self.gate = nn.Linear(size, size)

    def forward(self, rows: Float[Tensor, "*row feature"]) -> Float[Tensor, "*row feature"]:
        """Apply the layer to each row. The output has as many features as the input."""
        return torch.tanh(self.value(rows)) * torch.sigmoid(self.gate(rows))


class QuestionAttention(nn.Module):
    """Attention from each utterance of one modality (the question) to the utterances of another (the regions).

    For each question, the layer also computes one vector, called the joint representation. It is the product of two
    vectors: one is computed from the question, and the other from the weighted mean of the regions.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        # W [v_i; q] is computed as W_v v_i + W_q q, without a tensor (utterance, context, 2 feature). W computes both
        # the value and the gate of the gated tanh layer.
        self.region_to_hidden = nn.Linear(size, 2 * size)
        self.question_to_hidden = nn.Linear(size, 2 * size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)
        self.question = GatedTanh(size)
        self.answer = GatedTanh(size)

    def forward(
        self,
        question: States,
        regions: States,
        question_present: Bool[Tensor, "video utterance"],
        regions_present: Bool[Tensor, "video context"],
    ) -> tuple[States, Weights]:
        """Compute the attention from each question to the regions of its video.

        Args:
            question: States of the utterances in the modality that is the question.
            regions: States of the utterances in the modality that provides the regions.
            question_present: True for the utterances that have the question's modality.
            regions_present: True for the utterances that have the regions' modality. Only these get attention weight.

        Returns:
            The joint representation of each question, and the attention weights. The joint representation is zero if
            the question or all regions are missing.
        """
        hidden = self.region_to_hidden(regions).unsqueeze(1) + self.question_to_hidden(question).unsqueeze(2)
        value, gate = hidden.chunk(2, dim=-1)  # each (video, utterance, context, feature)
        scores = self.score(torch.tanh(value) * torch.sigmoid(gate)).squeeze(-1)
        weights = masked_softmax(scores, regions_present.unsqueeze(1))
        joint = self.question(question) * self.answer(weights @ regions)
        answerable = question_present & regions_present.any(dim=1, keepdim=True)
        return joint * answerable.unsqueeze(-1), weights


class VqaAttention(nn.Module):
    """Network with question-guided attention between modalities, for any one, two or three modalities.

    The heads take one concatenated vector as input: the joint representations of all pairs of modalities, then the
    states of all modalities. If there is only one modality, it forms a pair with itself.
    """

    def __init__(
        self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: VqaAttentionSettings
    ) -> None:
        super().__init__()
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        self.pairs = list(combinations(self.modalities, 2)) or [(self.modalities[0], self.modalities[0])]
        dropouts = DropoutRates(settings.input_dropout, settings.state_dropout, settings.dense_dropout)
        self.encoders = nn.ModuleDict()
        for modality in self.modalities:
            gru = nn.GRU(n_features[modality], settings.gru_size, batch_first=True, bidirectional=True)
            self.encoders[modality] = ContextEncoder(gru, settings.dense_size, "relu", dropouts)
        self.attentions = nn.ModuleList(QuestionAttention(settings.dense_size) for _ in self.pairs)
        self.heads = make_heads((len(self.pairs) + len(self.modalities)) * settings.dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits of each task, and the attention weights between utterances.

        Returns:
            Logits (video, utterance, logit) by task, and attention weights (video, utterance, context) by direction. In
            the direction "text->visual", the text of each utterance attends to the visual features of all utterances of
            the video.
        """
        present = batch.present
        states = {m: self.encoders[m](batch.features[m], present[m]) for m in self.modalities}
        joints, attention = [], {}
        for (query, context), attend in zip(self.pairs, self.attentions, strict=True):
            joint, weights = attend(states[query], states[context], present[query], present[context])
            joints.append(joint)
            attention[f"{query}->{context}"] = weights
        representation = torch.cat([*joints, *states.values()], dim=-1)
        return outputs_from_heads(self.heads, representation, attention=attention)
