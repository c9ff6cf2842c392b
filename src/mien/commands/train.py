"""`mien train`: trains a system on a Dataset and writes a Run. It reads features of the train and valid split only."""

from __future__ import annotations

import dataclasses
import hashlib
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from mien.commands.reading import SplitLabels, read_split
from mien.commands.train_plan import TrainRequest, plan_run
from mien.errors import DataError, TrainingError
from mien.evaluation.decisions import fit_decisions
from mien.evaluation.trivial import TrainMajority
from mien.models import build_model, model_entry
from mien.models.classical.base import ClassicalEntry, ClassicalSpec
from mien.settings import override, to_toml
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import PARTIAL_FILES, atomic_file, remove_partial, write_json
from mien.storage.label_alarms import ScaleCheck
from mien.storage.predictions import write_predictions
from mien.storage.runs import CARD, LOCK_FILE, Run, epoch_file, open_run, require_idle, run_lock, write_run
from mien.storage.split_columns import SplitColumns
from mien.storage.suspicions import stored_alarms
from mien.training.accelerators import require_devices
from mien.training.batching import fit_scaling, to_video_set
from mien.training.checkpoint import Progress
from mien.training.classical import fit_classical
from mien.training.devices import is_first_process
from mien.training.loop import HISTORY_FILE, MODEL_FILE, FitSpec, fit, remove_resume_files
from mien.training.predictor import load_predictor
from mien.training.train_settings import TrainSettings
from mien.training.validation import ORDERING_NAMES, SELECT_BY_LOSS, has_ranking_score, ranking_key

DECISIONS_FILE = Path("decisions.json")
SETTINGS_FILE = Path("settings.toml")
PREDICTIONS_FOLDER = Path("predictions")
# key of the messages in the outcome of a run
NOTES = "notes"
Report = Callable[[dict[str, float]], None]


def train(
    dataset: Dataset | str | Path,
    out: str | Path,
    request: TrainRequest | None = None,
    *,
    resume: bool = False,
    report: Report | None = None,
    notify: Callable[[str], None] | None = None,
) -> Run:
    """Train one system, choose its decision thresholds on the valid split, and write a finished Run.

    Args:
        dataset: Dataset or its folder.
        out: Run folder to write.
        request: System, inputs, tasks, seed and settings; None uses the defaults.
        resume: Continue an interrupted run. The result is bitwise the same as without interruption. A finished run is
            returned unchanged.
        report: Called after every epoch with a record of this epoch, such as losses and scores.
        notify: Called before the training with each message about doubtful labels. The messages are also stored in the
            run, in ``outcome["notes"]``.

    Returns:
        The finished run. With several devices, only the first process writes and returns the finished run. The other
        processes return a Run whose `finished` is False.

    Raises:
        UsageError: Inputs or tasks do not fit the system or the Dataset.
        SettingsError: A setting is unknown or invalid, or this machine lacks the devices that the settings ask for.
        DataError: Splits, labels or features are missing.
        TrainingError: The run folder cannot be used, or the training failed.
        WriteError: A file cannot be written.
    """
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    planned = plan_run(dataset, Path(out), request or TrainRequest())
    is_first = is_first_process(planned.settings["training"].get("devices", 1))
    # before the splits are read, so that a folder in which another process trains is refused at once
    if is_first and (finished := _finished_run(planned, resume)) is not None:
        return finished
    require_devices(planned.settings["training"])
    train_columns, valid_columns = (read_split(dataset, split, planned) for split in ("train", "valid"))
    _require_usable(train_columns, valid_columns, planned, dataset)
    if not is_first:
        if not (resume and (planned.folder / CARD).exists() and open_run(planned.folder, unfinished=True).finished):
            _fit_system(planned, train_columns, valid_columns, report)
        return planned
    planned = _with_notes(planned, label_notes(planned, dataset, train_columns, valid_columns))
    if notify is not None:
        for note in planned.outcome.get(NOTES, ()):
            notify(note)
    with run_lock(planned.folder):
        if (finished := _finished_run(planned, resume)) is not None:  # another process trained it meanwhile
            return finished
        _prepare_folder(planned)
        progress, n_parameters = _fit_system(planned, train_columns, valid_columns, report)
        return _finish_run(planned, dataset, train_columns, valid_columns, progress, n_parameters)


