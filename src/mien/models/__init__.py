"""Registry of all systems: `MODELS` is the only list of them. Other files define the systems.

There are two kinds of system. Networks map a `Batch` to `Outputs`, and the training loop fits them. Classical systems
(`classical.base`) are fitted once, without a training loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mien.errors import UnknownNameError, UsageError
from mien.models.baselines.bc_lstm import BcLstm, BcLstmSettings
from mien.models.baselines.blanchard import Blanchard, BlanchardSettings
from mien.models.baselines.cat_lstm import CatLstm, CatLstmSettings
from mien.models.baselines.df import Df, DfSettings
from mien.models.baselines.lstms import EfLstm, EfLstmSettings, MvLstm, MvLstmSettings
from mien.models.baselines.marn import Marn, MarnSettings
from mien.models.baselines.mfn import GraphMfn, GraphMfnSettings, Mfn, MfnSettings
from mien.models.baselines.tfn import Tfn, TfnSettings
from mien.models.baselines.vqa_attention import VqaAttention, VqaAttentionSettings
from mien.models.batch import InputKind
from mien.models.cim import Cim, CimSettings
from mien.models.cim_tuned import CimTuned, CimTunedSettings
from mien.models.classical.base import ClassicalEntry, MajoritySettings, fit_majority, majority_probabilities
from mien.models.classical.cdbn import CdbnSettings, cdbn_probabilities, fit_cdbn
from mien.models.classical.logistic import LogisticSettings, fit_logistic, logistic_probabilities
from mien.models.classical.mkl_svm import MklSvmSettings, fit_mkl_svm, mkl_svm_probabilities
from mien.models.classical.mm_dictionary import (
    MmDictionarySettings,
    fit_mm_dictionary,
    mm_dictionary_probabilities,
)
from mien.schema import SENTIMENT, Modality
from mien.task_kinds import ORDINAL, TASK_KINDS, TaskKind
from mien.tasks import Task

__all__ = ["MODELS", "ModelEntry", "SystemEntry", "build_model", "model_entry", "require_claimed"]


def any_task(_kind: TaskKind) -> bool:
    """Return True. Used for systems that can learn every kind of task, including kinds that are added later."""
    return True


@dataclass(frozen=True)
class ModelEntry:
    """Registry entry of a network.

    It contains the constructor, the default settings, the kind of input, the modalities and tasks that the network
    supports, and training settings that differ from the defaults.
    """

    # (number of features per modality, tasks, settings) -> network
    build: Callable[[Mapping[Modality, int], Sequence[Task], Any], nn.Module]
    settings: Any
    description: str
    citation: str
    input_kind: InputKind = InputKind.CONTEXT
    modalities: tuple[Modality, ...] = tuple(Modality)
    # tells whether the system can learn a kind of task
    claims: Callable[[TaskKind], bool] = any_task
    # task -> kind in which the system learns it where the labels allow it; the default kind for other tasks
    kinds: Mapping[str, str] = field(default_factory=dict)
    # training settings that differ from the loop's defaults
    training: Mapping[str, Any] = field(default_factory=dict)
    # True: a free adaptation, which must not be reported as the cited system
    experimental: bool = False

    def claimed(self, tasks: Mapping[str, Task]) -> tuple[str, ...]:
        """Return the names of those tasks that the system can learn."""
        return tuple(name for name, task in tasks.items() if self.claims(task.row))


SystemEntry = ModelEntry | ClassicalEntry

_AKHTAR_2019 = "Akhtar et al., NAACL 2019 (N19-1034)"

MODELS: dict[str, SystemEntry] = {
    "cim": ModelEntry(Cim, CimSettings(), "contextual inter-modal attention, padding masked", _AKHTAR_2019),
    "cim-released": ModelEntry(
        Cim,
        CimSettings(mask_padding=False),
        "the same with the released script's choices: padding takes attention, inputs unscaled, no early stopping",
        _AKHTAR_2019,
        training={"scale_features": False, "patience": None},
    ),
    "cim-tuned": ModelEntry(
        CimTuned,
        CimTunedSettings(),
        "cim over a text encoder that is tuned with it: reads transcripts, serves any subset of the modalities",
        "beyond the paper (docs/stronger-network.md): MiniLM (Wang et al., NeurIPS 2020), LoRA (Hu et al., ICLR 2022)",
        InputKind.TRANSCRIPTS,
        training={
            "epochs": 3,
            "patience": None,
            "batch_videos": 64,
            "batch_tokens": 1024,
            "encoder_learning_rate": 5e-4,
            "warmup": 0.1,
            "linear_decay": True,
            "threads": 2,
        },
        kinds={SENTIMENT: ORDINAL},
    ),
    "tfn": ModelEntry(
        Tfn,
        TfnSettings(),
        "tensor fusion of utterance vectors (adapted: text is one vector, no LSTM over words; smaller than published)",
        "Zadeh et al., EMNLP 2017 (D17-1115)",
        InputKind.UTTERANCE,
    ),
    "df": ModelEntry(
        Df,
        DfSettings(),
        "fusion of each modality's confidences p, 1 - p (adapted: more labels, trained in one piece, our sizes)",
        "Nojavanasghari et al., ICMI 2016",
        InputKind.UTTERANCE,
    ),
    "blanchard": ModelEntry(
        Blanchard,
        BlanchardSettings(),
        "voice and face without transcript (only in the spirit of the paper: its architecture is not known to us)",
        "Blanchard et al., Challenge-HML at ACL 2018",
        InputKind.UTTERANCE,
        modalities=(Modality.ACOUSTIC, Modality.VISUAL),
    ),
    "ef-lstm": ModelEntry(
        EfLstm,
        EfLstmSettings(),
        "early fusion: one LSTM over concatenated word vectors (no batch normalisation; smaller than published)",
        "the baseline of Zadeh et al., AAAI 2018, on Hochreiter and Schmidhuber, Neural Computation 1997",
        InputKind.WORDS,
        training={"learning_rate": 5e-3, "weight_decay": 1e-4},
    ),
    "mv-lstm": ModelEntry(
        MvLstm,
        MvLstmSettings(),
        "LSTM memory divided among the modalities, four topologies (approximate: equations known at second hand)",
        "Rajagopalan et al., ECCV 2016",
        InputKind.WORDS,
    ),
    "marn": ModelEntry(
        Marn,
        MarnSettings(),
        "several attentions across the modalities' LSTMs at every word, fed back into their gates (our sizes)",
        "Zadeh et al., AAAI 2018 (Multi-attention Recurrent Network)",
        InputKind.WORDS,
    ),
    "mfn": ModelEntry(
        Mfn,
        MfnSettings(),
        "LSTM per modality, attention over how their memories change, gated memory (one layer smaller than MMSA's)",
        "Zadeh et al., AAAI 2018 (Memory Fusion Network)",
        InputKind.WORDS,
        training={"learning_rate": 5e-4},
    ),
    "graph-mfn": ModelEntry(
        GraphMfn,
        GraphMfnSettings(),
        "mfn with a dynamic fusion graph, its node networks trained (in the public codes they are not)",
        "Zadeh et al., ACL 2018 (P18-1208)",
        InputKind.WORDS,
        training={"learning_rate": 2e-3},
    ),
    "concat": ModelEntry(
        Cim,
        CimSettings(attention=False),
        "cim without attention: the modalities' contextual states side by side (the released script's option None)",
        _AKHTAR_2019,
    ),
    "mmmu-ba": ModelEntry(
        Cim,
        CimSettings(
            gru_size=300, dense_size=100, activation="tanh", input_dropout=0.5, state_dropout=0.7, dense_dropout=0.7
        ),
        "bi-modal attention over the utterances, parent of cim; adapted: padding masked, no recurrent dropout",
        "Ghosal et al., EMNLP 2018 (D18-1382)",
        training={"batch_videos": 32, "epochs": 15, "patience": None},
    ),
    "bc-lstm": ModelEntry(
        BcLstm,
        BcLstmSettings(),
        "contextual bi-LSTM per modality, then one over all; adapted: end to end, not in two stages, less dropout",
        "Poria et al., ACL 2017 (P17-1081)",
        training={"batch_videos": 10, "epochs": 200},
    ),
    "cat-lstm": ModelEntry(
        CatLstm,
        CatLstmSettings(),
        "attention over the modalities (AT-Fusion), then a contextual bi-LSTM with attention over the utterances; "
        "adapted: single-level form, fusion softmax over the modalities as the paper means and not as its script does",
        "Poria et al., ICDM 2017 (doi:10.1109/ICDM.2017.134)",
    ),
    "vqa-attention": ModelEntry(
        VqaAttention,
        VqaAttentionSettings(),
        "question-guided one-way attention from visual question answering in the place of cim's; adapted: utterances "
        "of one modality ask, those of another are the image regions",
        "Teney et al., 2017 (arXiv 1708.02711)",
        experimental=True,
    ),
    "majority": ClassicalEntry(
        fit_majority,
        majority_probabilities,
        MajoritySettings(),
        "says of every utterance how frequent each class is on train, and the median intensity; looks at nothing",
        "none: the trivial system",
        claims=any_task,
    ),
    "logistic": ClassicalEntry(
        fit_logistic,
        logistic_probabilities,
        LogisticSettings(),
        "logistic regression on the features of the utterance, penalty chosen on valid: a linear probe",
        "Cox, Journal of the Royal Statistical Society B 20, 1958",
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
        input_kind=InputKind.WORDS,
        claims=any_task,
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


def model_entry(name: str) -> SystemEntry:
    """Return the registry entry of a system.

    Raises:
        UnknownNameError: No system has this name. The message suggests the nearest one.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]


