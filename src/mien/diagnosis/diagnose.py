"""The command `mien diagnose`: how far a run's predictions can be trusted.

Calibration, decision thresholds and confidence thresholds are chosen on the valid split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.commands.evaluate import (
    OpenedSplit,
    SplitSelection,
    identity_of,
    one_system,
    open_split,
    seed_run,
    warnings_of,
)
from mien.commands.reading import read_split
from mien.commands.shipped import find_runs
from mien.commands.train import PREDICTIONS_FOLDER, video_id_hashes
from mien.diagnosis.abstention import CoverageCurve, abstain
from mien.diagnosis.calibration import (
    PlattScaling,
    calibration_part,
    classes_in,
    fit_scalings,
    labelled_outputs,
    objective_thresholds,
    recalibrated,
    thresholds_part,
)
from mien.diagnosis.groups import UtteranceAttributes, make_groupings, score_groups, utterance_attributes
from mien.diagnosis.report import DIAGNOSIS_FOLDER, DiagnosisFigures, to_markdown, write_diagnosis
from mien.diagnosis.word_errors import (
    Retranscribe,
    inject_errors,
    require_rates,
    retranscriber_or_reason,
    score_degraded,
)
from mien.errors import DataError
from mien.evaluation.compare import SeedRun
from mien.evaluation.decisions import Decisions
from mien.evaluation.measures import mean_of_defined
from mien.evaluation.rows import classes_of, validated_predictions
from mien.evaluation.summary import mean_and_sd
from mien.metrics.significance import N_RESAMPLES
from mien.metrics.word_error_rate import word_error_rate
from mien.schema import EMOTIONS
from mien.storage.dataset import Dataset, open_dataset
from mien.storage.folders import require_own_outputs
from mien.storage.predictions import Predictions, read_predictions
from mien.storage.runs import Run
from mien.tasks import tasks_to_json
from mien.training.predictor import Predictor, load_predictor

VALID = "valid"
WORD_ERRORS = (0.05, 0.1, 0.2)
# seed of the injected word errors, the same for every run
ERROR_SEED = 0
# largest difference of probabilities at which re-extracted text features still count as those of the Dataset
ALIKE = 1e-3
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Diagnosis:
    """Result of a diagnosis: `summary` is the JSON object that `mien diagnose` prints, `figures` the data to plot."""

    summary: dict[str, Any]
    figures: DiagnosisFigures

    def write(self, folder: str | Path) -> list[Path]:
        """Write diagnosis.json, diagnosis.md and the figures into a folder; return their paths. Raises WriteError."""
        return write_diagnosis(Path(folder), self.summary, self.figures)

    def to_pandas(self) -> Any:
        """Return a DataFrame with one row per run and one column per number; needs pandas."""
        import pandas as pd

        return pd.json_normalize(self.summary["runs"])

    def _repr_markdown_(self) -> str:
        return to_markdown(self.summary)


@dataclass(frozen=True, slots=True)
class RunDiagnosis:
    """Diagnosis of one run: `part` is its JSON object, `notes` are messages on outputs that could not be calibrated."""

    part: dict[str, Any]
    scalings: Mapping[str, PlattScaling]
    curves: tuple[CoverageCurve, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _DiagnosedRun:
    """A run with its predictor, its predictions for the scored split, and its diagnosis."""

    run: Run
    predictor: Predictor
    scored: Predictions
    result: RunDiagnosis


def diagnose(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    dataset: str | Path | None = None,
    split: str = "test",
    word_errors: Sequence[float] | None = None,
    text: str | None = None,
    n_resamples: int = N_RESAMPLES,
    advance: Advance | None = None,
) -> Diagnosis:
    """Measure how far the predictions of a system can be trusted, from runs that differ only in their seed.

    The diagnosis covers calibration, thresholds, abstention, groups of utterances, and errors in transcripts.

    Args:
        runs: Folders of finished runs or the name of a shipped run, or a single one; the folders stay unchanged.
        out: Folder for diagnosis.json, diagnosis.md and the figures; None writes nothing.
        dataset: Dataset to score; None scores the one that the runs were trained on.
        split: Split to score.
        word_errors: Word error rates in [0, 1] to inject into transcripts; None means `WORD_ERRORS`. If text inputs
            cannot be recomputed, given rates raise an error. With None, the diagnosis records the reason instead.
        text: Name of the text extractor, for example ``glove:FILE``, if the run's feature space does not name one.
        n_resamples: Resamples of the bootstrap over videos; 0 gives no intervals.
        advance: Called after each step with the number of finished steps and the number of all steps.

    Returns:
        The diagnosis of every run, and the means and s.d. over the runs.

    Raises:
        UsageError: The runs differ in more than their seed, or a rate is outside [0, 1].
        UnknownNameError: There is no such run or extractor.
        DataError: Dataset, split, labels or text inputs are missing or unusable.
        FeatureSpaceError: The Dataset or the extractor has other feature spaces than the run.
        DamagedFileError: A file of a run or Dataset is damaged.
        WriteError: The folder cannot be written, or holds a file of these names that is no diagnosis.
    """
    if out is not None:
        require_own_outputs(Path(out), DIAGNOSIS_FOLDER)
    opened_runs = find_runs(runs)
    one_system(opened_runs)
    opened = open_split(opened_runs[0], SplitSelection(dataset, split))
    rates = WORD_ERRORS if word_errors is None else require_rates(word_errors)
    retranscribe: Retranscribe | str = "not asked for"
    if rates:
        required = word_errors is not None
        retranscribe = retranscriber_or_reason(opened.run, opened.columns, text, required=required)
    n_parts, done = len(opened_runs) + len(rates) + 1, 0

    def step() -> None:
        nonlocal done
        done += 1
        if advance is not None:
            advance(done, n_parts)

    diagnosed, notes = [], warnings_of(opened)
    for run in opened_runs:
        each, run_notes = _diagnose_run(run, opened)
        diagnosed.append(each)
        notes += [note for note in run_notes if note not in notes]
        step()
    groups = _group_scores(opened, diagnosed, n_resamples)
    step()
    if isinstance(retranscribe, str):
        degraded: dict[str, Any] = {"absent": retranscribe, "levels": [], "notes": []}
    else:
        degraded = _degraded_scores(opened, diagnosed, rates, retranscribe, n_resamples, step)
    mean, sd = mean_and_sd([each.result.part for each in diagnosed])
    size = {"n_videos": len(opened.columns.video_ids), "n_utterances": opened.columns.n_utterances}
    summary = {
        "runs": [identity_of(each.run, opened).to_json() | size | each.result.part for each in diagnosed],
        "mean": mean,
        "sd": sd,
        "groups": groups,
        "transcription_errors": degraded,
        "n_resamples": n_resamples,
        "notes": notes,
        **tasks_to_json(opened.run.task_table),
    }
    diagnosis = Diagnosis(summary, _figure_data(opened, diagnosed))
    if out is not None:
        diagnosis.write(out)
    return diagnosis


def _diagnose_run(run: Run, opened: OpenedSplit) -> tuple[_DiagnosedRun, list[str]]:
    predictor = load_predictor(run)
    values = opened.dataset.facts.sentiment_values
    scored, notes = with_labels_only(validated_predictions(predictor.predict(opened.columns, values)))
    valid, run_notes = _valid_predictions(run, predictor, opened)
    result = diagnose_predictions(valid, scored, seed_run(run, scored).decisions)
    return _DiagnosedRun(run, predictor, scored, result), [*notes, *run_notes, *result.notes]


def with_labels_only(predictions: Predictions) -> tuple[Predictions, list[str]]:
    """Drop the classification tasks for which no utterance has a gold label.

    Return the remaining predictions and one message per dropped task. Raise DataError if no task that predicts classes
    remains.
    """
    dropped = [task for task in classes_in(predictions) if not classes_of(task, predictions)[1].any()]
    names = [task.name for task in dropped]
    kept = _select_tasks(predictions, [name for name in predictions.outputs if name not in names])
    if not classes_in(kept):
        raise DataError(
            "Expected classes of sentiment or emotion, and labels for them, in the scored split, but got "
            "none; diagnose a run trained for sentiment or emotion on a split with labels"
        )
    return kept, [f"{name} is left out: the scored split has no labels for it" for name in names]


def diagnose_predictions(valid: Predictions, scored: Predictions, decisions: Decisions) -> RunDiagnosis:
    """Choose calibration, thresholds and abstention of one run on the valid split, and score them on another split.

    Args:
        valid: Predictions for the valid split.
        scored: Predictions for the split to score, where each task has labels (see `with_labels_only`).
        decisions: Thresholds of the run.

    Returns:
        Diagnosis of the run.

    Raises:
        DataError: Predictions are invalid, or those for the valid split lack a task or its labels.
    """
    scored, valid = validated_predictions(scored), validated_predictions(valid, "the predictions on valid")
    valid = _select_tasks(valid, [task for task in valid.outputs if task in scored.outputs])
    on_valid = labelled_outputs(valid)
    for name in labelled_outputs(scored):
        if name not in on_valid or not len(on_valid[name].rows):
            raise DataError(
                f"Expected labelled predictions of {name} on valid, which chooses every number here, but got none; "
                "give --dataset a Dataset whose valid split has these labels"
            )
    scalings = fit_scalings(valid)
    thresholds = thresholds_part(scored, objective_thresholds(valid, decisions), scalings)
    abstention, curves = abstain(valid, scored, decisions, scalings)
    part = {
        "calibration": calibration_part(scored, scalings),
        "thresholds": thresholds,
        "thresholds_mean6": _mean_emotion_scores(thresholds),
        "abstention": abstention,
    }
    notes = [f"{name} is not recalibrated: {each.reason}" for name, each in scalings.items() if each.reason]
    notes += [
        f"the calibration of {name} has the slope 0: on valid its probabilities do not order anything"
        for name, each in scalings.items()
        if each.slope == 0
    ]
    return RunDiagnosis(part, scalings, tuple(curves), tuple(notes))


def _select_tasks(predictions: Predictions, tasks: Sequence[str]) -> Predictions:
    return dataclasses.replace(predictions, outputs={task: predictions.outputs[task] for task in tasks})


def _mean_emotion_scores(thresholds: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any] | None:
    """Return, for each metric, its mean over the emotions for which it is defined; None if there are no emotions."""
    rows = [thresholds[name] for name in EMOTIONS if name in thresholds]
    if not rows:
        return None
    return {
        objective: {
            key: float(mean_of_defined(np.array([row[objective][key] for row in rows])))
            for key in ("score", "score_at_half")
        }
        for objective in rows[0]
    }


def _valid_predictions(run: Run, predictor: Predictor, opened: OpenedSplit) -> tuple[Predictions, list[str]]:
    """Return the predictions of a run for the valid split, and messages on how they were made.

    A shipped run has no stored predictions, so it predicts the valid split of the scored Dataset. Raise DataError if
    this Dataset has no valid split, or if the run was trained on some videos of that split.
    """
    path = run.folder / PREDICTIONS_FOLDER / "valid.parquet"
    if path.exists():
        return read_predictions(path), []
    dataset = opened.dataset
    if VALID not in dataset.splits:
        raise DataError(
            f"Expected the run's predictions on valid in {path}, or a valid split in {dataset.folder}, but got "
            "neither; give --dataset a Dataset whose valid split the run was not trained on"
        )
    columns = read_split(dataset, VALID, run)
    n_known = len(set(video_id_hashes(columns)) & set(run.outcome.get("videos", {}).get("train", ())))
    if n_known:
        raise DataError(
            f"Expected a valid split that {run.folder} was not trained on, since it has no predictions on its own, but "
            f"got {n_known} of its training videos in the valid split of {dataset.folder}; give another --dataset"
        )
    note = f"valid was predicted anew: {len(columns.video_ids)} videos of {dataset.folder}"
    return predictor.predict(columns, dataset.facts.sentiment_values), [note]


def _group_scores(opened: OpenedSplit, diagnosed: Sequence[_DiagnosedRun], n_resamples: int) -> dict[str, Any]:
    scored = utterance_attributes(opened.columns)
    groupings = make_groupings(scored, _valid_attributes(opened))
    runs, scalings = _seed_runs(diagnosed)
    return score_groups(runs, scalings, groupings, scored, n_resamples)


def _valid_attributes(opened: OpenedSplit) -> UtteranceAttributes | None:
    """Return attributes of the utterances in the valid split, or None if there is no valid split.

    The training Dataset is preferred. If it is gone or has no valid split, the scored Dataset is used.
    """
    for dataset in (_training_dataset(opened.run), opened.dataset):
        if dataset is not None and VALID in dataset.splits:
            return utterance_attributes(dataset.columns(VALID))
    return None


def _training_dataset(run: Run) -> Dataset | None:
    """Return the Dataset that the run was trained on, or None if its folder is gone or now holds another Dataset."""
    path = run.dataset["path"]
    try:
        dataset = open_dataset(path) if path else None
    except DataError:
        return None
    return dataset if dataset is not None and dataset.fingerprint == run.dataset["fingerprint"] else None


def _degraded_scores(
    opened: OpenedSplit,
    diagnosed: Sequence[_DiagnosedRun],
    rates: Sequence[float],
    retranscribe: Retranscribe,
    n_resamples: int,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Return the scores at word error rate 0 and at the given rates; text inputs are recomputed for each rate.

    The function `step` is called after each of the given rates.
    """
    columns = opened.columns
    transcripts = columns.transcripts or []
    runs, scalings = _seed_runs(diagnosed)
    levels: list[dict[str, Any]] = []
    notes: list[str] = []
    clean: list[SeedRun] = []
    for rate in (0.0, *rates):
        degraded_texts = inject_errors(transcripts, rate, ERROR_SEED)
        changed = retranscribe(columns, degraded_texts)
        predictions = [each.predictor.predict(changed, opened.dataset.facts.sentiment_values) for each in diagnosed]
        degraded = [
            seed_run(each.run, with_labels_only(validated_predictions(rows))[0])
            for each, rows in zip(diagnosed, predictions, strict=True)
        ]
        if not clean:
            clean = degraded
            notes += _reextraction_notes(clean, runs)
        scores = score_degraded(degraded, clean, scalings, n_resamples)
        levels.append({"rate": rate, "measured_rate": word_error_rate(degraded_texts, transcripts), "scores": scores})
        if rate:
            step()
    return {"absent": "", "levels": levels, "seed": ERROR_SEED, "notes": notes}


