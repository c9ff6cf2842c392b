"""Untrained predictors for the export and the prediction of one video: random weights, random scaling."""

from __future__ import annotations

import numpy as np
import torch
from tests.labelled import tasks_named

from mien.models import build_model, model_entry
from mien.schema import FeatureSpace, Modality
from mien.settings import override
from mien.tasks import EMOTION, SENTIMENT
from mien.training.batching import Scaling
from mien.training.predictor import NetworkPredictor

# prime, so that no swapped axis can pass
N_FEATURES = {Modality.TEXT: 7, Modality.ACOUSTIC: 5, Modality.VISUAL: 3}
BOTH = (SENTIMENT, EMOTION)
SMALL_SIZES = {"gru_size": 5, "lstm_size": 5, "dense_size": 3}


def untrained(name, inputs=tuple(Modality), tasks=BOTH):
    """A predictor of the named network, small where its settings allow it."""
    torch.manual_seed(0)
    entry = model_entry(name)
    sizes = {key: value for key, value in SMALL_SIZES.items() if hasattr(entry.settings, key)}
    settings = override(entry.settings, sizes)
    n_features = {m: N_FEATURES[m] for m in inputs}
    return NetworkPredictor(
        build_model(name, n_features, tasks_named(tasks), settings),
        Scaling(
            {m: 3 * torch.randn(n) for m, n in n_features.items()},
            {m: torch.rand(n) + 0.5 for m, n in n_features.items()},
        ),
        tasks,
        {m: FeatureSpace(m, f"made-up-{m}", n) for m, n in n_features.items()},
        entry.input_kind,
    )


def features(inputs, n_utterances, missing=0.0, seed=0):
    """Raw features; a share of the rows is NaN, which says that they are missing."""
    rng = np.random.default_rng(seed)
    rows = {str(m): rng.normal(scale=3, size=(n_utterances, N_FEATURES[m])).astype(np.float32) for m in inputs}
    for matrix in rows.values():
        matrix[rng.random(n_utterances) < missing] = np.nan
    return rows
