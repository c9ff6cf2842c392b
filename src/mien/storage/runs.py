"""A Run, which is one trained system on disk.

The folder of a Run holds ``run.json``, weights, training history, decision thresholds and predictions
(docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import DataError, FeatureSpaceError, TrainingError, WriteError
from mien.pretrained import require_sha256, sha256_of
from mien.schema import SPACE_SHAPE, FeatureSpace, Modality
from mien.storage.files import exclusive_lock, read_card, refuse_links, reporting_damage, require_shape, write_json
from mien.tasks import PAPER_TASKS, Task, select_tasks, tasks_from_json, tasks_to_json

FORMAT = {"format": "mien-run", "format_version": 1}
CARD = "run.json"
CARD_SHAPE = {
    "model": str,
    "tasks": [str],
    "seed": int,
    "settings": {"model": {}, "training": {}},
    "dataset": {"path": str, "name": str, "fingerprint": str, "sentiment_values": str},
    "feature_spaces": {str: SPACE_SHAPE},
    "finished": bool,
    "outcome": {},
    "sha256": {str: str},
}
EPOCHS = "epochs/"
LOCK_FILE = ".lock"
SUBFOLDERS = (EPOCHS, "predictions", "resume")
# run folders that this thread has locked
_LOCKED: ContextVar[frozenset[Path]] = ContextVar("_LOCKED", default=frozenset())


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a system: the requested options and, once the training has finished, its results.

    Attributes:
        folder: Run folder.
        model: Name of the model.
        tasks: Tasks that the system predicts.
        seed: Seed of the random numbers.
        settings: Settings of the model under "model", and of the training loop under "training".
        dataset: "path", "name", "fingerprint" and "sentiment_values" of the Dataset that the system was trained on.
        spaces: Feature space of each modality that the system uses.
        finished: Whether the training has finished.
        outcome: Results: chosen epoch and criterion, number of parameters, cost, majority labels of the train split,
            and versions.
        sha256: sha256 of the files, by path relative to the folder.
        task_table: All tasks of the label spaces of that Dataset, by name; the system learns those in `tasks`.
    """

    folder: Path
    model: str
    tasks: tuple[str, ...]
    seed: int
    settings: Mapping[str, Mapping[str, Any]]
    dataset: Mapping[str, Any]
    spaces: Mapping[Modality, FeatureSpace]
    finished: bool
    outcome: Mapping[str, Any]
    sha256: Mapping[str, str] = field(default_factory=dict)
    task_table: Mapping[str, Task] = field(default_factory=lambda: PAPER_TASKS)

    @property
    def learned_tasks(self) -> tuple[Task, ...]:
        """The tasks that the system learns, in the order in which they were requested."""
        return select_tasks(self.task_table, self.tasks)

    @property
    def inputs(self) -> tuple[Modality, ...]:
        """Modalities that the system uses."""
        return tuple(self.spaces)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the weights of a run. `mien train --resume` requires that it is unchanged."""
        return {
            "model": self.model,
            "inputs": list(self.inputs),
            "tasks": list(self.tasks),
            "seed": self.seed,
            "settings": {name: dict(values) for name, values in self.settings.items()},
            "dataset": self.dataset["fingerprint"],
            **tasks_to_json(self.task_table),
        }


def write_run(run: Run, files: Sequence[Path] = ()) -> None:
    """Write the run.json of a Run atomically.

    Args:
        run: Run to write.
        files: Paths of files, relative to the run folder. Their sha256 is recorded in run.json.

    Raises:
        WriteError: The file cannot be written.
    """
    card = {
        **FORMAT,
        "finished": run.finished,
        "model": run.model,
        "inputs": list(run.inputs),
        "tasks": list(run.tasks),
        **tasks_to_json(run.task_table),
        "seed": run.seed,
        "settings": {name: dict(values) for name, values in run.settings.items()},
        "dataset": dict(run.dataset),
        "feature_spaces": {modality: space.to_json() for modality, space in run.spaces.items()},
        "outcome": dict(run.outcome),
        "sha256": {str(path): sha256_of(run.folder / path) for path in sorted(files)},
    }
    write_json(run.folder / CARD, card)


@contextmanager
def run_lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Context manager that holds the lock of a Run folder, so that only one process trains in it.

    Args:
        folder: Run folder; it is created if missing.
        wait: Whether to wait while another process holds the lock.

    Yields:
        Nothing. A nested call for the same folder does nothing.

    Raises:
        TrainingError: Another process holds the lock, and `wait` is False.
        WriteError: The lock file cannot be written, or a subfolder of the run is a symbolic link.
    """
    locked, key = _LOCKED.get(), folder.resolve()
    if key in locked:
        yield
        return
    held = TrainingError(
        f"Expected no other process at work on {folder}, but got one that trains this run now; repeat the command "
        "when it has ended"
    )
    with exclusive_lock(folder / LOCK_FILE, None if wait else held):
        refuse_links(folder, *SUBFOLDERS)
        token = _LOCKED.set(locked | {key})
        try:
            yield
        finally:
            _LOCKED.reset(token)


