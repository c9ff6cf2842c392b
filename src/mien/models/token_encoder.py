"""A public text encoder inside a network: word pieces in, one vector per utterance out, tuned with the rest.

Low-rank adapters: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, by the library peft. The
encoder is all-MiniLM-L6-v2 (see `features.minilm`). n = utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mien.errors import MissingExtraError
from mien.features.minilm import MINILM, minilm_network
from mien.features.model_files import find_model_files

# every linear layer of the encoder: the trial's choice
ADAPTED = ("query", "key", "value", "dense")
# Utterances that are encoded together: so many places at most, and none shorter than this share of the longest, so that
# little of the work is padding.
CHUNK_TOKENS = 1024
LEAST_SHARE = 0.8


class Tuning(StrEnum):
    """What of the encoder is learned."""

    ADAPTERS = "adapters"  # a low-rank addition to every linear layer
    FULL = "full"  # every weight
    FROZEN = "frozen"  # nothing


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

    def __init__(self, network: nn.Module, tuning: Tuning, rank: int, alpha: float) -> None:
        super().__init__()
        self.n_features = int(cast(Any, network.config).hidden_size)
        self.network: nn.Module = network.requires_grad_(tuning is Tuning.FULL)
        if tuning is Tuning.FULL:
            for parameter in network.parameters():
                # until here it lies in the memory of the encoder's file
                parameter.data = parameter.data.clone()
        if tuning is Tuning.ADAPTERS:
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