def require_claimed(name: str, inputs: Iterable[Modality], tasks: Iterable[Task]) -> None:
    """Check that a system supports the requested input modalities and tasks.

    Args:
        name: Key of `MODELS`.
        inputs: Modalities that the system is to get as input; at least one is required.
        tasks: Tasks that the system is to learn.

    Raises:
        UnknownNameError: No system has this name.
        UsageError: There is no input, or the system does not support a modality or a task.
    """
    entry, inputs, tasks = model_entry(name), tuple(inputs), tuple(tasks)
    refused = [str(each) for each in inputs if each not in entry.modalities]
    unlearnable = [f"the {task.kind} task {task.name}" for task in tasks if not entry.claims(task.row)]
    if refused or unlearnable or not inputs:
        kinds = ", ".join(kind for kind, row in TASK_KINDS.items() if entry.claims(row))
        raise UsageError(
            f"Expected inputs among {', '.join(entry.modalities)} and tasks of the kinds {kinds} for {name}, "
            f"but got {', '.join([*refused, *unlearnable]) or 'no input'}; see: mien models"
        )


def build_model(
    name: str, n_features: Mapping[Modality, int], tasks: Sequence[Task], settings: Any | None = None
) -> nn.Module:
    """Build an untrained network. Weights that are not pretrained are drawn from torch's global random generator.

    Args:
        name: Key of `MODELS` whose entry is a `ModelEntry`.
        n_features: Number of features of each input modality.
        tasks: Tasks to learn; the network gets one head (output layer) per task.
        settings: Settings of the network. If it is None, the default settings of the network are used.

    Returns:
        The network, in training mode.

    Raises:
        UnknownNameError: No system has this name.
        UsageError: The system is not a network, or does not support a modality or a task.
    """
    entry = model_entry(name)
    if not isinstance(entry, ModelEntry):
        raise UsageError(f"Expected the name of a network, but got {name}, which is fitted once; train it: mien train")
    require_claimed(name, n_features, tasks)
    return entry.build(n_features, tasks, entry.settings if settings is None else settings)
