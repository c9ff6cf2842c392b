"""`mien evaluate` and `mien compare`: predict a split with finished Runs and score the predictions.

No other module opens a split for scoring.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.commands.reading import available_spaces, read_split
from mien.commands.shipped import decisions_of, find_runs, is_shipped_copy
from mien.commands.train import PREDICTIONS_FOLDER, video_id_hashes
from mien.errors import DataError, ReadOnlyError, UnknownNameError, UsageError
from mien.evaluation.compare import Comparison, SeedRun
from mien.evaluation.compare import compare_runs as compare_seed_runs
from mien.evaluation.protocols import PROTOCOLS, ProtocolInput
from mien.evaluation.result import Bootstrap, Result, RunIdentity, evaluate_predictions
from mien.evaluation.summary import summarize
from mien.evaluation.trivial import TrainMajority
from mien.metrics.significance import N_RESAMPLES
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.files import refuse_links, reporting_damage
from mien.storage.label_alarms import SCALE_ONE_CLASS, ScaleCheck
from mien.storage.predictions import Predictions, write_predictions
from mien.storage.runs import CARD, Run, kept_epochs, require_spaces
from mien.storage.split_columns import SplitColumns
from mien.tasks import spaces_of
from mien.training.predictor import load_predictor

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Results of one or several runs. `summary` is the JSON object that the command line prints."""

    results: tuple[Result, ...]
    summary: dict[str, Any]

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per run and one column per value in the summary of a run."""
        import pandas as pd

        return pd.json_normalize(self.summary["runs"])

    def _repr_html_(self) -> str:
        html: str = self.to_pandas().T.to_html()
        return html


@dataclass(frozen=True)
class SplitSelection:
    """The split to score. If `dataset` is None, each run is scored on the Dataset that it was trained on."""

    dataset: str | Path | None = None
    split: str = "test"


@dataclass(frozen=True)
class OpenedSplit:
    """A run and the utterances that it is scored on. `notes` are messages about what could not be stored."""

    run: Run
    dataset: Dataset
    split: str
    columns: SplitColumns
    notes: list[str] = field(default_factory=list)


def evaluate(
    runs: str | Path | Sequence[str | Path],
    *,
    dataset: str | Path | None = None,
    split: str = "test",
    protocol: str = "clean",
    n_resamples: int = 1000,
    advance: Advance | None = None,
) -> Evaluation:
    """Score finished runs on one split under one protocol (docs/protocol.md).

    The predictions of a run are written to its folder, but not those of shipped checkpoints. If the folder is
    read-only, a note of the result says that they were not stored.

    Args:
        runs: Run folders or names of shipped checkpoints, or a single one.
        dataset: Dataset to score on. By default, each run is scored on the Dataset that it was trained on; shipped
            checkpoints need this argument.
        split: Split to score.
        protocol: Name of the protocol, which determines how epoch and thresholds are chosen.
        n_resamples: Number of bootstrap resamples for the confidence intervals.
        advance: Called with the number of finished runs and the number of all runs.

    Returns:
        One result per run, and their summary.

    Raises:
        UnknownNameError: There is no such protocol or shipped checkpoint.
        DataError: The Dataset or the split is missing, or no utterance has inputs for the run. Under the protocol
            `released`: the run did not keep the weights of every epoch.
        DamagedFileError: A file of the run or of the Dataset is damaged.
        FeatureSpaceError: The Dataset has other feature spaces than the run.
        TrainingError: The training of a run has not finished.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    scored = SplitSelection(dataset, split)
    results = []
    opened = find_runs(runs)
    for number, run in enumerate(opened):
        results.append(score_run(run, [protocol], scored, n_resamples)[protocol])
        if advance is not None:
            advance(number + 1, len(opened))
    return Evaluation(tuple(results), summarize(results))


