"""`cases.csv` and `cases.md`: utterances where joint learning helps or hurts most (the paper's Table 8).

Two sides are compared: systems trained on both tasks together (joint), and systems trained on one task (single). Each
side gets a score for every utterance and task, averaged over the seeds:

- emotions: Jaccard index of the predicted and the gold set of the six emotions; two empty sets give 1;
- sentiment: 1 where the predicted class equals the gold class (positive for a score >= 0), else 0.

The gain of an utterance is the sum of the joint side's scores minus the sum of the single side's scores. A task is left
out of both sums if the utterance has no gold label for it, or if one side does not predict it. Each run uses the
thresholds that the protocol `clean` chose for weighted accuracy. The k utterances with the largest positive gain and
the k with the largest negative gain are listed. Ties are ordered by video id, then by index.

The listing shows the majority over the seeds: the labels that more than half of the runs predict, with precision and
recall against the gold set. The gain is a mean over seeds, so it need not be 0 where both sides show the same set.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.finished import BenchmarkFolder, open_benchmark
from mien.evaluation.compare import SeedRun
from mien.evaluation.counts import decided_positive
from mien.evaluation.rows import require_same_utterances, validated_predictions
from mien.reports.table_formats import markdown_text, to_csv
from mien.schema import EMOTION, EMOTIONS, SENTIMENT, BoolArray, FloatArray, emotion_multihot7, sentiment_classes
from mien.storage.dataset import Dataset
from mien.storage.files import atomic_file
from mien.tasks import PAPER_TASKS

JOINT_BETTER, SINGLE_BETTER = "joint better", "single better"
RULE = (
    "Chosen by rule: for every utterance the Jaccard index of predicted and gold emotions, plus whether the sentiment "
    "is right, averaged over the seeds; listed are the largest differences joint - single each way, equal ones by "
    "video and index. Shown is what more than half of the seeds say, at the thresholds of the protocol clean. "
    "P and R: precision and recall of that set. ~~Struck through~~: wrong. _Missed_: in the gold set, but not said."
)
NOT_LABELLED = "not labelled"
SEPARATOR = "; "
CASES_CSV, CASES_MD = "cases.csv", "cases.md"
N_CASES = 10
# gains are rounded to this many digits, so that floating-point errors do not break ties
ROUNDING_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two counts: `n` divided by `of`. Its text has the form "1/3"."""

    n: int
    of: int

    @property
    def value(self) -> float | None:
        """The fraction as a number; None if the denominator is 0."""
        return self.n / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.n}/{self.of}"


@dataclass(frozen=True, slots=True)
class SidePrediction:
    """Predictions of the joint or of the single-task systems for one utterance.

    A field is None if the prediction or the gold label that it needs is missing.
    """

    emotions: tuple[str, ...] | None = None  # majority over the seeds, in the order of EMOTIONS
    wrong: tuple[str, ...] = ()  # predicted, but not in the gold set
    missed: tuple[str, ...] = ()  # in the gold set, but not predicted
    precision: Ratio | None = None
    recall: Ratio | None = None
    jaccard: float | None = None  # mean over the seeds
    positive: bool | None = None  # majority over the seeds; the sentiment class under `has0`
    sentiment_right: float | None = None  # share of the seeds with the right class


@dataclass(frozen=True, slots=True)
class Case:
    """One listed utterance: its gold labels, and the predictions of joint and single-task systems."""

    video_id: str
    index: int
    gold_emotions: tuple[str, ...] | None
    gold_positive: bool | None
    joint: SidePrediction
    single: SidePrediction
    gain: float  # score of joint minus score of single


@dataclass(frozen=True, slots=True)
class SelectedCases:
    """The example utterances, and the numbers of all utterances that joint or single-task learning predicts better."""

    joint_better: tuple[Case, ...]
    single_better: tuple[Case, ...]
    n_joint_better: int
    n_single_better: int
    n_equal: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CasesReport:
    """Content of cases.csv and cases.md: the utterances, their transcripts, and the names of systems and data."""

    cases: SelectedCases
    joint: str  # names of the systems
    single: tuple[str, ...]
    data: str  # data set and split
    transcripts: Mapping[tuple[str, int], str]  # (video id, index) -> transcript


