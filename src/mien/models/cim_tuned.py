"""`cim-tuned`: contextual inter-modal attention over a text encoder that is tuned with it. Beyond the paper.

    t = mean of the encoder's token states (or given features); v, a given;  s = times (gap, duration, start)
    h_X = biGRU([x; s]) over the utterances that have X;  X = tanh(W [h_X; x])
    A_XX = attend(X, X) for every modality, A_XY and A_YX for every pair (paper, Algorithm 1, unchanged)
    Rep_task = relu(W_task [A; X; which modalities are there]), then the head of the task

What differs from `cim`: the encoder learns, the dense layer sees its input beside the recurrence, every modality also
attends to itself, so that words alone have evidence too, and every task has a layer of its own before its head, which
may weigh what is there by what is missing. (One layer for all orders emotions worse: docs/stronger-network.md.)
While training, videos lose modalities at random (modality dropout), so that one network serves every subset of them.

The encoder is all-MiniLM-L6-v2 (see `features.text.minilm`), tuned through low-rank adapters: Hu et al., "LoRA:
Low-Rank Adaptation of Large Language Models", ICLR 2022, by the library peft.

Order of the file: settings, network, encoder, times. Axes: n = real utterances of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mien.errors import MissingExtraError, UsageError
from mien.features.text.minilm import MAX_TOKENS, MINILM, minilm_network
from mien.models.batch import Batch, Outputs, Times, to_videos
from mien.models.cim import attend
from mien.models.fast.autograd import run_grus
from mien.models.fast.dropout import dropout
from mien.models.heads import make_heads
from mien.models.layers import States, SystemSettings
from mien.pretrained import find_model_files
from mien.schema import Modality

Present = Mapping[Modality, Bool[Tensor, "video utterance"]]
NO_ENCODER = "none"
# the layer before the heads where there is one for all
SHARED = "shared"


class EncoderTuning(StrEnum):
    """What of the encoder is learned."""

    ADAPTERS = "adapters"  # a low-rank addition to every linear layer
    FULL = "full"  # every weight
    FROZEN = "frozen"  # nothing


@dataclass(frozen=True)
class CimTunedSettings(SystemSettings):
    """Sizes and regularisation of `cim-tuned`."""

    # what reads the transcripts: minilm, or none where the text is given as features
    encoder: str = "minilm"
    # what of it is learned: adapters, full or frozen
    tuning: str = EncoderTuning.ADAPTERS
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
        if self.tuning not in tuple(EncoderTuning):
            raise ValueError(f"Expected tuning to be one of {', '.join(EncoderTuning)}, but got {self.tuning!r}")
        super().__post_init__()
        if self.max_tokens > MAX_TOKENS:
            raise ValueError(f"Expected max_tokens to be at most {MAX_TOKENS}, but got {self.max_tokens}")


class CimTuned(nn.Module):
    """Any one, two or three modalities; text as transcripts, or as features with ``encoder="none"``.

    An utterance that lacks a modality has a zero state there and takes no attention; the recurrence steps over it.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[str], settings: CimTunedSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = tuple(sorted(n_features, key=list(Modality).index))
        sizes = dict(n_features)
        self.encoder: TokenEncoder | None = None
        if Modality.TEXT in sizes and settings.encoder != NO_ENCODER:
            network, tuning = ENCODERS[settings.encoder](settings.encoder_dropout), EncoderTuning(settings.tuning)
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
        own = self.settings.own_layers
        logits = {task: head(fused[task if own else SHARED]) for task, head in self.heads.items()}
        return Outputs(logits, attention)

    def _pairs(self) -> list[tuple[Modality, Modality]]:
        """Which modality attends to which."""
        return [*product(self.modalities, self.modalities)] if self.settings.attention else []

    def _heard(self, batch: Batch) -> Present:
        """Which utterances have which modality; while training, less than there is."""
        present = {m: batch.present[m] for m in self.modalities}
        if not self.training or len(self.modalities) == 1 or not self.settings.modality_dropout:
            return present
        kept = draw_kept_modalities(len(batch.real), len(self.modalities), self.settings.modality_dropout).to(
            batch.real.device
        )
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
            recurrent = run_grus(grus, list(heard.values()), list(present.values()))
            heard = {m: torch.cat([h, inputs[m]], dim=-1) for m, h in zip(inputs, recurrent, strict=True)}
        states = {}
        for modality, rows in heard.items():
            dense = torch.tanh(self.dense[modality](rows))
            dense = dropout(dense, settings.dense_dropout, self.training)
            # Without this, the dense layer's bias would stand where the modality is missing.
            states[modality] = dense * present[modality].unsqueeze(-1)
        return states


def draw_kept_modalities(n_videos: int, n_modalities: int, rate: float) -> Bool[Tensor, "video modality"]:
    """Which modalities each video keeps: all of them, or with probability `rate` any other subset but the empty one."""
    n_subsets = 2**n_modalities - 1  # number s stands for the modalities whose bit in s is set; the last has all
    subsets = torch.where(torch.rand(n_videos) < rate, torch.randint(1, n_subsets, (n_videos,)), n_subsets)
    return (subsets.unsqueeze(1) >> torch.arange(n_modalities)) & 1 > 0


