"""Settings of the training loop; the network's own stand beside the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainSettings:
    """How a network is fitted. Defaults follow the released script, but for early stopping and input scaling."""

    # passes over the train split (released: 50)
    epochs: int = 50
    # what the chosen epoch is best at on valid: roc_auc (mean over the tasks) or loss
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
    # weights of the two tasks' losses (released: 1 and 1)
    sentiment_weight: float = 1.0
    emotion_weight: float = 1.0
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
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise ValueError(f"Expected batch_tokens to be at least 1 or none, but got {self.batch_tokens}")
        if self.encoder_learning_rate is not None and not self.encoder_learning_rate > 0:
            raise ValueError(f"Expected encoder_learning_rate > 0 or none, but got {self.encoder_learning_rate}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"Expected warmup in [0, 1), but got {self.warmup}")
        if self.select_by not in ("roc_auc", "loss"):
            raise ValueError(f"Expected select_by to be roc_auc or loss, but got {self.select_by!r}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"Expected patience to be at least 1 or none, but got {self.patience}")
        for name in ("sentiment_weight", "emotion_weight", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Expected {name} to be a number from 0 on, but got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"Expected learning_rate > 0, but got {self.learning_rate}")