@dataclass(frozen=True, slots=True)
class _SideScores:
    """Predictions and scores of joint or of single-task systems for one task."""

    majority: BoolArray  # (utterance, output) predicted by more than half of the runs
    score: FloatArray  # (utterance,) mean over the seeds


@dataclass(frozen=True, slots=True)
class _Sides:
    """Scores of the joint systems and of the single-task systems for one task."""

    scored: BoolArray  # (utterance,) whether the utterance has a gold label
    joint: _SideScores
    single: _SideScores


def write_benchmark_cases(
    folder: Path, *, k: int = N_CASES, dataset: str | Path | None = None
) -> tuple[list[Path], str]:
    """Write cases.csv and cases.md: the utterances where joint learning helps and hurts most in a benchmark.

    The compared systems are those of `BenchmarkView.reference_family`. Seeds for which one of them lacks a run are left
    out.

    Args:
        folder: Folder of the finished benchmark.
        k: Largest number of utterances in each of two lists: where joint learning is better, and where it is worse.
        dataset: Folder of the benchmark's Dataset, from which transcripts are read. By default, the path in plan.json.

    Returns:
        Paths of the files, and an empty text. If nothing was written: an empty list, and the reason.

    Raises:
        DataError: The folder is no finished benchmark, or `dataset` is not the Dataset that the benchmark used.
        WriteError: A file cannot be written.
    """
    opened = open_benchmark(folder)
    family = opened.scores.reference_family()
    if family is None or family.joint is None or not family.single:
        return [], "no system was trained both for the two tasks together and for one of them alone"
    systems = {"joint": family.joint, **family.single}
    seeds = [seed for seed in opened.seeds if all(seed in opened.seeds_of(s.slug) for s in systems.values())]
    if not seeds:
        return [], "no seed was finished both jointly and alone"
    runs = {name: opened.seed_runs(system.slug, seeds) for name, system in systems.items()}
    if not all(run.predictions.tasks[task].space.is_paper for run in runs["joint"] for task in (EMOTION, SENTIMENT)):
        return [], "example utterances are picked for the paper's sentiment and six emotions only"
    single = {task: runs[task] for task in (EMOTION, SENTIMENT) if task in runs}
    data = opened.open_dataset(family.joint.slug, dataset)
    report = CasesReport(
        find_cases(runs["joint"], single, k),
        family.joint.name,
        tuple(system.name for system in family.single.values()),
        f"{data.facts.name}, {opened.scores.part}",
        _scored_transcripts(data, opened),
    )
    paths = [opened.folder / CASES_CSV, opened.folder / CASES_MD]
    write_cases_csv(paths[0], report)
    write_cases_md(paths[1], report)
    return paths, ""


def find_cases(joint: Sequence[SeedRun], single: Mapping[str, Sequence[SeedRun]], k: int = N_CASES) -> SelectedCases:
    """Find the `k` utterances that gain most from joint learning, and the `k` that lose most.

    Args:
        joint: Runs trained on both tasks together.
        single: Task -> runs trained on this task alone, with the same seeds.
        k: Largest number of utterances in each of the two lists.

    Returns:
        Both lists, the largest change first. Also how many of all utterances gain, lose, or stay equal.

    Raises:
        DataError: The runs differ in utterances or gold labels, or their predictions are invalid.
    """
    joint = _validated_runs(joint)
    single = {task: _validated_runs(runs) for task, runs in single.items()}
    all_runs = [*joint, *itertools.chain.from_iterable(single.values())]
    require_same_utterances(
        [run.predictions for run in all_runs],
        [f"run {number} (seed {run.seed})" for number, run in enumerate(all_runs)],
    )
    gold = joint[0].predictions
    labels, has_emotions = emotion_multihot7(gold.emotions)
    labels = labels[:, : len(EMOTIONS)]
    positive, has_sentiment = sentiment_classes(gold.sentiment)
    tasks: dict[str, _Sides] = {}
    if EMOTION in single:
        tasks[EMOTION] = _Sides(has_emotions, _score_emotions(labels, joint), _score_emotions(labels, single[EMOTION]))
    if SENTIMENT in single:
        runs = single[SENTIMENT]
        tasks[SENTIMENT] = _Sides(has_sentiment, _score_sentiment(positive, joint), _score_sentiment(positive, runs))
    gain = np.zeros(len(gold.index))
    for each in tasks.values():
        gain += np.where(each.scored, each.joint.score - each.single.score, 0.0)
    gain = gain.round(ROUNDING_DIGITS)

    def case(row: int) -> Case:
        labelled = {task: each for task, each in tasks.items() if each.scored[row]}
        return Case(
            video_id=str(gold.video_id[row]),
            index=int(gold.index[row]),
            gold_emotions=_emotion_names(labels[row]) if has_emotions[row] else None,
            gold_positive=bool(positive[row]) if has_sentiment[row] else None,
            joint=_side_prediction(row, labels[row], {task: each.joint for task, each in labelled.items()}),
            single=_side_prediction(row, labels[row], {task: each.single for task, each in labelled.items()}),
            gain=float(gain[row]),
        )

    best, worst = np.argsort(-gain, kind="stable"), np.argsort(gain, kind="stable")
    n_better, n_worse = int((gain > 0).sum()), int((gain < 0).sum())
    return SelectedCases(
        joint_better=tuple(case(row) for row in best[: min(k, n_better)].tolist()),
        single_better=tuple(case(row) for row in worst[: min(k, n_worse)].tolist()),
        n_joint_better=n_better,
        n_single_better=n_worse,
        n_equal=len(gain) - n_better - n_worse,
        seeds=tuple(sorted(run.seed for run in joint)),
    )


