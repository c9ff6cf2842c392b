"""Plans a run: chooses its settings, inputs and tasks from a request and a Dataset, without writing anything."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.commands.reading import encodes_text, split_labels, with_transcripts
from mien.errors import DataError, SettingsError, UsageError
from mien.models import ModelEntry, model_entry, require_claimed
from mien.models.batch import InputKind
from mien.models.classical.base import ClassicalEntry
from mien.schema import LANGUAGES, FeatureSpace, Level, Modality
from mien.settings import override, override_several
from mien.storage.dataset import Dataset
from mien.storage.runs import Run
from mien.task_kinds import TASK_KINDS
from mien.tasks import Task, select_tasks, tasks_of
from mien.training.train_settings import TrainSettings
from mien.version import __version__


@dataclasses.dataclass(frozen=True)
class TrainRequest:
    """The system to train, with its inputs, tasks, seed and settings.

    Empty `inputs` select all modalities that the Dataset has and the system can use. Empty `tasks` select the main task
    of every label space of the Dataset that the train split has labels for, such as sentiment and emotion.
    """

    model: str = "cim"
    inputs: tuple[Modality, ...] = ()
    tasks: tuple[str, ...] = ()
    seed: int = 0
    # name -> value of settings of the model and of the training loop; `mien models` lists them
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # task -> kind in which it is learned, where this is not that of the system; see `task_kinds.TASK_KINDS`
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)


def plan_run(dataset: Dataset, out: Path, request: TrainRequest) -> Run:
    """Choose the settings, inputs and tasks of a run, without writing anything.

    Args:
        dataset: Dataset to train on.
        out: Run folder.
        request: System, inputs, tasks, seed and settings.

    Returns:
        The unfinished run.

    Raises:
        UnknownNameError: There is no such system.
        UsageError: Inputs or tasks do not fit the system or the Dataset.
        SettingsError: A setting is unknown or invalid.
        DataError: Splits or labels are missing.
    """
    entry = model_entry(request.model)
    settings = choose_settings(request, entry)
    spaces = _choose_spaces(dataset, request, entry, settings["model"])
    require_claimed(request.model, spaces, ())
    if settings["model"].get("speakers") and "speaker" not in dataset.facts.extra_columns:
        raise UsageError(
            f"Expected speakers in {dataset.folder} for the setting speakers=true, but got no such column; leave the "
            "setting out, or import again with --map speaker=COLUMN"
        )
    for split in ("train", "valid"):
        if split not in dataset.splits:
            raise DataError(
                f"Expected train and valid splits in {dataset.folder}, but got {', '.join(dataset.splits) or 'none'}; "
                "import again with --carve valid=0.1 (whole videos of train) or --rename-split"
            )
    table = choose_kinds(dataset, request, entry)
    return Run(
        folder=out,
        model=request.model,
        tasks=_choose_tasks(dataset, request, table, entry.claimed(table)),
        task_table=table,
        seed=request.seed,
        settings=settings,
        dataset={
            "path": str(dataset.folder.resolve()),
            "name": dataset.facts.name,
            "fingerprint": dataset.fingerprint,
            "sentiment_values": dataset.facts.sentiment_values,
            # of which words the system can learn the meaning
            **({LANGUAGES: dataset.facts.origin[LANGUAGES]} if LANGUAGES in dataset.facts.origin else {}),
        },
        spaces=spaces,
        finished=False,
        outcome={
            "versions": {
                "mien": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "platform": sys.platform,
            }
        },
    )


def choose_settings(request: TrainRequest, entry: ModelEntry | ClassicalEntry) -> dict[str, dict[str, Any]]:
    """Return the settings of a run: the defaults of the system, overridden by the request.

    Args:
        request: Request with changed settings.
        entry: The system's entry in `MODELS`.

    Returns:
        Settings in two groups, "model" and "training". The second is empty for a classical system.

    Raises:
        SettingsError: A setting is unknown or invalid.
    """
    if isinstance(entry, ClassicalEntry):
        names = {setting.name for setting in dataclasses.fields(TrainSettings)}
        unused = [key for key in request.settings if key in names]
        if unused:
            raise SettingsError(
                f"Expected none of the settings {', '.join(unused)}, because {request.model} is fitted once, without "
                "a training loop; leave them out"
            )
        return {"model": dataclasses.asdict(override(entry.settings, request.settings)), "training": {}}
    model, training = override_several((entry.settings, override(TrainSettings(), entry.training)), request.settings)
    return {"model": dataclasses.asdict(model), "training": dataclasses.asdict(training)}


def _choose_spaces(
    dataset: Dataset, request: TrainRequest, entry: ModelEntry | ClassicalEntry, settings: Mapping[str, Any]
) -> dict[Modality, FeatureSpace]:
    available = dataset.facts.spaces
    uses_text = Modality.TEXT in request.inputs or not request.inputs
    if uses_text and encodes_text(entry, settings):
        available = with_transcripts(dataset, request.model)
    if entry.input_kind is InputKind.WORDS:
        available = {modality: space for modality, space in available.items() if space.level is Level.WORD}
        if not available:
            raise DataError(
                f"Expected word vectors in {dataset.folder} for {request.model}, but got one vector per utterance; "
                "import again with words (mien import csd, mult or mmsa, or table --text glove-6b-50d --words; "
                "mien extract --level word)"
            )
    inputs = request.inputs or tuple(modality for modality in available if modality in entry.modalities)
    missing = [modality for modality in inputs if modality not in available]
    if missing or not inputs:
        raise UsageError(
            f"Expected inputs among {', '.join(available) or 'none'}, which {dataset.folder} has, but got "
            f"{', '.join(missing) or 'none'}; change --inputs, or import with these features (text: --text EXTRACTOR)"
        )
    return {modality: available[modality] for modality in Modality if modality in inputs}


def choose_kinds(dataset: Dataset, request: TrainRequest, entry: ModelEntry | ClassicalEntry) -> dict[str, Task]:
    """Return all tasks of a Dataset's label spaces, in the kinds in which a system learns them.

    Args:
        dataset: Dataset to train on.
        request: Request with the wanted kinds.
        entry: The system's entry in `MODELS`. Its own kinds are taken where the label space and the labels allow them.

    Returns:
        The tasks by name.

    Raises:
        UnknownNameError: There is no such task or kind, or the kind does not suit the labels.
    """
    spaces, kinds = dataset.facts.label_spaces, dict(request.kinds)
    own = {name: kind for name, kind in entry.kinds.items() if name not in kinds}
    default = tasks_of(spaces)
    for name, kind in own.items():
        if name in default and TASK_KINDS[kind].suits(default[name].space):
            task = tasks_of(spaces, {name: kind})[name]
            if split_labels(dataset, "train").admits(task):
                kinds[name] = kind
    return tasks_of(spaces, kinds)


def _choose_tasks(
    dataset: Dataset, request: TrainRequest, table: Mapping[str, Task], claimed: Sequence[str]
) -> tuple[str, ...]:
    select_tasks(table, request.tasks)
    labels = split_labels(dataset, "train")
    unknown = [task for task in request.tasks if task not in claimed]
    if unknown:
        raise UsageError(
            f"Expected tasks among {', '.join(claimed)} for {request.model}, but got "
            f"{', '.join(unknown)}; change --tasks"
        )
    default = tuple(task for task in claimed if not table[task].on_request and labels.admits(table[task]))
    tasks = request.tasks or default
    lacking = [task for task in tasks if not labels.labelled(table[task])]
    if lacking or not tasks:
        main = " or ".join(space.name for space in dataset.facts.label_spaces)
        raise DataError(
            f"Expected {', '.join(lacking) or main} labels in the train split of {dataset.folder}, "
            "but got none; choose other --tasks or import labels"
        )
    not_graded = [task for task in tasks if not labels.admits(table[task])]
    if not_graded:
        raise DataError(
            f"Expected scores to learn {', '.join(not_graded)} from in the train split of {dataset.folder}, but got "
            "classes, which have no degrees; choose other --tasks, or import the data set's scores"
        )
    return tasks
