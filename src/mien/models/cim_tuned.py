"""`cim-tuned`: contextual inter-modal attention over a text encoder that is trained with it.

    inputs x: t = mean of the encoder's token states (or text features);  v, a = features of face and voice
    s = features of the utterance's time, and of its speaker (`models.turns`)
    h_X = biGRU([x; s]) over the utterances that have modality X;  states X = tanh(W [h_X; x])
    A_XX = attend(X, X) for every modality, A_XY and A_YX for every pair (paper, Algorithm 1, unchanged)
    Rep_task = relu(W_task [all A; all X; which modalities are present]), then the head of the task

The network goes beyond the paper. Differences from `cim`:

- The text encoder is trained with the network.
- The dense layer takes the inputs in addition to the states of the recurrence.
- Every modality also attends to itself, so that text alone has attention weights too.
- Every task has a separate layer before its head. Its inputs include which modalities are present. (If all tasks share
  this layer, emotions are ranked worse: docs/stronger-network.md.)
- During training, modalities of random videos are removed (modality dropout), so that one network works for every
  subset of the modalities.

The encoder is all-MiniLM-L6-v2 (see `features.text.minilm`), tuned through low-rank adapters: Hu et al., "LoRA:
Low-Rank Adaptation of Large Language Models", ICLR 2022, by the library peft.

Order of the file: settings, network, encoder. Axes: n = utterances of a batch, without padding.
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
from mien.models.batch import Batch, Outputs, to_videos
from mien.models.cim import attend
from mien.models.fast.autograd import run_grus
from mien.models.fast.dropout import dropout
from mien.models.heads import make_heads
from mien.models.layers import States, SystemSettings
from mien.models.turns import N_SPEAKER_FEATURES, N_TIME_FEATURES, speaker_features, time_features
from mien.pretrained import find_model_files
from mien.schema import Modality
from mien.tasks import Task

Present = Mapping[Modality, Bool[Tensor, "video utterance"]]
NO_ENCODER = "none"
# key of the layer before the heads if all tasks share that layer
SHARED = "shared"


class EncoderTuning(StrEnum):
    """Which weights of the text encoder are trained: only added low-rank adapters, all weights, or none."""

    ADAPTERS = "adapters"  # a low-rank addition (LoRA) to every linear layer
    FULL = "full"  # every weight
    FROZEN = "frozen"  # nothing


@dataclass(frozen=True)
class CimTunedSettings(SystemSettings):
    """Settings of the network `cim-tuned`: text encoder, sizes of the layers, dropout rates, and optional parts."""

    # encoder of the transcripts: minilm, or none if the text input is features
    encoder: str = "minilm"
    # the part of the encoder that is trained: adapters, full or frozen
    tuning: str = EncoderTuning.ADAPTERS
    # rank of the adapters; alpha / rank scales their output
    adapter_rank: int = 16
    adapter_alpha: float = 32.0
    # dropout rate on the states inside the encoder
    encoder_dropout: float = 0.1
    # largest number of word pieces that are read from the start of an utterance; at most 256
    max_tokens: int = 128
    # units of each GRU per direction, of the dense layer after it, and of the layer before each head
    gru_size: int = 200
    dense_size: int = 128
    fused_size: int = 256
    # dropout rates on the inputs, on the outputs of the dense layers, and before the heads
    input_dropout: float = 0.1
    dense_dropout: float = 0.2
    fused_dropout: float = 0.2
    # probability that a training video loses some, but never all, of its modalities
    modality_dropout: float = 0.5
    # False: the start and end of utterances are not an input
    times: bool = True
    # True: who speaks is an input: the same speaker as before, and the number of the speaker's turn
    speakers: bool = False
    # False: one layer before all heads instead of one per head (for ablations)
    own_layers: bool = True
    # `recurrence` False: no bi-GRU over the utterances; `attention` False: no attention (both for ablations)
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
    """The network `cim-tuned` for any one, two or three modalities.

    The text input is transcripts or, with ``encoder="none"``, text features. The recurrence of a modality skips the
    utterances that lack it. The state of such an utterance in this modality is zero and gets no attention weight.
    """

    def __init__(self, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: CimTunedSettings) -> None:
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
        n_turns = N_TIME_FEATURES * settings.times + N_SPEAKER_FEATURES * settings.speakers
        gru_size, dense_size = settings.gru_size, settings.dense_size
        recurrent = self.modalities if settings.recurrence else ()
        self.grus = nn.ModuleDict(
            {m: nn.GRU(sizes[m] + n_turns, gru_size, batch_first=True, bidirectional=True) for m in recurrent}
        )
        n_beside = 2 * gru_size if settings.recurrence else n_turns
        self.dense = nn.ModuleDict({m: nn.Linear(n_beside + sizes[m], dense_size) for m in self.modalities})
        n_blocks = len(self.modalities) + len(self._attention_pairs())
        n_fused = n_blocks * dense_size + len(self.modalities)
        layers = [task.name for task in tasks] if settings.own_layers else [SHARED]
        self.fuse = nn.ModuleDict({name: nn.Linear(n_fused, settings.fused_size) for name in layers})
        self.heads = make_heads(settings.fused_size, tasks)

    def forward(self, batch: Batch) -> Outputs:
        """Compute the logits of each task, and the attention weights between utterances.

        Returns:
            Logits (video, utterance, logit) by task, and attention weights (video, utterance, context) by direction. In
            the direction "text->visual", the text of each utterance attends to the visual features of all utterances of
            the video.
        """
        present = self._present_after_dropout(batch)
        states = self._states(batch, present)
        gated, attention = {}, {}
        for query, context in self._attention_pairs():
            name = f"{query}->{context}"
            gated[name], attention[name] = attend(states[query], states[context], present[context])
        available = torch.stack([present[m] for m in self.modalities], dim=-1)
        blocks = [*gated.values(), *states.values()]
        representation = torch.cat([*blocks, available.to(blocks[0].dtype)], dim=-1)
        rate = self.settings.fused_dropout
        fused = {
            name: dropout(torch.relu(layer(representation)), rate, self.training) for name, layer in self.fuse.items()
        }
        own_layers = self.settings.own_layers
        logits = {task: head(fused[task if own_layers else SHARED]) for task, head in self.heads.items()}
        return Outputs(logits, attention)

    def _attention_pairs(self) -> list[tuple[Modality, Modality]]:
        """Return all pairs (query, context) of modalities, including pairs of a modality with itself.

        If attention is switched off, the list is empty.
        """
        return [*product(self.modalities, self.modalities)] if self.settings.attention else []

    def _present_after_dropout(self, batch: Batch) -> Present:
        """Return, by modality, a mask that is True for the utterances that have the modality.

        During training, modality dropout removes random modalities of random videos: their mask is then False, too.
        """
        present = {m: batch.present[m] for m in self.modalities}
        if not self.training or len(self.modalities) == 1 or not self.settings.modality_dropout:
            return present
        keep = draw_kept_modalities(len(batch.real), len(self.modalities), self.settings.modality_dropout).to(
            batch.real.device
        )
        available = torch.stack([mask.any(dim=1) for mask in present.values()], dim=1)  # (video, modality)
        # A video that would lose all of its modalities keeps them.
        keep = keep | ~(keep & available).any(dim=1, keepdim=True)
        return {m: mask & keep[:, number, None] for number, (m, mask) in enumerate(present.items())}

    def _inputs(self, batch: Batch, modality: Modality, present: Bool[Tensor, "video utterance"]) -> States:
        if modality is not Modality.TEXT or self.encoder is None:
            return batch.features[modality].where(present.unsqueeze(-1), 0.0)
        if batch.tokens is None:
            raise UsageError(
                "Expected the tokens of every utterance's transcript, but got text features; read the set with "
                "InputKind.TRANSCRIPTS, or build the network with encoder='none'"
            )
        has_text = present[batch.real]  # (n,)
        vectors = torch.zeros(len(has_text), self.encoder.n_features, device=has_text.device)
        if bool(has_text.any()):
            lengths = batch.tokens.lengths[has_text].clamp(max=self.settings.max_tokens)
            encoded = self.text_norm(self.encoder(batch.tokens.ids[has_text], lengths))
            vectors = vectors.to(encoded.dtype).index_put((has_text.nonzero().squeeze(1),), encoded)
        return to_videos(batch, vectors)

    def _states(self, batch: Batch, present: Present) -> dict[Modality, States]:
        settings = self.settings
        inputs = {m: self._inputs(batch, m, mask) for m, mask in present.items()}
        inputs = {m: dropout(rows, settings.input_dropout, self.training) for m, rows in inputs.items()}
        layer_inputs = inputs  # inputs of the recurrence, then of the dense layer
        turns = [time_features(batch.times, batch.real)] if settings.times else []
        turns += [speaker_features(batch.speakers, batch.real)] if settings.speakers else []
        for part in turns:
            layer_inputs = {m: torch.cat([rows, part.to(rows.dtype)], dim=-1) for m, rows in layer_inputs.items()}
        if settings.recurrence:
            grus = [cast(nn.GRU, self.grus[m]) for m in inputs]
            recurrent = run_grus(grus, list(layer_inputs.values()), list(present.values()))
            layer_inputs = {m: torch.cat([h, inputs[m]], dim=-1) for m, h in zip(inputs, recurrent, strict=True)}
        states = {}
        for modality, rows in layer_inputs.items():
            dense = torch.tanh(self.dense[modality](rows))
            dense = dropout(dense, settings.dense_dropout, self.training)
            # The bias of the dense layer makes missing modalities non-zero; the mask resets them.
            states[modality] = dense * present[modality].unsqueeze(-1)
        return states


def draw_kept_modalities(n_videos: int, n_modalities: int, rate: float) -> Bool[Tensor, "video modality"]:
    """Draw at random which modalities each video keeps during training, from torch's global generator.

    Args:
        n_videos: Number of videos.
        n_modalities: Number of modalities; at least 2.
        rate: Probability that a video loses modalities. Such a video keeps at least one modality and loses at least
            one. All such choices are equally likely.

    Returns:
        Mask, True for the modalities that a video keeps.
    """
    n_subsets = 2**n_modalities - 1  # subset s holds the modalities whose bit in s is set; the last holds all
    subsets = torch.where(torch.rand(n_videos) < rate, torch.randint(1, n_subsets, (n_videos,)), n_subsets)
    return (subsets.unsqueeze(1) >> torch.arange(n_modalities)) & 1 > 0


# the linear layers of the encoder that get adapters: all of them
ADAPTED = ("query", "key", "value", "dense")
# Limits of a chunk of utterances that are encoded together: its largest number of tokens, padding included, and the
# smallest ratio of its shortest to its longest utterance. They keep the work on padding small.
CHUNK_TOKENS = 1024
LEAST_SHARE = 0.8


def load_minilm_encoder(dropout: float) -> nn.Module:
    """Load the pretrained text encoder MiniLM (a transformers.BertModel).

    `dropout` is the dropout rate on its hidden states.

    Raises:
        MissingWeightsError: The files of the model are not installed.
        DamagedFileError: A file of the model is damaged.
        MissingExtraError: The extra `text` is not installed.
    """
    # No dropout on attention: it would make torch use a slower kernel.
    changes = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    network: nn.Module = minilm_network(find_model_files(MINILM), **changes)
    return network


# name -> function from a dropout rate to a transformers.BertModel; `features.transcript` names the files of MiniLM
ENCODERS: dict[str, Callable[[float], nn.Module]] = {"minilm": load_minilm_encoder}


class TokenEncoder(nn.Module):
    """Text encoder that returns one vector per utterance: the mean of the hidden states of the utterance's tokens.

    Weights that are not trained have ``requires_grad`` False, and checkpoints do not store them.

    Args:
        network: A transformers.BertModel.
        tuning: Which weights are trained: added low-rank adapters, all weights, or none.
        rank: Rank of the adapters.
        alpha: Scale of the adapters; alpha / rank multiplies their output.
    """

    def __init__(self, network: nn.Module, tuning: EncoderTuning, rank: int, alpha: float) -> None:
        super().__init__()
        self.n_features = int(cast(Any, network.config).hidden_size)
        self.network: nn.Module = network.requires_grad_(tuning is EncoderTuning.FULL)
        if tuning is EncoderTuning.FULL:
            for parameter in network.parameters():
                # a copy, because the parameter still shares memory with the encoder's file
                parameter.data = parameter.data.clone()
        if tuning is EncoderTuning.ADAPTERS:
            self.network = _add_adapters(network, rank, alpha)

    def forward(self, ids: Int[Tensor, "n token"], lengths: Int[Tensor, "n"]) -> Float[Tensor, "n feature"]:
        """Encode utterances, each of which has at least one token.

        Args:
            ids: Index of each token in the encoder's vocabulary, padded on the right.
            lengths: Number of tokens of each utterance.

        Returns:
            One vector per utterance, in the same order.
        """
        order = lengths.argsort(descending=True, stable=True)
        sorted_lengths = lengths[order].tolist()
        vectors = [
            self._encode_chunk(ids[order[rows], : sorted_lengths[rows.start]], lengths[order[rows]])
            for rows in chunks_of_like_length(sorted_lengths)
        ]
        return torch.cat(vectors)[order.argsort()]

    def _encode_chunk(self, ids: Int[Tensor, "n token"], lengths: Int[Tensor, "n"]) -> Float[Tensor, "n feature"]:
        is_token = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)  # (n, token)
        mask = None if bool(is_token.all()) else is_token.to(torch.int64)
        states: Tensor = self.network(input_ids=ids, attention_mask=mask).last_hidden_state  # (n, token, feature)
        token_mask = is_token.unsqueeze(-1)
        return states.where(token_mask, 0.0).sum(dim=1) / lengths.unsqueeze(1)


def chunks_of_like_length(
    lengths: Sequence[int], most_tokens: int = CHUNK_TOKENS, least_share: float = LEAST_SHARE
) -> Iterator[slice]:
    """Divide utterances into chunks, so that the utterances of a chunk have similar numbers of tokens.

    Args:
        lengths: Number of tokens of each utterance, in descending order.
        most_tokens: Largest number of tokens of a chunk after its utterances are padded to the same number of tokens.
        least_share: Smallest ratio between the numbers of tokens of the shortest and the longest utterance of a chunk.

    Yields:
        The utterances of each chunk, as a slice of `lengths`. If one utterance alone exceeds `most_tokens`, it forms a
        chunk by itself.
    """
    start = 0
    for number, length in enumerate(lengths):
        longest = lengths[start]
        too_many = (number - start + 1) * longest > most_tokens
        if number > start and (too_many or length < least_share * longest):
            yield slice(start, number)
            start = number
    if len(lengths):
        yield slice(start, len(lengths))


def _add_adapters(network: nn.Module, rank: int, alpha: float) -> nn.Module:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("peft", "text") from error
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(ADAPTED))
    adapted: nn.Module = inject_adapter_in_model(config, network)
    return adapted