def _validated_runs(runs: Sequence[SeedRun]) -> list[SeedRun]:
    return [replace(run, predictions=validated_predictions(run.predictions)) for run in runs]


def _score_emotions(labels: BoolArray, runs: Sequence[SeedRun]) -> _SideScores:
    decided = [each.predictions.outputs[EMOTION] >= each.decisions.at(PAPER_TASKS[EMOTION]) for each in runs]
    predicted = np.stack(decided)[..., : len(EMOTIONS)]
    union = (predicted | labels).sum(axis=2)
    jaccard = np.where(union == 0, 1.0, (predicted & labels).sum(axis=2) / np.maximum(union, 1))
    return _SideScores(2 * predicted.sum(axis=0) > len(predicted), jaccard.mean(axis=0))


def _score_sentiment(positive: BoolArray, runs: Sequence[SeedRun]) -> _SideScores:
    tasks = [each.predictions.tasks[SENTIMENT] for each in runs]
    decided = [decided_positive(each.predictions, task, each.decisions) for each, task in zip(runs, tasks, strict=True)]
    predicted = np.stack(decided)[..., None]
    return _SideScores(2 * predicted.sum(axis=0) > len(predicted), (predicted[..., 0] == positive).mean(axis=0))


def _side_prediction(row: int, gold: BoolArray, sides: Mapping[str, _SideScores]) -> SidePrediction:
    emotions, sentiment = sides.get(EMOTION), sides.get(SENTIMENT)
    facts: dict[str, Any] = {}
    if emotions is not None:
        predicted = emotions.majority[row]
        n_right = int((predicted & gold).sum())
        facts = {
            "emotions": _emotion_names(predicted),
            "wrong": _emotion_names(predicted & ~gold),
            "missed": _emotion_names(gold & ~predicted),
            "precision": Ratio(n_right, int(predicted.sum())),
            "recall": Ratio(n_right, int(gold.sum())),
            "jaccard": float(emotions.score[row]),
        }
    if sentiment is not None:
        facts |= {"positive": bool(sentiment.majority[row, 0]), "sentiment_right": float(sentiment.score[row])}
    return SidePrediction(**facts)


def _emotion_names(mask: BoolArray) -> tuple[str, ...]:
    return tuple(name for name, present in zip(EMOTIONS, mask, strict=True) if present)