def compare(
    runs_a: str | Path | Sequence[str | Path],
    runs_b: str | Path | Sequence[str | Path],
    *,
    dataset: str | Path | None = None,
    split: str = "test",
    n_resamples: int = 1000,
) -> Comparison:
    """Compare system A with system B under the protocol `clean`. Their runs are paired by seed.

    Args:
        runs_a: Runs of system A, one per seed: folders or names of shipped checkpoints, or a single
            one.
        runs_b: Runs of system B with the same seeds.
        dataset: Dataset to score on. Defaults to the one that each run was trained on.
        split: Split to score.
        n_resamples: Number of bootstrap resamples.

    Returns:
        Differences between the scores of A and B, with confidence intervals and tests.

    Raises:
        UsageError: The seeds cannot be paired, or the runs of one system differ in more than the seed.
        MienError: The run or the split cannot be scored, for one of the reasons listed under `evaluate`.
    """
    scored = SplitSelection(dataset, split)
    runs = [find_runs(folders) for folders in (runs_a, runs_b)]
    opened = [[open_split(run, scored) for run in side] for side in runs]
    sides = [[seed_run(each.run, _predict_and_write(each)) for each in side] for side in opened]
    names = [one_system(side) for side in runs]
    if names[0] == names[1]:
        names = [f"{name} ({side[0].folder.name})" for name, side in zip(names, runs, strict=True)]
    comparison = compare_seed_runs(*sides, name_a=names[0], name_b=names[1], bootstrap=Bootstrap(n_resamples))
    not_stored = [note for side in opened for each in side for note in each.notes]
    return replace(comparison, notes=(*not_stored, *comparison.notes))


def score_run(
    run: Run, protocols: Sequence[str], scored: SplitSelection | None = None, n_resamples: int = N_RESAMPLES
) -> dict[str, Result]:
    """Score one finished run under several protocols.

    The split is read once. If a protocol needs predictions of the chosen epoch, they are computed once and written to
    the run folder.

    Args:
        run: Finished run.
        protocols: Names of the protocols.
        scored: Split to score. None selects the test split of the Dataset that the run was trained on.
        n_resamples: Number of bootstrap resamples.

    Returns:
        Name of the protocol -> result.

    Raises:
        MienError: The run or the split cannot be scored, for one of the reasons listed under `evaluate`.
    """
    opened = open_split(run, scored or SplitSelection())
    chosen: Predictions | None = None
    results = {}
    with reporting_damage(run.folder / CARD, "the Run"):
        majority = TrainMajority.from_json(run.outcome["train_majority"], run.task_table)
    for protocol in protocols:
        if PROTOCOLS[protocol].needs is ProtocolInput.EPOCHS:
            predictions: Predictions | dict[int, Predictions] = _predict_epochs(opened, protocol)
        else:
            predictions = chosen = chosen or _predict_and_write(opened)
        result = evaluate_predictions(
            predictions,
            protocol=protocol,
            decisions=decisions_of(run),
            majority=majority,
            identity=identity_of(run, opened),
            bootstrap=Bootstrap(n_resamples),
        )
        results[protocol] = replace(result, notes=(*warnings_of(opened), *opened.notes, *result.notes))
    return results


def identity_of(run: Run, opened: OpenedSplit) -> RunIdentity:
    """Describe a run and the split that it is scored on.

    Args:
        run: Finished run.
        opened: The scored split. It may have been opened for a run of the same system with another seed.

    Returns:
        Description of run, Dataset and split.
    """
    return RunIdentity(
        run=str(run.folder),
        model=run.model,
        inputs=tuple(run.inputs),
        tasks=tuple(run.tasks),
        seed=run.seed,
        split=opened.split,
        dataset=f"{opened.dataset.facts.name} {opened.dataset.fingerprint[:12]}",
    )


def seed_run(run: Run, predictions: Predictions) -> SeedRun:
    """Collect the data of one run that a comparison of systems needs.

    Args:
        run: Finished run.
        predictions: Its predictions for the scored split.

    Returns:
        Predictions, thresholds and seed.
    """
    return SeedRun(predictions, decisions_of(run), run.seed)


def warnings_of(opened: OpenedSplit) -> list[str]:
    """Return warnings about the scored utterances: videos used in training, labels and features."""
    run, columns = opened.run, opened.columns
    scored = set(video_id_hashes(columns))
    warnings = []
    known_videos = run.outcome.get("videos", {})
    for role, effect in (("train", "were trained on"), ("valid", "chose epoch and thresholds")):
        n_overlap = len(scored & set(known_videos.get(role, ())))
        if n_overlap:
            warnings.append(f"NOT A TEST: {n_overlap} of the {len(scored)} scored videos {effect}")
    known = {space.name: space for space in columns.label_spaces}
    warnings += [
        f"not scored: the labels {known[space.name]} of the data set are not {space} of the model"
        for space in spaces_of(run.task_table)
        if space.name in known and not known[space.name].describes_same(space)
    ]
    if all(np.isnan(values).all() for values in columns.labels.values()):
        path = run.folder / _predictions_file(run, opened.dataset, opened.split)
        where = f"the predictions are in {path}" if path.exists() else "mien predict writes the predictions"
        warnings.append(f"no labels in this split: nothing to score; {where}")
    learned = {task.space.name for task in run.learned_tasks}
    check = ScaleCheck(
        (space for space in columns.label_spaces if space.name in learned), opened.dataset.facts.sentiment_values
    )
    check.add(columns.labels)
    warnings += [f"{alarm.space}: {alarm.found}" for alarm in check.alarms() if alarm.rule != SCALE_ONE_CLASS]
    for modality in run.inputs:
        share = float(columns.present[modality].mean())
        if share < 1:
            warnings.append(f"{modality} is missing in {100 * (1 - share):.1f} % of the scored utterances")
    return warnings


