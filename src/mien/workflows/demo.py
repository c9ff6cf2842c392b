"""`mien demo`: the paper's network on a small set with a planted rule, with and without context."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.schema import Video
from mien.sources.intake import Intake
from mien.sources.planted import MAX_UTTERANCES, MIN_UTTERANCES, open_planted
from mien.tables import Dataset, DatasetFacts, write_dataset
from mien.workflows.evaluate import Evaluation, evaluate
from mien.workflows.train import TrainRequest, train

N_VIDEOS = 900
# The arm of single utterances takes as many utterances, and so as many steps an epoch, as the arm of whole videos.
BATCH_VIDEOS = 16
UTTERANCES_PER_VIDEO = (MIN_UTTERANCES + MAX_UTTERANCES) // 2
# Small and quick to learn: the planted signs need neither width nor much dropout.
SETTINGS: dict[str, Any] = {
    "epochs": 20,
    "batch_videos": BATCH_VIDEOS,
    "patience": None,
    "learning_rate": 3e-3,
    "gru_size": 64,
    "dense_size": 64,
    "activation": "tanh",
    "input_dropout": 0.0,
    "state_dropout": 0.1,
    "dense_dropout": 0.1,
    "keep_epochs": False,
}
Report = Callable[[str, dict[str, float]], None]


@dataclass(frozen=True)
class Demo:
    """The same network twice: given whole videos, and given every utterance alone."""

    with_context: Evaluation
    without_context: Evaluation


def demo(report: Report | None = None, n_videos: int = N_VIDEOS, settings: dict[str, Any] | None = None) -> Demo:
    """Generate the planted set, train and score both arms; nothing is left on disk."""
    chosen = SETTINGS | (settings or {})
    with tempfile.TemporaryDirectory(prefix="mien-demo-") as folder:
        evaluations: list[Evaluation] = []
        for name, context in (("whole videos", True), ("single utterances", False)):
            dataset = write_planted(Path(folder) / f"data-{context}", n_videos, context=context)
            run = Path(folder) / f"run-{context}"
            batch = {} if context else {"batch_videos": BATCH_VIDEOS * UTTERANCES_PER_VIDEO}
            each = (lambda record, name=name: report(name, record)) if report is not None else None
            train(dataset, run, TrainRequest(settings=chosen | batch), report=each)
            evaluations.append(evaluate([run]))
    return Demo(evaluations[0], evaluations[1])


def write_planted(folder: Path, n_videos: int, *, context: bool = True, seed: int = 0) -> Dataset:
    """The planted set as a Dataset; without `context` every utterance becomes a video of its own."""
    intake = open_planted(n_videos, seed)
    facts = DatasetFacts("planted", intake.spaces, origin={"source": "planted"}, licence_note=intake.licence_note)
    return write_dataset(folder, _in_roles(intake, context), facts)


def _in_roles(intake: Intake, context: bool) -> Iterator[Video]:
    for video in intake.videos:
        video.split = intake.splits[video.id]
        if context:
            yield video
        else:
            for utterance in video.utterances:
                yield Video(f"{video.id}-{utterance.index}", [utterance], video.split)