def write_cases_csv(path: Path, report: CasesReport) -> None:
    """Write cases.csv: one row per listed utterance, with unrounded numbers, and texts that are safe in spreadsheets.

    Args:
        path: File to write.
        report: The listed utterances.
    """
    rows = [_case_csv_row(report, which, case) for which, cases in _cases_by_kind(report) for case in cases]
    header = list(_case_csv_row(report, "", Case("", 0, None, None, SidePrediction(), SidePrediction(), 0.0)))
    text = to_csv(header, [list(row.values()) for row in rows])
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_cases_md(path: Path, report: CasesReport) -> None:
    """Write cases.md: a table where joint learning is better, and a table where single-task learning is.

    A text above the tables explains how the utterances are chosen.

    Args:
        path: File to write.
        report: The listed utterances, and the names for the heading.
    """
    cases = report.cases
    n = cases.n_joint_better + cases.n_single_better + cases.n_equal
    lines = [
        "# Cases: joint against single-task learning",
        "",
        f"{markdown_text(report.joint)} (joint) against {markdown_text(' and '.join(report.single))} (single) on "
        f"{markdown_text(report.data)}, seeds {', '.join(map(str, cases.seeds))}. Of {n} utterances joint is better in "
        f"{cases.n_joint_better}, single in {cases.n_single_better}, neither in {cases.n_equal}.",
        "",
        RULE,
    ]
    head = ["| video | utterance | transcript | gold | joint | single | gain |", "|---|---|---|---|---|---|---|"]
    for which, listed in _cases_by_kind(report):
        table = [*head, *(_case_markdown_row(report, case) for case in listed)] if listed else ["No utterance."]
        lines += ["", f"## {which.capitalize()}", "", *table]
    with atomic_file(path) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cases_by_kind(report: CasesReport) -> list[tuple[str, tuple[Case, ...]]]:
    return [(JOINT_BETTER, report.cases.joint_better), (SINGLE_BETTER, report.cases.single_better)]


def _case_csv_row(report: CasesReport, which: str, case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {
        "which": which,
        "video_id": case.video_id,
        "index": case.index,
        "transcript": report.transcripts.get((case.video_id, case.index), ""),
        "gain": case.gain,
        "gold_emotions": _joined_names(case.gold_emotions),
        "gold_sentiment": _class_name(case.gold_positive),
    }
    for side, answer in (("joint", case.joint), ("single", case.single)):
        row |= {
            f"{side}_emotions": _joined_names(answer.emotions),
            f"{side}_wrong": _joined_names(answer.wrong),
            f"{side}_missed": _joined_names(answer.missed),
            f"{side}_precision": answer.precision and answer.precision.value,
            f"{side}_recall": answer.recall and answer.recall.value,
            f"{side}_jaccard_mean": answer.jaccard,
            f"{side}_sentiment": _class_name(answer.positive),
            f"{side}_sentiment_right_share": answer.sentiment_right,
        }
    return row


def _case_markdown_row(report: CasesReport, case: Case) -> str:
    emotions = NOT_LABELLED if case.gold_emotions is None else ", ".join(case.gold_emotions) or "none"
    cells = [
        markdown_text(case.video_id),
        str(case.index),
        markdown_text(report.transcripts.get((case.video_id, case.index), "")),
        f"{emotions}; {_class_name(case.gold_positive) or NOT_LABELLED}",
        _side_markdown(case.joint, case.gold_positive),
        _side_markdown(case.single, case.gold_positive),
        f"{case.gain:+.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _side_markdown(answer: SidePrediction, gold_positive: bool | None) -> str:
    parts = []
    if answer.emotions is not None:
        names = [f"~~{name}~~" if name in answer.wrong else name for name in answer.emotions] or ["none"]
        missed = f" _missed: {', '.join(answer.missed)}_" if answer.missed else ""
        parts.append(f"{', '.join(names)}{missed} (P {answer.precision}, R {answer.recall})")
    if answer.positive is not None:
        sentiment = _class_name(answer.positive)
        parts.append(sentiment if answer.positive == gold_positive else f"~~{sentiment}~~")
    return "; ".join(parts) or "-"


def _joined_names(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else SEPARATOR.join(names) or "none"


def _class_name(positive: bool | None) -> str:
    return "" if positive is None else "positive" if positive else "negative"


def _scored_transcripts(dataset: Dataset, opened: BenchmarkFolder) -> dict[tuple[str, int], str]:
    rows = dataset.table(["video_id", "index", "split", "transcript"]).to_pydict()
    return {
        (video, index): transcript or ""
        for video, index, split, transcript in zip(*rows.values(), strict=True)
        if opened.folds or split == opened.split
    }