def label_notes(run: Run, dataset: Dataset, *splits: SplitColumns) -> list[str]:
    """Return messages about labels that seem to be on another scale than the one assumed.

    Args:
        run: Run whose tasks are considered.
        dataset: Dataset of the splits.
        splits: Splits to check together.
    """
    spaces, origin = {task.space.name: task.space for task in run.learned_tasks}, dataset.facts.origin
    check = ScaleCheck(spaces.values(), dataset.facts.sentiment_values)
    for columns in splits:
        check.add(columns.labels)
    # the import has seen all splits, and labels that it clamped
    stored = [text for text in stored_alarms(origin) if text.partition(":")[0] in spaces]
    return [*stored, *(alarm.text(origin) for alarm in check.alarms() if not stored)]


def _with_notes(run: Run, notes: Sequence[str]) -> Run:
    """Return the run with further notes in its outcome; a note that it already has is not repeated."""
    if not notes:
        return run
    known = [*run.outcome.get(NOTES, ()), *notes]
    return dataclasses.replace(run, outcome={**run.outcome, NOTES: list(dict.fromkeys(known))})


def _finished_run(planned: Run, resume: bool) -> Run | None:
    """Return the run in the folder if it is finished, else None.

    Raise TrainingError if the folder contains other files, or a run that may not be continued.
    """
    out = planned.folder
    if (out / CARD).exists():
        existing = open_run(out, unfinished=True)
        _require_continuable(existing, planned, resume)
        if existing.finished:
            remove_resume_files(out)  # left if the process was killed just before
        return existing if existing.finished else None
    own = (out / LOCK_FILE, *out.glob(PARTIAL_FILES))
    if out.is_file() or (out.exists() and any(path not in own for path in out.iterdir())):
        raise TrainingError(
            f"Expected {out} to be new or a run, but got a folder with other files; choose another --out"
        )
    return None


def _prepare_folder(planned: Run) -> None:
    """Write the files that describe the planned run and its settings, if they are missing. Remove incomplete files."""
    out = planned.folder
    if not (out / CARD).exists():
        write_run(planned)
    if not (out / SETTINGS_FILE).exists():
        # all settings, including defaults, for people and for ``mien train --settings``
        with atomic_file(out / SETTINGS_FILE) as aside:
            aside.write_text(to_toml({**planned.settings["model"], **planned.settings["training"]}), encoding="utf-8")
    remove_partial(out, f"**/{PARTIAL_FILES}", sole_writer=True)


def _require_continuable(existing: Run, planned: Run, resume: bool) -> None:
    if not existing.finished:
        require_idle(existing.folder)
    if not resume:
        state = "finished" if existing.finished else "interrupted"
        raise TrainingError(
            f"Expected {existing.folder} to be new, but got a run ({state}); add --resume or choose another --out"
        )
    differing = [key for key, value in planned.identity.items() if existing.identity[key] != value]
    if differing:
        raise TrainingError(
            f"Expected the {', '.join(differing)} that the run in {existing.folder} was started with, but got others; "
            "repeat its command with --resume, or choose another --out"
        )


def _require_usable(train_columns: SplitColumns, valid_columns: SplitColumns, run: Run, dataset: Dataset) -> None:
    """Raise DataError if a run cannot use its train and valid splits.

    The train split needs features of every input. The valid split needs labels for every task, and features of at
    least one input.
    """
    for modality in run.inputs:
        if not train_columns.present[modality].any():
            raise DataError(
                f"Expected some train utterances with {modality} features, but all {train_columns.n_utterances} lack "
                "them; leave it out of --inputs"
            )
    labels = SplitLabels(valid_columns, dataset.facts.sentiment_values)
    for task in run.learned_tasks:
        if not labels.labelled(task):
            raise DataError(
                f"Expected some {task.name} labels in the valid split, which chooses epoch and thresholds, but got "
                "none; choose other --tasks, or import again with --carve valid=0.1"
            )
    if not any(valid_columns.present[modality].any() for modality in run.inputs):
        raise DataError(
            f"Expected some valid utterances with {', '.join(run.inputs)} features, but all "
            f"{valid_columns.n_utterances} lack them; change --inputs or the valid split"
        )


def _fit_system(
    run: Run, train_columns: SplitColumns, valid_columns: SplitColumns, report: Report | None
) -> tuple[Progress, int]:
    """Train a network or fit a classical system.

    Returns:
        The progress at the end, such as the best epoch and its score; and the number of parameters.
    """
    entry = model_entry(run.model)
    model_settings = override(entry.settings, run.settings["model"])
    report = report or (lambda _record: None)
    if isinstance(entry, ClassicalEntry):
        spec = ClassicalSpec(run.inputs, run.learned_tasks, model_settings, run.seed)
        return fit_classical(entry, train_columns, valid_columns, spec, run.folder, report)
    settings = override(TrainSettings(), run.settings["training"])
    scaling = fit_scaling(train_columns, run.inputs, identity=not settings.scale_features)
    n_features = {modality: space.n_features for modality, space in run.spaces.items()}
    n_parameters = 0

    def make_network() -> torch.nn.Module:
        nonlocal n_parameters
        network = build_model(run.model, n_features, run.learned_tasks, model_settings)
        n_parameters = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        return network

    progress = fit(
        make_network,
        to_video_set(train_columns, scaling, entry.input_kind, run.learned_tasks),
        to_video_set(valid_columns, scaling, entry.input_kind, run.learned_tasks),
        FitSpec(settings, run.seed, scaling, run.learned_tasks),
        run.folder,
        report,
    )
    return progress, n_parameters


