"""Networks: Batch -> Outputs. One file per system; this table is the only place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from torch import nn

from mien.errors import UnknownNameError, UsageError
from mien.models.batch import Batch, Outputs, Words
from mien.models.cim import Cim, CimSettings
from mien.schema import Modality, Task

__all__ = ["MODELS", "Batch", "ModelEntry", "Outputs", "Reads", "Words", "build_model", "model_entry"]


class Reads(StrEnum):
    """What a system takes in to judge one utterance."""

    CONTEXT = "context"  # one vector per modality and utterance, of all utterances of the video
    UTTERANCE = "utterance"  # one vector per modality, of this utterance alone
    WORDS = "words"  # the words of this utterance alone


@dataclass(frozen=True)
class ModelEntry:
    """One system: how to build it, its default settings, and what it asks of the training loop."""

    build: Callable[[Mapping[Modality, int], Sequence[Task], Any], nn.Module]
    settings: Any
    description: str
    citation: str
    reads: Reads = Reads.CONTEXT
    modalities: tuple[Modality, ...] = tuple(Modality)
    tasks: tuple[Task, ...] = (Task.SENTIMENT, Task.EMOTION)
    # training settings that differ from the loop's defaults
    training: Mapping[str, Any] = field(default_factory=dict)
    # what stands here is a free adaptation: not to be reported as the cited system
    experimental: bool = False


_AKHTAR_2019 = "Akhtar et al., NAACL 2019 (N19-1034)"

MODELS: dict[str, ModelEntry] = {
    "cim": ModelEntry(Cim, CimSettings(), "contextual inter-modal attention, padding masked", _AKHTAR_2019),
    "cim-released": ModelEntry(
        Cim,
        CimSettings(mask_padding=False),
        "the same with the released script's choices: padding takes attention, inputs unscaled, no early stopping",
        _AKHTAR_2019,
        training={"scale_features": False, "patience": None},
    ),
}


def model_entry(name: str) -> ModelEntry:
    """Look a system up. Raises UnknownNameError with the nearest name."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]


def build_model(
    name: str, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: Any | None = None
) -> nn.Module:
    """A fresh network with random weights (seed torch first). Raises UnknownNameError or UsageError."""
    entry = model_entry(name)
    refused = [str(each) for each in (*n_features, *tasks) if each not in (*entry.modalities, *entry.tasks)]
    if refused or not n_features:
        raise UsageError(
            f"Expected inputs among {', '.join(entry.modalities)} and tasks among {', '.join(entry.tasks)} for {name}, "
            f"but got {', '.join(refused) or 'no input'}; see: mien models"
        )
    return entry.build(n_features, tasks, entry.settings if settings is None else settings)
