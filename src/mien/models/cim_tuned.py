"""`cim-tuned`: contextual inter-modal attention over a text encoder that is tuned with it. Beyond the paper.

    t = mean of the encoder's token states (or given features); v, a given;  s = times (gap, duration, start)
    h_X = biGRU([x; s]) over the utterances that have X;  X = tanh(W [h_X; x])
    A_XX = attend(X, X) for every modality, A_XY and A_YX for every pair (paper, Algorithm 1, unchanged)
    Rep_task = relu(W_task [A; X; which modalities are there]), then the head of the task

What differs from `cim`: the encoder learns, the dense layer sees its input beside the recurrence, every modality also
attends to itself, so that words alone have evidence too, and every task has a layer of its own before its head, which
may weigh what is there by what is missing. (One layer for all orders emotions worse: docs/stronger-network.md.)
While training, videos lose modalities at random (modality dropout), so that one network serves every subset of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mien.errors import UsageError
from mien.features.minilm import MAX_TOKENS
from mien.models.attention import attend
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.checks import check_settings
from mien.models.dropout import dropout
from mien.models.heads import make_heads, outputs_by_task
from mien.models.recurrent import run_together
from mien.models.times import N_TIME_FEATURES, time_features
from mien.models.token_encoder import ENCODERS, TokenEncoder, Tuning
from mien.schema import Modality, Task

States = Float[Tensor, "video utterance feature"]
Present = Mapping[Modality, Bool[Tensor, "video utterance"]]
NO_ENCODER = "none"
# the layer before the heads where there is one for all
SHARED = "shared"


@dataclass(frozen=True)
class CimTunedSettings:
    """Sizes and regularisation of `cim-tuned`."""

    # what reads the transcripts: minilm, or none where the text is given as features
    encoder: str = "minilm"
    # what of it is learned: adapters, full or frozen
    tuning: str = Tuning.ADAPTERS
    # rank of the adapters, and the factor alpha / rank on what they add
    adapter_rank: int = 16
    adapter_alpha: float = 32.0
    # on the states inside the encoder
    encoder_dropout: float = 0.1
    # the first word pieces of an utterance that are read, at most 256
    max_tokens: int = 128
    # units of the GRU per direction, of the dense layer behind it, and of the layer before each head
    gru_size: int = 200
    dense_size: int = 128
    fused_size: int = 256
    # on the inputs, the dense states, and before the heads
    input_dropout: float = 0.1
    dense_dropout: float = 0.2
    fused_dropout: float = 0.2
    # share of the training videos that lose some, never all, of their modalities
    modality_dropout: float = 0.5
    # False: the network is not told when an utterance was said
    times: bool = True
    # False: one layer before all heads, instead of one before each. For ablations
    own_layers: bool = True
    # False: no bi-GRU over the utterances; no attention, and no evidence. For ablations
    recurrence: bool = True
    attention: bool = True

    def __post_init__(self) -> None:
        if self.encoder not in (*ENCODERS, NO_ENCODER):
            raise ValueError(f"Expected encoder to be {', '.join(ENCODERS)} or {NO_ENCODER}, but got {self.encoder!r}")
        if self.tuning not in tuple(Tuning):
            raise ValueError(f"Expected tuning to be one of {', '.join(Tuning)}, but got {self.tuning!r}")
        dropouts = ("encoder_dropout", "input_dropout", "dense_dropout", "fused_dropout", "modality_dropout")
        sizes = ("adapter_rank", "max_tokens", "gru_size", "dense_size", "fused_size")
        check_settings(self, sizes=sizes, rates=dropouts)
        if self.max_tokens > MAX_TOKENS:
            raise ValueError(f"Expected max_tokens to be at most {MAX_TOKENS}, but got {self.max_tokens}")


class CimTuned(nn.Module):
    """Any one, two or three modalities; text as transcripts, or as features with ``encoder="none"``.

    An utterance that lacks a modality has a zero state there and takes no attention; the recurrence steps over it.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: CimTunedSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        sizes = dict(n_features)
        self.encoder: TokenEncoder | None = None
        if Modality.TEXT in sizes and settings.encoder != NO_ENCODER:
            network, tuning = ENCODERS[settings.encoder](settings.encoder_dropout), Tuning(settings.tuning)
            self.encoder = TokenEncoder(network, tuning, settings.adapter_rank, settings.adapter_alpha)
            sizes[Modality.TEXT] = self.encoder.n_features
            self.text_norm = nn.LayerNorm(self.encoder.n_features)
        n_times = N_TIME_FEATURES if settings.times else 0
        gru_size, dense_size = settings.gru_size, settings.dense_size
        recurrent = self.modalities if settings.recurrence else ()
        self.grus = nn.ModuleDict(
            {m: nn.GRU(sizes[m] + n_times, gru_size, batch_first=True, bidirectional=True) for m in recurrent}
        )
        n_beside = 2 * gru_size if settings.recurrence else n_times
        self.dense = nn.ModuleDict({m: nn.Linear(n_beside + sizes[m], dense_size) for m in self.modalities})
        n_blocks = len(self.modalities) + len(self._pairs())
        n_fused = n_blocks * dense_size + len(self.modalities)
        layers = tasks if settings.own_layers else (SHARED,)
        self.fuse = nn.ModuleDict({name: nn.Linear(n_fused, settings.fused_size) for name in layers})
        self.heads = make_heads(settings.fused_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (video, utterance, output) and attention weights (video, utterance, context) for whole videos."""
        present = self._heard(batch)
        states = self._states(batch, present)
        gated, attention = {}, {}
        for asks, answers in self._pairs():
            name = f"{asks}->{answers}"
            gated[name], attention[name] = attend(states[asks], states[answers], present[answers])
        there = torch.stack([present[m] for m in self.modalities], dim=-1)
        blocks = [*gated.values(), *states.values()]
        representation = torch.cat([*blocks, there.to(blocks[0].dtype)], dim=-1)
        rate = self.settings.fused_dropout
        fused = {
            name: dropout(torch.relu(layer(representation)), rate, self.training) for name, layer in self.fuse.items()
        }
        by_task = {task: fused[task if self.settings.own_layers else SHARED] for task in map(Task, self.heads)}
        return outputs_by_task(self.heads, by_task, attention)

    def _pairs(self) -> list[tuple[Modality, Modality]]:
        """Which modality attends to which."""
        return [*product(self.modalities, self.modalities)] if self.settings.attention else []

    def _heard(self, batch: Batch) -> Present:
        """Which utterances have which modality; while training, less than there is."""
        present = {m: batch.present[m] for m in self.modalities}
        if not self.training or len(self.modalities) == 1 or not self.settings.modality_dropout:
            return present
        kept = draw_kept(len(batch.real), len(self.modalities), self.settings.modality_dropout).to(batch.real.device)
        has = torch.stack([mask.any(dim=1) for mask in present.values()], dim=1)  # (video, modality)
        # A video that would lose all it has keeps it.
        kept = kept | ~(kept & has).any(dim=1, keepdim=True)
        return {m: mask & kept[:, number, None] for number, (m, mask) in enumerate(present.items())}

    def _inputs(self, batch: Batch, modality: Modality, present: Bool[Tensor, "video utterance"]) -> States:
        if modality is not Modality.TEXT or self.encoder is None:
            return batch.features[modality].where(present.unsqueeze(-1), 0.0)
        if batch.tokens is None:
            raise UsageError(
                "Expected the tokens of every utterance's transcript, but got text features; read the set with "
                "Reads.TRANSCRIPTS, or build the network with encoder='none'"
            )
        spoken = present[batch.real]  # (n,)
        vectors = torch.zeros(len(spoken), self.encoder.n_features, device=spoken.device)
        if bool(spoken.any()):
            lengths = batch.tokens.lengths[spoken].clamp(max=self.settings.max_tokens)
            read = self.text_norm(self.encoder(batch.tokens.ids[spoken], lengths))
            vectors = vectors.to(read.dtype).index_put((spoken.nonzero().squeeze(1),), read)
        return to_videos(batch, vectors)

    def _states(self, batch: Batch, present: Present) -> dict[Modality, States]:
        settings = self.settings
        inputs = {m: self._inputs(batch, m, here) for m, here in present.items()}
        inputs = {m: dropout(rows, settings.input_dropout, self.training) for m, rows in inputs.items()}
        heard = inputs  # by the recurrence; then by the dense layer
        if settings.times:
            times = time_features(batch.times, batch.real)
            heard = {m: torch.cat([rows, times.to(rows.dtype)], dim=-1) for m, rows in inputs.items()}
        if settings.recurrence:
            grus = [cast(nn.GRU, self.grus[m]) for m in inputs]
            recurrent = run_together(grus, list(heard.values()), list(present.values()))
            heard = {m: torch.cat([h, inputs[m]], dim=-1) for m, h in zip(inputs, recurrent, strict=True)}
        states = {}
        for modality, rows in heard.items():
            dense = torch.tanh(self.dense[modality](rows))
            dense = dropout(dense, settings.dense_dropout, self.training)
            # Without this, the dense layer's bias would stand where the modality is missing.
            states[modality] = dense * present[modality].unsqueeze(-1)
        return states


def draw_kept(n_videos: int, n_modalities: int, rate: float) -> Bool[Tensor, "video modality"]:
    """Which modalities each video keeps: all of them, or with probability `rate` any other subset but the empty one."""
    n_subsets = 2**n_modalities - 1  # number s stands for the modalities whose bit in s is set; the last has all
    subsets = torch.where(torch.rand(n_videos) < rate, torch.randint(1, n_subsets, (n_videos,)), n_subsets)
    return (subsets.unsqueeze(1) >> torch.arange(n_modalities)) & 1 > 0
