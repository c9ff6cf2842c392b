"""Checkpoints that are shipped with the package. They are runs in ``mien/checkpoints`` and are found by name."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import UnknownNameError
from mien.storage.files import read_json
from mien.storage.folders import FolderKind, atomic_folder
from mien.storage.runs import CARD, Run, open_run, write_run

if TYPE_CHECKING:
    from mien.evaluation.decisions import Decisions

# the model that `mien analyze` uses unless another one is named
DEFAULT_MODEL = "mosei-text"
# Modules that need torch are imported inside functions, so that `analyze` can look up its run before it loads torch.


def shipped_names() -> list[str]:
    """Return the sorted names of the shipped checkpoints."""
    folder = _checkpoints_folder()
    return sorted(path.name for path in folder.iterdir() if (path / "run.json").is_file()) if folder.is_dir() else []


def find_run(name: str) -> Run:
    """Open a shipped checkpoint by name, or a run by its folder.

    Raises:
        UnknownNameError: There is neither a shipped checkpoint nor a folder of this name.
        DataError: The folder is not a Run.
        DamagedFileError: A file of the run is damaged.
        TrainingError: The training has not finished.
    """
    if name in shipped_names():
        return open_run(_checkpoints_folder() / name)
    if Path(name).exists() or "/" in name:
        return open_run(name)
    raise UnknownNameError("model (a shipped name or the folder of a run)", name, shipped_names())


def find_runs(names: str | Path | Sequence[str | Path]) -> list[Run]:
    """Open one or several runs, see `find_run`.

    Args:
        names: Folders of runs or names of shipped checkpoints, or a single one.

    Returns:
        The runs, in the same order.

    Raises:
        MienError: A run cannot be opened, for one of the reasons listed under `find_run`.
    """
    listed = [names] if isinstance(names, (str, Path)) else list(names)
    return [find_run(str(name)) for name in listed]


def is_shipped_copy(run: Run) -> bool:
    """Return whether a run is a copy that `ship_run` wrote.

    Such a copy stores neither the path of its Dataset nor predictions.
    """
    return not run.dataset["path"]


def ship_run(run: Run, folder: Path) -> Run:
    """Write a small copy of a finished run: float16 weights, thresholds and history, but no path of the Dataset.

    Args:
        run: Finished run.
        folder: Folder to write. An older copy in it is replaced atomically.

    Returns:
        The copy.

    Raises:
        WriteError: The folder cannot be written or replaced.
    """
    from mien.commands.train import DECISIONS_FILE
    from mien.training.checkpoint import load_weights, save_weights
    from mien.training.loop import HISTORY_FILE, MODEL_FILE

    weights, _ = load_weights(run.folder / MODEL_FILE)
    files = [MODEL_FILE, DECISIONS_FILE, HISTORY_FILE]
    with atomic_folder(folder, FolderKind(CARD, "mien-run", (CARD, *map(str, files)))) as aside:
        save_weights(aside / MODEL_FILE, {name: tensor.half() for name, tensor in weights.items()})
        shutil.copy(run.folder / DECISIONS_FILE, aside / DECISIONS_FILE)
        shutil.copy(run.folder / HISTORY_FILE, aside / HISTORY_FILE)
        slim = dataclasses.replace(run, folder=aside, dataset={**run.dataset, "path": ""})
        write_run(slim, files)
    return open_run(folder)


def decisions_of(run: Run) -> Decisions:
    """Return the decision thresholds that were chosen on the valid split and stored with the run."""
    from mien.commands.train import DECISIONS_FILE
    from mien.evaluation.decisions import Decisions

    return Decisions.from_json(read_json(run.folder / DECISIONS_FILE, "the Run"), run.task_table)


def _checkpoints_folder() -> Path:
    """Return the folder of the shipped checkpoints inside the package."""
    return Path(str(files("mien"))) / "checkpoints"
