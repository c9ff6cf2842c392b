"""The Run on disk: a folder with ``run.json`` beside weights, history, decisions and predictions (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import DataError, FeatureSpaceError, TrainingError, UnknownNameError
from mien.pretrained import require_sha256, sha256_of
from mien.schema import FeatureSpace, Modality
from mien.storage.files import read_card, reporting_damage, write_json
from mien.tasks import TASKS

FORMAT = {"format": "mien-run", "format_version": 1}
CARD = "run.json"
EPOCHS = "epochs/"


@dataclass(frozen=True, slots=True)
class Run:
    """One training, finished or not: what was asked for and, when finished, what came out."""

    folder: Path
    model: str
    tasks: tuple[str, ...]
    seed: int
    # two groups: "model" and "training"
    settings: Mapping[str, Mapping[str, Any]]
    # {"path", "name", "fingerprint", "sentiment_values"} of the data set it was trained on
    dataset: Mapping[str, Any]
    spaces: Mapping[Modality, FeatureSpace]
    finished: bool
    # chosen epoch and by what, number of parameters, cost, label majority of train, versions
    outcome: Mapping[str, Any]
    # file below the folder -> sha256
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Modality, ...]:
        """Modalities it hears."""
        return tuple(self.spaces)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides its weights; `--resume` compares it."""
        return {
            "model": self.model,
            "inputs": list(self.inputs),
            "tasks": list(self.tasks),
            "seed": self.seed,
            "settings": {name: dict(values) for name, values in self.settings.items()},
            "dataset": self.dataset["fingerprint"],
        }


def write_run(run: Run, files: Sequence[Path] = ()) -> None:
    """Write run.json aside and rename it; `files` (below the folder) are recorded with their sha256."""
    card = {
        **FORMAT,
        "finished": run.finished,
        "model": run.model,
        "inputs": list(run.inputs),
        "tasks": list(run.tasks),
        "seed": run.seed,
        "settings": {name: dict(values) for name, values in run.settings.items()},
        "dataset": dict(run.dataset),
        "feature_spaces": {modality: space.to_json() for modality, space in run.spaces.items()},
        "outcome": dict(run.outcome),
        "sha256": {str(path): sha256_of(run.folder / path) for path in sorted(files)},
    }
    write_json(run.folder / CARD, card)


def open_run(folder: str | Path, *, unfinished: bool = False) -> Run:
    """Open a Run and check the sha256 of every file it vouches for.

    Raises DataError if there is none, DamagedFileError if something is cut or altered, UnknownNameError if it predicts
    a task that is not in `TASKS`, TrainingError if the training has not finished and `unfinished` is False.
    """
    folder = Path(folder)
    card = read_card(folder / CARD, "a Run", FORMAT, "train it")
    with reporting_damage(folder / CARD, "the Run"):
        run = Run(
            folder=folder,
            model=card["model"],
            tasks=tuple(card["tasks"]),
            seed=card["seed"],
            settings=card["settings"],
            dataset=card["dataset"],
            spaces={Modality(name): FeatureSpace.from_json(facts) for name, facts in card["feature_spaces"].items()},
            finished=card["finished"],
            outcome=card["outcome"],
            sha256=card["sha256"],
        )
        trained_on = run.dataset["path"]
        for task in run.tasks:
            if task not in TASKS:
                raise UnknownNameError("task", task, TASKS)
    if not (run.finished or unfinished):
        raise TrainingError(
            f"Expected a finished run in {folder}, but its training was interrupted; "
            f"continue it: mien train {trained_on} --out {folder} --resume"
        )
    for name, expected in run.sha256.items():
        # The epochs are many and rarely read: `require_epoch` checks them one by one.
        if not name.startswith(EPOCHS):
            require_sha256(folder / name, expected, "the Run")
    return run


def epoch_file(epoch: int) -> Path:
    """Weights after an epoch (counted from 1), below the run folder."""
    return Path(f"{EPOCHS}{epoch:04d}.safetensors")


def kept_epochs(run: Run) -> list[int]:
    """Numbers of the epochs whose weights the run kept, in order."""
    return sorted(int(Path(name).stem) for name in run.sha256 if name.startswith(EPOCHS))


def require_epoch(run: Run, epoch: int) -> Path:
    """Path of one epoch's weights. Raises DataError if they were not kept, DamagedFileError if altered."""
    name = str(epoch_file(epoch))
    if name not in run.sha256:
        raise DataError(
            f"Expected the weights of epoch {epoch} in {run.folder}, but got none; train with --set keep_epochs=true"
        )
    require_sha256(run.folder / name, run.sha256[name], "the Run")
    return run.folder / name


def require_spaces(expected: Mapping[Modality, FeatureSpace], found: Mapping[Modality, FeatureSpace]) -> None:
    """Raise FeatureSpaceError, naming both, unless `found` has every expected space with an equal fingerprint."""
    for modality, space in expected.items():
        other = found.get(modality)
        if other is None or other.fingerprint != space.fingerprint:
            raise FeatureSpaceError(
                f"Expected {space}, which the model was trained on, but got {other or f'no {modality} features'}; "
                f"import or extract the data with {space.name}, or train a model on this data set"
            )
