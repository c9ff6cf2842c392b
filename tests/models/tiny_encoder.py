"""A text encoder like the packaged one, but small and random, for `cim-tuned` (encoder="tiny")."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel

from mien.models.cim_tuned import ENCODERS

# as many as the packaged tokeniser knows
N_PIECES = 30522


def load_tiny(dropout):
    config = BertConfig(
        vocab_size=N_PIECES,
        hidden_size=6,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=11,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
    )
    # as published weights are: the same whatever the seed of the network around them
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertModel(config, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def tiny_encoder():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "tiny", load_tiny)
        yield
