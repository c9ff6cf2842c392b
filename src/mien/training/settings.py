"""Settings of the training loop; the network's own stand beside the network."""

from __future__ import annotations

from dataclasses import dataclass

from mien.schema import Task

# the setting that holds the fixed weight of each task's loss
TASK_WEIGHTS = {task: f"{task}_weight" for task in Task}
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
    # Adam, as in the paper
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
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
        for name in ("epochs", "batch_videos", "threads", "devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} to be at least 1, but got {getattr(self, name)}")
        if self.select_by not in ("roc_auc", "loss"):
            raise ValueError(f"Expected select_by to be roc_auc or loss, but got {self.select_by!r}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"Expected patience to be at least 1 or none, but got {self.patience}")
        for name in (*TASK_WEIGHTS.values(), "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Expected {name} to be a number from 0 on, but got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"Expected learning_rate > 0, but got {self.learning_rate}")
        weights = [self.weight_of(task) for task in Task]
        if self.task_weighting not in ("fixed", UNCERTAINTY):
            raise ValueError(f"Expected task_weighting to be fixed or uncertainty, but got {self.task_weighting!r}")
        if self.task_weighting == UNCERTAINTY and weights != [1.0] * len(weights):
            raise ValueError(
                f"Expected no fixed weights beside task_weighting=uncertainty, but got {weights}; leave one of the two"
            )

    def weight_of(self, task: Task) -> float:
        """The fixed weight of a task's loss."""
        weight: float = getattr(self, TASK_WEIGHTS[task])
        return weight