def open_split(run: Run, scored: SplitSelection) -> OpenedSplit:
    """Read the utterances on which a finished run is scored.

    Args:
        run: Finished run.
        scored: Dataset and split.

    Returns:
        The run, the Dataset, and the utterances of the split.

    Raises:
        DataError: The Dataset or the split is missing, or no utterance has inputs for the run.
        FeatureSpaceError: The Dataset has other feature spaces than the run.
    """
    dataset_path = str(scored.dataset or run.dataset["path"])  # empty for a shipped checkpoint
    if scored.dataset is None and not (dataset_path and os.path.exists(dataset_path)):
        raise DataError(
            f"Expected the data set of {run.folder} at {dataset_path or 'a named folder'}, but got nothing there; "
            "say where it is with --dataset"
        )
    dataset = open_dataset(dataset_path)
    require_spaces(run.spaces, available_spaces(dataset, run))
    columns = read_split(dataset, scored.split, run)
    if not any(columns.present[modality].any() for modality in run.inputs):
        raise DataError(
            f"Expected some {', '.join(run.inputs)} features in the split {scored.split} of {dataset.folder}, but all "
            f"{columns.n_utterances} utterances lack them; import them, or score another split"
        )
    return OpenedSplit(run, dataset, scored.split, columns)


def _predict(opened: OpenedSplit, epoch: int | None = None) -> Predictions:
    return load_predictor(opened.run, epoch).predict(opened.columns, opened.dataset.facts.sentiment_values)


def _predict_epochs(opened: OpenedSplit, protocol: str) -> dict[int, Predictions]:
    epochs = kept_epochs(opened.run)
    if not epochs:
        raise DataError(
            f"Expected the weights of every epoch in {opened.run.folder} for the protocol {protocol}, but got none; "
            "train with --set keep_epochs=true"
        )
    return {epoch: _predict(opened, epoch) for epoch in epochs}


def _predict_and_write(opened: OpenedSplit) -> Predictions:
    """Predict the labels of a split with the weights of the chosen epoch, and write the predictions to the run folder.

    Nothing is written for shipped checkpoints, or if the same predictions were written at the end of training. Nor is
    anything written if the folder is read-only; `opened.notes` then gets a message.
    """
    run, dataset, split = opened.run, opened.dataset, opened.split
    predictions = _predict(opened)
    written_by_training = _is_training_dataset(run, dataset) and split == "valid"
    if not (written_by_training or is_shipped_copy(run)):
        try:
            refuse_links(run.folder, PREDICTIONS_FOLDER)
            write_predictions(run.folder / _predictions_file(run, dataset, split), predictions)
        except ReadOnlyError:
            opened.notes.append(f"the predictions were not stored, because {run.folder} is read-only")
    return predictions


def _predictions_file(run: Run, dataset: Dataset, split: str) -> Path:
    """Return the path of a split's predictions, relative to the run folder.

    If the run was not trained on the Dataset, the file name contains the fingerprint of the Dataset.
    """
    name = f"{split}.parquet" if _is_training_dataset(run, dataset) else f"{split}-{dataset.fingerprint[:12]}.parquet"
    return PREDICTIONS_FOLDER / name


def _is_training_dataset(run: Run, dataset: Dataset) -> bool:
    """Return whether the run was trained on this Dataset."""
    return bool(dataset.fingerprint == run.dataset["fingerprint"])


def one_system(runs: Sequence[Run]) -> str:
    """Return the name of the system to which all runs belong.

    Raises:
        UsageError: The runs differ in more than the seed.
    """
    first = {key: value for key, value in runs[0].identity.items() if key != "seed"}
    for run in runs[1:]:
        differing = [key for key, value in first.items() if run.identity[key] != value]
        if differing:
            raise UsageError(
                f"Expected the runs of one side to differ in their seed alone, but got {runs[0].folder} and "
                f"{run.folder} with different {', '.join(differing)}; compare one system with one other"
            )
    return f"{runs[0].model} {'+'.join(runs[0].inputs)} {'+'.join(runs[0].tasks)}"
