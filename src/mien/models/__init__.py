"""Every system, one file each; MODELS is the only place that lists them.

Two kinds: networks (Batch -> Outputs), which the training loop fits, and classical systems (`classical.py`), which are
fitted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mien.errors import UnknownNameError, UsageError
from mien.models.batch import Batch, Outputs, Words
from mien.models.cdbn import CdbnSettings, cdbn_probabilities, fit_cdbn
from mien.models.cim import Cim, CimSettings
from mien.models.classical import ClassicalEntry, ClassicalSpec, Probabilities, Tensors
from mien.models.majority import MajoritySettings, fit_majority, majority_probabilities
from mien.models.mkl_svm import MklSvmSettings, fit_mkl_svm, mkl_svm_probabilities
from mien.models.mm_dictionary import MmDictionarySettings, fit_mm_dictionary, mm_dictionary_probabilities
from mien.models.reads import Reads
from mien.schema import Modality, Task

__all__ = [
    "MODELS",
    "Batch",
    "ClassicalEntry",
    "ClassicalSpec",
    "ModelEntry",
    "Outputs",
    "Probabilities",
    "Reads",
    "Tensors",
    "Words",
    "build_model",
    "model_entry",
    "require_claimed",
]


@dataclass(frozen=True)
class ModelEntry:
    """One network: how to build it, its default settings, and what it asks of the training loop."""

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

MODELS: dict[str, ModelEntry | ClassicalEntry] = {
    "cim": ModelEntry(Cim, CimSettings(), "contextual inter-modal attention, padding masked", _AKHTAR_2019),
    "cim-released": ModelEntry(
        Cim,
        CimSettings(mask_padding=False),
        "the same with the released script's choices: padding takes attention, inputs unscaled, no early stopping",
        _AKHTAR_2019,
        training={"scale_features": False, "patience": None},
    ),
    "majority": ClassicalEntry(
        fit_majority,
        majority_probabilities,
        MajoritySettings(),
        "says of every utterance how frequent each class is on train; looks at nothing",
        "none: the trivial system",
    ),
    "mkl-svm": ClassicalEntry(
        fit_mkl_svm,
        mkl_svm_probabilities,
        MklSvmSettings(),
        "feature selection and a multiple-kernel SVM, one RBF kernel per modality; a stand-in for SPF-GMKL: kernels "
        "weighed by centred alignment, Nyström approximation",
        "Poria et al., ICDM 2016 (doi:10.1109/ICDM.2016.0055)",
    ),
    "mm-dictionary": ClassicalEntry(
        fit_mm_dictionary,
        mm_dictionary_probabilities,
        MmDictionarySettings(),
        "words counted apart by the gesture beside them, then linear SVR and SVMs; adapted: words and gestures are "
        "k-means codewords of their vectors",
        "Zadeh et al., IEEE Intelligent Systems 31(6), 2016 (doi:10.1109/MIS.2016.94)",
        reads=Reads.WORDS,
    ),
    "cdbn": ClassicalEntry(
        fit_cdbn,
        cdbn_probabilities,
        CdbnSettings(),
        "RBM-pretrained, not convolutional: stacked RBMs per modality and jointly, then logistic regression; no text",
        "Ranganathan et al., WACV 2016 (doi:10.1109/WACV.2016.7477679)",
        modalities=(Modality.ACOUSTIC, Modality.VISUAL),
        experimental=True,
    ),
}


def model_entry(name: str) -> ModelEntry | ClassicalEntry:
    """Look a system up. Raises UnknownNameError with the nearest name."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]


def require_claimed(name: str, inputs: Iterable[Modality], tasks: Iterable[Task]) -> None:
    """Raise UsageError unless there is an input and the system claims all inputs and tasks."""
    entry, inputs = model_entry(name), tuple(inputs)
    refused = [str(each) for each in (*inputs, *tasks) if each not in (*entry.modalities, *entry.tasks)]
    if refused or not inputs:
        raise UsageError(
            f"Expected inputs among {', '.join(entry.modalities)} and tasks among {', '.join(entry.tasks)} for {name}, "
            f"but got {', '.join(refused) or 'no input'}; see: mien models"
        )


def build_model(
    name: str, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: Any | None = None
) -> nn.Module:
    """A fresh network with random weights (seed torch first). Raises UnknownNameError or UsageError."""
    entry = model_entry(name)
    if not isinstance(entry, ModelEntry):
        raise UsageError(f"Expected the name of a network, but got {name}, which is fitted once; train it: mien train")
    require_claimed(name, n_features, tasks)
    return entry.build(n_features, tasks, entry.settings if settings is None else settings)
