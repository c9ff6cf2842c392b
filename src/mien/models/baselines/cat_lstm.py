"""`cat-lstm`: attention-based fusion of the modalities, then a contextual LSTM with attention over the utterances.

Poria, Cambria, Hazarika, Mazumder, Zadeh, Morency: "Multi-level Multiple Attentions for Contextual Multimodal Sentiment
Analysis", ICDM 2017 (AT-Fusion and CAT-LSTM), in its single-level form: the modalities are fused before the context.

Adapted: the sizes and the bilinear score of utterances are those of the authors' later script. The recurrence of the
script is a GRU with one cell for both directions; here it is the LSTM of the paper, with separate weights per
direction. The fusion softmax of the script runs over an axis of size one, so that every modality has weight 1. Here the
weights (shares) of the modalities that are present sum to 1, as the paper intends. A moderate dropout replaces the L2
penalty of the script.

Symbols (paper -> code): B_m -> equal[m] (modality m as `dense_size` features); P_F, W_F -> `fusion_hidden`; w_F ->
`fusion_score`; alpha_F -> shares; F -> fused; h_t -> states; alpha_t -> attention; r_t -> attended; h*_t ->
representation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from mien.models.batch import Batch, Outputs
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import States, SystemSettings, Weights, masked_softmax, run_bidirectional
from mien.schema import FUSED, Modality
from mien.tasks import Task


@dataclass(frozen=True)
class CatLstmSettings(SystemSettings):
    """Settings of the network `cat-lstm`: sizes of its layers, attention over utterances, and dropout rates."""

    # features of every modality after its dense layer, before the fusion
    dense_size: int = 200
    # units of the LSTM per direction
    lstm_size: int = 100
    # False: no attention over the utterances; the heads take the states of the LSTM as input
    utterance_attention: bool = True
    # dropout rates on the features, on the fused utterances, and on the representation
    input_dropout: float = 0.3
    fused_dropout: float = 0.3
    state_dropout: float = 0.3


class CatLstm(nn.Module):
    """Attention-based fusion of the modalities (AT-Fusion), then an LSTM with attention over utterances (CAT-LSTM).

    With one modality there is no fusion, and the LSTM takes this modality as input.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: CatLstmSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        self.equal = nn.ModuleDict({m: nn.Linear(n_features[m], settings.dense_size) for m in self.modalities})
        if len(self.modalities) > 1:
            self.fusion_hidden = nn.Linear(settings.dense_size, settings.dense_size)
            self.fusion_score = nn.Linear(settings.dense_size, 1, bias=False)
        self.lstm = nn.LSTM(settings.dense_size, settings.lstm_size, batch_first=True, bidirectional=True)
        state_size = 2 * settings.lstm_size
        if settings.utterance_attention:
            self.bilinear = nn.Linear(state_size, state_size, bias=False)
            self.from_attended = nn.Linear(state_size, state_size)
            self.from_state = nn.Linear(state_size, state_size, bias=False)
        self.heads = make_heads(state_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits of each task, the attention weights and the fusion weights.

        Returns:
            Logits (video, utterance, logit) by task. Attention weights (video, utterance, context): how much an
            utterance attends to each utterance of its video. Fusion weights (video, utterance) by modality: how much
            the modality contributes to an utterance.
        """
        settings = self.settings
        fused, any_present, fusion = self._fuse(batch)
        fused = functional.dropout(fused, settings.fused_dropout, self.training)
        representation = run_bidirectional(self.lstm, fused, any_present)
        attention = {}
        if settings.utterance_attention:
            representation, weights = self._attend_to_utterances(representation, any_present)
            name = FUSED if len(self.modalities) > 1 else str(self.modalities[0])
            attention[f"{name}->{name}"] = weights
        representation = functional.dropout(representation, settings.state_dropout, self.training)
        return outputs_from_heads(self.heads, representation, attention=attention, fusion=fusion)

    def _fuse(self, batch: Batch) -> tuple[States, Bool[Tensor, "video utterance"], dict[str, Tensor]]:
        """Fuse the modalities of each utterance into one vector, the weighted sum of the vectors of its modalities.

        The weights are computed by a softmax over the modalities that the utterance has.

        Returns:
            The fused vectors; a mask, True for the utterances that have at least one modality; and the weights by
            modality.
        """
        inputs = {
            m: functional.dropout(batch.features[m], self.settings.input_dropout, self.training)
            for m in self.modalities
        }
        equal = torch.stack([torch.relu(self.equal[m](inputs[m])) for m in self.modalities], dim=2)
        present = torch.stack([batch.present[m] for m in self.modalities], dim=2)  # (video, utterance, modality)
        if len(self.modalities) == 1:
            return equal.squeeze(2), present.squeeze(2), {}
        scores = self.fusion_score(torch.tanh(self.fusion_hidden(equal))).squeeze(-1)
        shares = masked_softmax(scores, present)
        fused = (shares.unsqueeze(-1) * equal).sum(dim=2)  # (video, utterance, feature)
        by_name = {str(m): shares[..., number] for number, m in enumerate(self.modalities)}
        return fused, present.any(dim=2), by_name

    def _attend_to_utterances(
        self, states: Float[Tensor, "video utterance feature"], present: Bool[Tensor, "video utterance"]
    ) -> tuple[States, Weights]:
        """Let every utterance attend to all utterances of its video.

        Let h_t be the state of utterance t. Its attention weights a_tj are the softmax over j of tanh(h_t W h_j), and
        r_t is the sum of a_tj h_j over j. The result is h*_t = tanh(W_p r_t + W_x h_t). W, W_p and W_x are trained
        matrices.

        Returns:
            The vectors h*_t and the attention weights a_tj.
        """
        scores = torch.tanh(self.bilinear(states) @ states.transpose(1, 2))  # (video, utterance, context)
        weights = masked_softmax(scores, present.unsqueeze(1))
        attended = weights @ states
        # The biases make absent utterances non-zero; the mask resets them.
        combined = torch.tanh(self.from_attended(attended) + self.from_state(states)) * present.unsqueeze(-1)
        return combined, weights