def video_id_hashes(columns: SplitColumns) -> list[str]:
    """Return a sorted list of the first ten hexadecimal digits of the SHA-256 of each video id."""
    return sorted(hashlib.sha256(name.encode()).hexdigest()[:10] for name in columns.video_ids)


def _finish_run(
    run: Run,
    dataset: Dataset,
    train_columns: SplitColumns,
    valid_columns: SplitColumns,
    progress: Progress,
    n_parameters: int,
) -> Run:
    """Complete the folder of a run after the training, and return the finished run.

    The function writes the decision thresholds, the predictions for the valid split, and the results of the training,
    such as the chosen epoch and the duration.
    """
    run = _with_notes(run, ranking_notes(run, progress.history[progress.best_epoch - 1]))
    outcome = {
        **run.outcome,
        "chosen_epoch": progress.best_epoch,
        "chosen_by": _chosen_by(run, progress.history[progress.best_epoch - 1]),
        "valid_score": progress.best_score,
        "epochs_run": progress.epoch,
        "n_parameters": n_parameters,
        "seconds_per_epoch": float(np.mean(progress.seconds)),
        # over all epochs, including those before an interruption
        "train_seconds": float(np.sum(progress.seconds)),
        # peak of the whole process that finished the run; it may have trained other runs before
        "peak_memory_mib": peak_memory_mib(),
        # hashed, so that a run reveals no video ids, while `evaluate` can recognise the videos
        "videos": {"train": video_id_hashes(train_columns), "valid": video_id_hashes(valid_columns)},
        # majority labels: the trivial baseline of an evaluation
        "train_majority": TrainMajority.from_labels(train_columns, run.task_table).to_json(),
    }
    valid = load_predictor(run).predict(valid_columns, dataset.facts.sentiment_values)
    predictions_file = PREDICTIONS_FOLDER / "valid.parquet"
    write_predictions(run.folder / predictions_file, valid)
    write_json(run.folder / DECISIONS_FILE, fit_decisions(valid).to_json(run.task_table))
    epochs = [path for epoch in range(1, progress.epoch + 1) if (run.folder / (path := epoch_file(epoch))).exists()]
    finished = dataclasses.replace(run, finished=True, outcome=outcome)
    write_run(finished, [MODEL_FILE, HISTORY_FILE, DECISIONS_FILE, predictions_file, *epochs])
    remove_resume_files(run.folder)
    return open_run(run.folder)


def _chosen_by(run: Run, record: Mapping[str, float]) -> str:
    """Return what chose the epoch with this record on the valid split."""
    training = run.settings["training"]
    if not training:
        return "fitted once: there is no other"
    if training["select_by"] != SELECT_BY_LOSS and not has_ranking_score(record):
        return f"best {SELECT_BY_LOSS} on the valid split, where {training['select_by']} is undefined"
    return f"best {training['select_by']} on the valid split"


def ranking_notes(run: Run, record: Mapping[str, float]) -> list[str]:
    """Return a message about the tasks whose ranking score does not exist on the valid split, unless the loss is used.

    Args:
        run: Run whose tasks are considered.
        record: Record of one epoch, see `training.validation.validation_record`.
    """
    training = run.settings["training"]
    lacking = [task for task in run.learned_tasks if ranking_key(task) not in record]
    if not lacking or training.get("select_by") == SELECT_BY_LOSS:
        return []
    names = ", ".join(f"{ORDERING_NAMES[task.row.ordering]} of {task.name}" for task in lacking)
    text = f"{names}: undefined on the valid split, whose labels do not differ"
    if training:
        chooser = "the other tasks" if has_ranking_score(record) else "the loss"
        text += f"; {chooser} chose the epoch instead, and a valid split with different labels would allow it"
    return [text]


def peak_memory_mib() -> float:
    """Return the peak resident memory of this process in MiB, including libraries.

    On Linux, the function reads the peak (`VmHWM`) from /proc, because a child process inherits the maximum of
    `getrusage` from its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
