"""`blanchard`: sentiment and emotion from voice and face, after a system whose architecture is unknown to us.

Blanchard, Moreira, Bharati, Scheirer: "Getting the subtext without the text: Scalable multimodal sentiment
classification from visual and acoustic modalities", Challenge-HML at ACL 2018.

This network follows the paper in three points: it does not use the transcript, its inputs are high-level features of
voice and face per utterance, and it makes one prediction from both. Everything else is ours: one dense layer per
modality, and one dense layer over their concatenation. There is no symbol table, because we know none of the paper's
equations. The published scores (F1 .8049 on validation, .6325 on the challenge test) are not comparable with those of
this network.
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
from mien.tasks import Task


@dataclass(frozen=True)
class BlanchardSettings(SystemSettings):
    """Settings of the network `blanchard`: sizes of its layers, dropout rates. No value is from the paper."""

    # units of the ReLU layer of each modality
    encoder_size: int = 64
    # units of the ReLU layer over both modalities
    joint_size: int = 64
    # dropout rate before every layer
    dense_dropout: float = 0.3


class Blanchard(nn.Module):
    """Dense layers over the acoustic and the visual vector of an utterance, or over only one of the two.

    If an utterance lacks a modality, the output of the dense layer of this modality is replaced by zero.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: BlanchardSettings) -> None:
        super().__init__()
        self.modalities = [modality for modality in Modality if modality in n_features]
        units, dropout = settings.encoder_size, settings.dense_dropout
        self.encoders = nn.ModuleDict({m: relu_layers((n_features[m], units), dropout) for m in self.modalities})
        self.joint = relu_layers((len(self.modalities) * units, settings.joint_size), dropout)
        self.heads = make_heads(settings.joint_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits (video, utterance, logit) of each task.

        The logits of an utterance do not depend on the other utterances of its video.
        """
        encodings = [
            self.encoders[m](real_rows(batch, batch.features[m])) * batch.present[m][batch.real].unsqueeze(-1)
            for m in self.modalities
        ]
        representation = to_videos(batch, self.joint(torch.cat(encodings, dim=-1)))
        return outputs_from_heads(self.heads, representation)
