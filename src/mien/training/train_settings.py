"""Settings of the training loop. The settings of a network itself are defined in the module of that network."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mien.errors import nearest

# The setting "<task>_weight" is the fixed weight of a task's loss; this is its suffix.
WEIGHT = "_weight"
UNCERTAINTY = "uncertainty"
# names that Lightning Fabric knows, without those that need a TPU or further packages
ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "16", "bf16", "32", "64")
# setting -> its possible values
_CHOICES = {
    "select_by": ("roc_auc", "loss"),
    "task_weighting": ("fixed", UNCERTAINTY),
    "accelerator": ACCELERATORS,
    "precision": PRECISIONS,
}


@dataclass(frozen=True)
class TrainSettings:
    """Settings of the training of a network.

    The defaults are those of the paper's released script, except for early stopping and the scaling of the inputs.
    """

    # maximum number of passes over the train split (released script: 50)
    epochs: int = 50
    # validation score that chooses the epoch. "roc_auc": the mean over the tasks of the ROC AUC, or of the concordance
    # index for tasks that predict intensities; the highest wins. "loss": the lowest validation loss wins.
    select_by: str = "roc_auc"
    # early stopping: number of epochs without a better validation score after which training stops; None: never stop
    patience: int | None = 10
    # number of whole videos per step, over all devices together (released script: 16)
    batch_videos: int = 16
    # maximum number of tokens (word pieces) per step, for systems that read transcripts; a step may therefore have
    # fewer than batch_videos videos. None: no limit
    batch_tokens: int | None = None
    # learning rate and weight decay of Adam, the optimizer of the paper
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    # learning rate of the trained parameters of a text encoder; None: the same as learning_rate
    encoder_learning_rate: float | None = None
    # Share of all steps over which the learning rates rise from zero. Afterwards they are constant or, with
    # linear_decay, fall to zero.
    warmup: float = 0.0
    linear_decay: bool = False
    # standardise every feature column with its mean and standard deviation on the train split
    scale_features: bool = True
    # how the losses of the tasks are combined: "fixed" (the weights below) or "uncertainty" (learned weights)
    task_weighting: str = "fixed"
    # fixed weights of the tasks' losses (released script: 1 for sentiment, 1 for emotions; it learns no intensities)
    sentiment_weight: float = 1.0
    emotion_weight: float = 1.0
    sentiment_intensity_weight: float = 1.0
    emotion_intensity_weight: float = 1.0
    # keep the weights of every epoch, which the `released` protocol needs
    keep_epochs: bool = True
    # number of torch threads; it does not depend on the machine, so that a seed gives identical bits on any number of
    # cores
    threads: int = 1
    # arguments of Lightning Fabric: accelerator (auto: a GPU if there is one, else the CPU), number of devices, and
    # precision, such as 32-true or bf16-mixed
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        _require_positive_settings(self)
        if not 0 <= self.warmup < 1:
            raise ValueError(f"Expected warmup in [0, 1), but got {self.warmup}")
        weight_settings = [setting.name for setting in fields(self) if setting.name.endswith(WEIGHT)]
        for name in (*weight_settings, "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Expected {name} to be a number from 0 on, but got {getattr(self, name)}")
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(
                    f"Expected {name} to be {' or '.join(choices)}, but got {value!r}{nearest(value, choices)}"
                )
        fixed = [getattr(self, name) for name in weight_settings]
        if self.task_weighting == UNCERTAINTY and fixed != [1.0] * len(fixed):
            raise ValueError(
                f"Expected no fixed weights beside task_weighting=uncertainty, but got {fixed}; leave one of the two"
            )

    def weight_of(self, task: str) -> float:
        """Return the fixed weight of a task's loss.

        It is the setting `<task>_weight`, or 1 if there is no such setting.
        """
        weight: float = getattr(self, task + WEIGHT, 1.0)
        return weight


def _require_positive_settings(settings: TrainSettings) -> None:
    for name in ("epochs", "batch_videos", "threads", "devices", "patience", "batch_tokens"):
        if (count := getattr(settings, name)) is not None and count < 1:
            raise ValueError(f"Expected {name} to be at least 1, but got {count}")
    for name in ("learning_rate", "encoder_learning_rate"):
        if (rate := getattr(settings, name)) is not None and not rate > 0:
            raise ValueError(f"Expected {name} > 0, but got {rate}")
