"""`blanchard`: sentiment and emotion from voice and face alone, in the spirit of a system whose architecture we lack.

Blanchard, Moreira, Bharati, Scheirer: "Getting the subtext without the text: Scalable multimodal sentiment
classification from visual and acoustic modalities", Challenge-HML at ACL 2018.

What we hold to: no transcript, high-level features of voice and face described per utterance, one joint judgement.
What we made up: everything else. Each modality passes one dense layer, the two are concatenated, one more dense layer
joins them. There is no equation of theirs to give a symbol table of. Their published figures (F1 .8049 on validation,
.6325 on the challenge test) are no target for this network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mien.models.batch import Batch, Outputs, real_rows, to_videos
from mien.models.heads import make_heads, outputs_from_heads
from mien.models.layers import SystemSettings, relu_layers
from mien.schema import Modality


@dataclass(frozen=True)
class BlanchardSettings(SystemSettings):
    """Sizes and regularisation of `blanchard`; all of them ours."""

    # units of the ReLU layer of each modality
    encoder_size: int = 64
    # units of the ReLU layer that joins them
    joint_size: int = 64
    # before every layer
    dense_dropout: float = 0.3


class Blanchard(nn.Module):
    """Dense layers over the acoustic and visual vectors of one utterance; with one of the two, over that one.

    The code of a modality that an utterance lacks is zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: BlanchardSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        units, dropout = settings.encoder_size, settings.dense_dropout
        self.encoders = nn.ModuleDict({m: relu_layers((n_features[m], units), dropout) for m in self.modalities})
        self.joint = relu_layers((len(self.modalities) * units, settings.joint_size), dropout)
        self.heads = make_heads(settings.joint_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output), each utterance judged alone."""
        codes = [
            self.encoders[m](real_rows(batch, batch.features[m])) * batch.present[m][batch.real].unsqueeze(-1)
            for m in self.modalities
        ]
        representation = to_videos(batch, self.joint(torch.cat(codes, dim=-1)))
        return outputs_from_heads(self.heads, representation)