def _reextraction_notes(reextracted: Sequence[SeedRun], stored: Sequence[SeedRun]) -> list[str]:
    """Return one message if text features that are extracted again change the predictions, else an empty list."""
    gap = max(
        float(np.abs(one.predictions.outputs[task.name] - other.predictions.outputs[task.name]).max())
        for one, other in zip(reextracted, stored, strict=True)
        for task in classes_in(one.predictions)
    )
    if gap <= ALIKE:
        return []
    return [
        f"text made anew from the transcripts is not the Dataset's own (probabilities differ by up to {gap:.3f}): "
        "compare with the row of 0 %, not with the scores above"
    ]


def _seed_runs(diagnosed: Sequence[_DiagnosedRun]) -> tuple[list[SeedRun], list[Mapping[str, PlattScaling]]]:
    return [seed_run(each.run, each.scored) for each in diagnosed], [each.result.scalings for each in diagnosed]


def _figure_data(opened: OpenedSplit, diagnosed: Sequence[_DiagnosedRun]) -> DiagnosisFigures:
    run = opened.run
    return DiagnosisFigures(
        heading=f"{run.model} {'+'.join(run.inputs)} on {opened.dataset.facts.name}, {opened.split} split",
        before=tuple(each.scored for each in diagnosed),
        after=tuple(recalibrated(each.scored, each.result.scalings) for each in diagnosed),
        curves=tuple(each.result.curves for each in diagnosed),
    )
