"""`bc-lstm`: hierarchical contextual LSTM, with one LSTM per modality and then one over all modalities.

Poria, Cambria, Hazarika, Majumder, Zadeh, Morency: "Context-Dependent Sentiment Analysis in User-Generated Videos",
ACL 2017 (P17-1081), its bidirectional form (bc-LSTM) with the hierarchical framework.

Adapted: both levels are one network, trained end to end by Adam. In the paper, the network of each modality is first
trained with its own softmax, and then the second level on the activations of the first. The paper's script uses
Adadelta and far more dropout.

Symbols (paper -> code): x_t -> batch.features of one modality; h_t -> states inside ContextEncoder; z_t -> output of
the encoder; level 1, level 2 -> unimodal, fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mien.models.batch import Batch, Outputs
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import ContextEncoder, DropoutRates, SystemSettings
from mien.schema import Modality
from mien.tasks import Task


@dataclass(frozen=True)
class BcLstmSettings(SystemSettings):
    """Settings of the network `bc-lstm`: sizes of its layers, and dropout rates.

    The sizes are those of the published script, but the dropout rates are lower. The script has the rates 0.6 and 0.4
    on the inputs of the two levels, and 0.9 on all states and dense layers. These rates are too high here, because the
    network is trained end to end (docs/benchmarks.md). With the script's rates, the network does not even learn a
    simple rule in synthetic data, and its scores on videos of CMU-MOSEI's train fold are lower.
    """

    # units of each LSTM per direction
    lstm_size: int = 300
    # units of the tanh layer after the LSTM of each modality, and of the ReLU layer after the LSTM of the second level
    unimodal_dense_size: int = 100
    fusion_dense_size: int = 500
    # dropout rates on the features, and on the inputs of the second level (script: 0.6, 0.4)
    input_dropout: float = 0.3
    fusion_input_dropout: float = 0.3
    # dropout rates on the states and the dense layers of each level (script: 0.9)
    unimodal_dropout: float = 0.5
    fusion_dropout: float = 0.5


class BcLstm(nn.Module):
    """Hierarchical contextual LSTM of two levels, for any one, two or three modalities.

    On level 1, each modality is encoded by a separate LSTM. On level 2, one LSTM runs over the concatenated outputs of
    level 1. With one modality there is only level 1, as in the paper.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: BcLstmSettings) -> None:
        super().__init__()
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        dense_size = settings.unimodal_dense_size
        dropouts = DropoutRates(settings.input_dropout, settings.unimodal_dropout, settings.unimodal_dropout)
        self.unimodal = nn.ModuleDict(
            {
                m: ContextEncoder(_bidirectional_lstm(n_features[m], settings), dense_size, "tanh", dropouts)
                for m in self.modalities
            }
        )
        self.fusion: ContextEncoder | None = None
        if len(self.modalities) > 1:
            dropouts = DropoutRates(settings.fusion_input_dropout, settings.fusion_dropout, settings.fusion_dropout)
            lstm = _bidirectional_lstm(len(self.modalities) * dense_size, settings)
            dense_size = settings.fusion_dense_size
            self.fusion = ContextEncoder(lstm, dense_size, "relu", dropouts)
        self.heads = make_heads(dense_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance depend on all utterances of its video.
        """
        states = [self.unimodal[m](batch.features[m], batch.present[m]) for m in self.modalities]
        representation = torch.cat(states, dim=-1)
        if self.fusion is not None:
            # Level 2 visits utterances with at least one modality; missing modalities are zero.
            any_present = torch.stack([batch.present[m] for m in self.modalities]).any(dim=0)
            representation = self.fusion(representation, any_present)
        return outputs_from_heads(self.heads, representation)


def _bidirectional_lstm(n_features: int, settings: BcLstmSettings) -> nn.LSTM:
    return nn.LSTM(n_features, settings.lstm_size, batch_first=True, bidirectional=True)
