"""Settings of the training loop; the network's own stand beside the network."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mien.tasks import TASKS

# the setting that holds the fixed weight of a task's loss is called like the task with this behind
WEIGHT = "_weight"
UNCERTAINTY = "uncertainty"


@dataclass(frozen=True)
class TrainSettings:
    """How a network is fitted. Defaults follow the released script, but for early stopping and input scaling."""

    # passes over the train split (released: 50)
    epochs: int = 50
    # what the chosen epoch is best at on valid: roc_auc (mean over the tasks; of intensities the concordance) or loss
    select_by: str = "roc_auc"
    # stop after so many epochs without a better validation score; none: never
    patience: int | None = 10
    # whole videos per step (released: 16); over several devices: the global batch
    batch_videos: int = 16
    # most word pieces per step, for systems that read transcripts: a batch ends before batch_videos where they would be
    # more; none: whatever the videos have
    batch_tokens: int | None = None
    # Adam, as in the paper
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    # of what is learned of a text encoder; none: the same as learning_rate
    encoder_learning_rate: float | None = None
    # share of all steps over which the learning rates rise from zero; then constant, or falling to zero at the last
    warmup: float = 0.0
    linear_decay: bool = False
    # standardise every feature column with mean and s.d. of the train split
    scale_features: bool = True
    # how the tasks' losses become one: fixed (the weights below) or uncertainty (weights learned along)
    task_weighting: str = "fixed"
    # weights of the tasks' losses (released: 1 and 1, without intensities)
    sentiment_weight: float = 1.0
    emotion_weight: float = 1.0
    sentiment_intensity_weight: float = 1.0
    emotion_intensity_weight: float = 1.0
    # keep every epoch's weights; the `released` protocol needs them
    keep_epochs: bool = True
    # torch threads: fixed, so that a seed gives the same bits on any number of cores
    threads: int = 1
    # Lightning Fabric's words: cpu, cuda, auto; number of devices; 32-true, bf16-mixed, ...
    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        _require_positive(self)
        if not 0 <= self.warmup < 1:
            raise ValueError(f"Expected warmup in [0, 1), but got {self.warmup}")
        weights = [setting.name for setting in fields(self) if setting.name.endswith(WEIGHT)]
        for name in (*weights, "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Expected {name} to be a number from 0 on, but got {getattr(self, name)}")
        for name, words in (("select_by", ("roc_auc", "loss")), ("task_weighting", ("fixed", UNCERTAINTY))):
            if (value := getattr(self, name)) not in words:
                raise ValueError(f"Expected {name} to be {' or '.join(words)}, but got {value!r}")
        fixed = [self.weight_of(task) for task in TASKS]
        if self.task_weighting == UNCERTAINTY and fixed != [1.0] * len(fixed):
            raise ValueError(
                f"Expected no fixed weights beside task_weighting=uncertainty, but got {fixed}; leave one of the two"
            )

    def weight_of(self, task: str) -> float:
        """The fixed weight of a task's loss: 1 for a task that has no setting for it."""
        weight: float = getattr(self, task + WEIGHT, 1.0)
        return weight


def _require_positive(settings: TrainSettings) -> None:
    for name in ("epochs", "batch_videos", "threads", "devices", "patience", "batch_tokens"):
        if (count := getattr(settings, name)) is not None and count < 1:
            raise ValueError(f"Expected {name} to be at least 1, but got {count}")
    for name in ("learning_rate", "encoder_learning_rate"):
        if (rate := getattr(settings, name)) is not None and not rate > 0:
            raise ValueError(f"Expected {name} > 0, but got {rate}")