def require_idle(folder: Path) -> None:
    """Raise TrainingError if another process trains the run in a folder now."""
    with suppress(WriteError), run_lock(folder):  # nobody trains in a folder that is read-only
        pass


def open_run(folder: str | Path, *, unfinished: bool = False) -> Run:
    """Open a Run, and check the sha256 of every recorded file except the weights of single epochs.

    Args:
        folder: Run folder.
        unfinished: Whether to accept a run whose training has not finished.

    Returns:
        The run.

    Raises:
        DataError: The folder is not a Run.
        DamagedFileError: A file is missing or was altered.
        UnknownNameError: The run predicts a task that its label spaces do not have, or of an unknown kind.
        TrainingError: `unfinished` is False, and the training has not finished or another process trains the run now.
    """
    folder = Path(folder)
    card = read_card(folder / CARD, "a Run", FORMAT, "train it")
    with reporting_damage(folder / CARD, "the Run"):
        require_shape(card, CARD_SHAPE, CARD)
        require_shape(card["outcome"].get("videos", {}), {str: [str]}, "the videos of outcome")
        outside = [name for name in card["sha256"] if Path(name).is_absolute() or ".." in Path(name).parts]
        if outside:
            raise ValueError(f"the file {outside[0]!r} outside of the folder")
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
            task_table=tasks_from_json(card),
        )
        trained_on = run.dataset["path"]
        select_tasks(run.task_table, run.tasks)
    if not (run.finished or unfinished):
        require_idle(folder)
        raise TrainingError(
            f"Expected a finished run in {folder}, but its training was interrupted; "
            f"continue it: mien train {trained_on} --out {folder} --resume"
        )
    for name, expected in run.sha256.items():
        # The weights of single epochs are many and rarely read. `require_epoch` checks those that are needed.
        if not name.startswith(EPOCHS):
            require_sha256(folder / name, expected, "the Run")
    return run


def epoch_file(epoch: int) -> Path:
    """Return the path of an epoch's weights, relative to the run folder. Epochs are counted from 1."""
    return Path(f"{EPOCHS}{epoch:04d}.safetensors")


def kept_epochs(run: Run) -> list[int]:
    """Return the epochs whose weights the run kept, in ascending order. Epochs are counted from 1."""
    return sorted(int(Path(name).stem) for name in run.sha256 if name.startswith(EPOCHS))


def require_epoch(run: Run, epoch: int) -> Path:
    """Check that a run has the intact weights of one epoch.

    Args:
        run: Finished run.
        epoch: Epoch, counted from 1.

    Returns:
        Path of the weights.

    Raises:
        DataError: The run did not keep the weights of this epoch.
        DamagedFileError: The weights are missing or were altered.
    """
    name = str(epoch_file(epoch))
    if name not in run.sha256:
        raise DataError(
            f"Expected the weights of epoch {epoch} in {run.folder}, but got none; train with --set keep_epochs=true"
        )
    require_sha256(run.folder / name, run.sha256[name], "the Run")
    return run.folder / name


def require_spaces(expected: Mapping[Modality, FeatureSpace], found: Mapping[Modality, FeatureSpace]) -> None:
    """Check that the features on which a system was trained are available.

    Args:
        expected: Feature spaces of the system.
        found: Available feature spaces.

    Raises:
        FeatureSpaceError: The space of a modality is missing or has another fingerprint.
    """
    for modality, space in expected.items():
        actual = found.get(modality)
        if actual is None or actual.fingerprint != space.fingerprint:
            raise FeatureSpaceError(
                f"Expected {space}, which the model was trained on, but got {actual or f'no {modality} features'}; "
                f"import or extract the data with {space.name}, or train a model on this data set"
            )