# the linear layers of the encoder that are adapted: every one
ADAPTED = ("query", "key", "value", "dense")
# Utterances that are encoded together: so many places at most, and none shorter than this share of the longest, so that
# little of the work is padding.
CHUNK_TOKENS = 1024
LEAST_SHARE = 0.8


def load_minilm_encoder(dropout: float) -> nn.Module:
    """The packaged MiniLM, `dropout` on its states. Raises MissingWeightsError, DamagedFileError, MissingExtraError."""
    # No dropout of attention: with it torch leaves its fast kernel.
    changes = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    network: nn.Module = minilm_network(find_model_files(MINILM), **changes)
    return network


# name -> dropout -> a transformers.BertModel; `features.transcript` names the files of the one that users have
ENCODERS: dict[str, Callable[[float], nn.Module]] = {"minilm": load_minilm_encoder}


class TokenEncoder(nn.Module):
    """The mean of an encoder's token states.

    Weights that stay as published are parameters without gradient, which no checkpoint holds.
    """

    def __init__(self, network: nn.Module, tuning: EncoderTuning, rank: int, alpha: float) -> None:
        super().__init__()
        self.n_features = int(cast(Any, network.config).hidden_size)
        self.network: nn.Module = network.requires_grad_(tuning is EncoderTuning.FULL)
        if tuning is EncoderTuning.FULL:
            for parameter in network.parameters():
                # until here it lies in the memory of the encoder's file
                parameter.data = parameter.data.clone()
        if tuning is EncoderTuning.ADAPTERS:
            self.network = _with_adapters(network, rank, alpha)

    def forward(self, ids: Int[Tensor, "n token"], lengths: Int[Tensor, "n"]) -> Float[Tensor, "n feature"]:
        """One vector per utterance, each of at least one token."""
        order = lengths.argsort(descending=True, stable=True)
        sorted_lengths = lengths[order].tolist()
        vectors = [
            self._encode(ids[order[rows], : sorted_lengths[rows.start]], lengths[order[rows]])
            for rows in chunks_of_like_length(sorted_lengths)
        ]
        return torch.cat(vectors)[order.argsort()]

    def _encode(self, ids: Int[Tensor, "n token"], lengths: Int[Tensor, "n"]) -> Float[Tensor, "n feature"]:
        here = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)  # (n, token)
        mask = None if bool(here.all()) else here.to(torch.int64)
        states: Tensor = self.network(input_ids=ids, attention_mask=mask).last_hidden_state  # (n, token, feature)
        kept = here.unsqueeze(-1)
        return states.where(kept, 0.0).sum(dim=1) / lengths.unsqueeze(1)


def chunks_of_like_length(
    lengths: Sequence[int], most_tokens: int = CHUNK_TOKENS, least_share: float = LEAST_SHARE
) -> Iterator[slice]:
    """Cut utterances, longest first, into runs that take at most `most_tokens` places when padded to their longest."""
    start = 0
    for number, length in enumerate(lengths):
        longest = lengths[start]
        too_many = (number - start + 1) * longest > most_tokens
        if number > start and (too_many or length < least_share * longest):
            yield slice(start, number)
            start = number
    if len(lengths):
        yield slice(start, len(lengths))


def _with_adapters(network: nn.Module, rank: int, alpha: float) -> nn.Module:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("peft", "text") from error
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(ADAPTED))
    adapted: nn.Module = inject_adapter_in_model(config, network)
    return adapted


# gap to the utterance before, duration, start; whether the gap, and whether duration and start are known
N_TIME_FEATURES = 5
SECONDS_PER_MINUTE = 60


def time_features(times: Times | None, real: Bool[Tensor, "video utterance"]) -> Float[Tensor, "video utterance 5"]:
    """Numbers of order one: log(1 + seconds) of gap and duration, log(1 + minutes) of the start.

    What is not known is zero, and the last two columns say so. The gap is that between neighbours of the batch, below
    zero where they overlap; the first utterance of a video has none.
    """
    if times is None:
        return torch.zeros(*real.shape, N_TIME_FEATURES, device=real.device)
    known = times.known
    gap_known = torch.zeros_like(known)
    gap_known[:, 1:] = known[:, 1:] & known[:, :-1]
    gap_s = torch.zeros_like(times.start_s)
    gap_s[:, 1:] = times.start_s[:, 1:] - times.end_s[:, :-1]
    columns = [
        _squashed(gap_s).where(gap_known, 0.0),
        _squashed(times.end_s - times.start_s).where(known, 0.0),
        _squashed(times.start_s / SECONDS_PER_MINUTE).where(known, 0.0),
        gap_known.to(gap_s.dtype),
        known.to(gap_s.dtype),
    ]
    return torch.stack(columns, dim=-1)


def _squashed(values: Float[Tensor, "video utterance"]) -> Float[Tensor, "video utterance"]:
    return values.sign() * values.abs().log1p()
