"""`cases.csv` and `cases.md`: which utterances show what joint learning does, found by rule (the paper's Table 8).

The rule. For every utterance and side (joint, single) a score is averaged over the seeds:

- emotions: Jaccard of the predicted and the gold set of the six emotions, |both| / |either|; two empty sets give 1;
- sentiment: 1 where the class under `has0` is right, else 0.

The gain of an utterance is (emotion score + sentiment score) of joint minus the same of single; a part without a gold
label, or which one side does not predict, counts for neither. All decisions use each run's own thresholds, those of
`clean`, at the operating point of weighted accuracy. Listed are the k utterances with the largest positive gain and the
k with the largest negative one; equal gains go by video id, then by index.

What is shown for each is the majority over the seeds: a label stands where more than half of the runs give it.
Precision and recall are those of that set against the gold set. Since the gain is an average, two sides can show the
same set and still differ in it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.benchmark.view import BenchmarkFolder, open_benchmark
from mien.evaluation.compare import SeedRun
from mien.evaluation.rows import require_same_utterances, validated_predictions
from mien.reports.table_formats import spreadsheet_cell, to_csv
from mien.schema import EMOTIONS, BoolArray, FloatArray, emotion_multihot7, sentiment_classes
from mien.storage.dataset import Dataset
from mien.storage.files import atomic_file
from mien.tasks import EMOTION, SENTIMENT

JOINT_BETTER, SINGLE_BETTER = "joint better", "single better"
RULE = (
    "Chosen by rule: for every utterance the Jaccard index of predicted and gold emotions, plus whether the sentiment "
    "is right, averaged over the seeds; listed are the largest differences joint - single each way, equal ones by "
    "video and index. Shown is what more than half of the seeds say, at the thresholds of the protocol clean. "
    "P and R: precision and recall of that set. ~~Struck through~~: wrong. _Missed_: in the gold set, but not said."
)
# punctuation that Markdown would read as markup; a backslash before it makes it a plain character
MARKUP = re.compile(r"([\\`*_\[\]|~<>&])")
NOT_LABELLED = "not labelled"
SEPARATOR = "; "
CASES_CSV, CASES_MD = "cases.csv", "cases.md"
N_CASES = 10
# gains are sums of fractions; closer than this they are equal, apart only by rounding
ROUNDING_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share that is told with its two counts, as in 1/3."""

    n: int
    of: int

    @property
    def value(self) -> float | None:
        """The share; None for 0/0: nothing was said, or there was nothing to find."""
        return self.n / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.n}/{self.of}"


@dataclass(frozen=True, slots=True)
class SidePrediction:
    """What one side says of one utterance; a part it does not predict, or that has no gold label, is None."""

    emotions: tuple[str, ...] | None = None  # majority over the seeds, in the order of EMOTIONS
    wrong: tuple[str, ...] = ()  # said, but not in the gold set
    missed: tuple[str, ...] = ()  # in the gold set, but not said
    precision: Ratio | None = None
    recall: Ratio | None = None
    jaccard: float | None = None  # mean over the seeds
    positive: bool | None = None  # majority over the seeds; the sentiment class under `has0`
    sentiment_right: float | None = None  # share of the seeds


@dataclass(frozen=True, slots=True)
class Case:
    """One listed utterance."""

    video_id: str
    index: int
    gold_emotions: tuple[str, ...] | None
    gold_positive: bool | None
    joint: SidePrediction
    single: SidePrediction
    gain: float  # joint - single


@dataclass(frozen=True, slots=True)
class SelectedCases:
    """The listing, and how many utterances each of its two parts was taken from."""

    joint_better: tuple[Case, ...]
    single_better: tuple[Case, ...]
    n_joint_better: int
    n_single_better: int
    n_equal: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CasesReport:
    """The listing with what a reader needs beside it."""

    cases: SelectedCases
    joint: str  # names of the systems
    single: tuple[str, ...]
    data: str  # data set and split
    transcripts: Mapping[tuple[str, int], str]  # (video id, index) -> what was said


@dataclass(frozen=True, slots=True)
class _Side:
    """What the runs of one side say of one task."""

    majority: BoolArray  # (utterance, label) what more than half of them say
    score: FloatArray  # (utterance,) mean over the seeds


@dataclass(frozen=True, slots=True)
class _Compared:
    """One task, predicted by both."""

    scored: BoolArray  # (utterance,)
    joint: _Side
    single: _Side


def write_benchmark_cases(
    folder: Path, *, k: int = N_CASES, dataset: str | Path | None = None
) -> tuple[list[Path], str]:
    """Write cases.csv and cases.md of a finished benchmark, by the rule of this module.

    Compared are the reference and the same model on the same inputs trained for one task; if the reference has no such
    partner, the family with the most inputs that has one. Only seeds that all of them have are used.

    Args:
        folder: of the benchmark.
        k: how many utterances to list each way.
        dataset: where the benchmark's Dataset is now, if not where the plan says; it has the transcripts.

    Returns:
        The files and an empty text; or no file and the reason.

    Raises:
        DataError: no benchmark, or not its Dataset.
        WriteError: the system refuses.
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
    single = {task: runs[task] for task in (EMOTION, SENTIMENT) if task in runs}
    data = opened.open_dataset(family.joint.slug, dataset)
    report = CasesReport(
        find_cases(runs["joint"], single, k),
        family.joint.name,
        tuple(system.name for system in family.single.values()),
        f"{data.facts.name}, {opened.split} split",
        _transcripts(data, opened),
    )
    paths = [opened.folder / CASES_CSV, opened.folder / CASES_MD]
    write_cases_csv(paths[0], report)
    write_cases_md(paths[1], report)
    return paths, ""


def find_cases(joint: Sequence[SeedRun], single: Mapping[str, Sequence[SeedRun]], k: int = N_CASES) -> SelectedCases:
    """The `k` utterances where joint learning helps most, and the `k` where it hurts most, by the rule above.

    Args:
        joint: runs of both tasks.
        single: task -> runs trained for it alone, with the same seeds.
        k: how many utterances to list each way, default 10.

    Raises:
        DataError: not the same utterances with the same gold labels, or unusable rows.
    """
    joint = _checked(joint)
    single = {task: _checked(runs) for task, runs in single.items()}
    everyone = [*joint, *itertools.chain.from_iterable(single.values())]
    require_same_utterances(
        [run.predictions for run in everyone],
        [f"run {number} (seed {run.seed})" for number, run in enumerate(everyone)],
    )
    gold = joint[0].predictions
    labels, has_emotions = emotion_multihot7(gold.emotions)
    labels = labels[:, : len(EMOTIONS)]
    positive, has_sentiment = sentiment_classes(gold.sentiment)
    compared: dict[str, _Compared] = {}
    if EMOTION in single:
        compared[EMOTION] = _Compared(has_emotions, _emotions(labels, joint), _emotions(labels, single[EMOTION]))
    if SENTIMENT in single:
        alone = single[SENTIMENT]
        compared[SENTIMENT] = _Compared(has_sentiment, _sentiment(positive, joint), _sentiment(positive, alone))
    gain = np.zeros(len(gold.index))
    for each in compared.values():
        gain += np.where(each.scored, each.joint.score - each.single.score, 0.0)
    gain = gain.round(ROUNDING_DIGITS)

    def case(row: int) -> Case:
        here = {task: each for task, each in compared.items() if each.scored[row]}
        return Case(
            video_id=str(gold.video_id[row]),
            index=int(gold.index[row]),
            gold_emotions=_names(labels[row]) if has_emotions[row] else None,
            gold_positive=bool(positive[row]) if has_sentiment[row] else None,
            joint=_answer(row, labels[row], {task: each.joint for task, each in here.items()}),
            single=_answer(row, labels[row], {task: each.single for task, each in here.items()}),
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


def _checked(runs: Sequence[SeedRun]) -> list[SeedRun]:
    return [replace(run, predictions=validated_predictions(run.predictions)) for run in runs]


def _said(runs: Sequence[SeedRun], task: str) -> BoolArray:
    """The decisions of every run (seed, utterance, output)."""
    return np.stack([run.predictions.outputs[task] >= run.decisions.at(task) for run in runs])


def _emotions(labels: BoolArray, runs: Sequence[SeedRun]) -> _Side:
    said = _said(runs, EMOTION)[..., : len(EMOTIONS)]
    either = (said | labels).sum(axis=2)
    jaccard = np.where(either == 0, 1.0, (said & labels).sum(axis=2) / np.maximum(either, 1))
    return _Side(2 * said.sum(axis=0) > len(said), jaccard.mean(axis=0))


def _sentiment(positive: BoolArray, runs: Sequence[SeedRun]) -> _Side:
    said = _said(runs, SENTIMENT)
    return _Side(2 * said.sum(axis=0) > len(said), (said[..., 0] == positive).mean(axis=0))


def _answer(row: int, gold: BoolArray, sides: Mapping[str, _Side]) -> SidePrediction:
    emotions, sentiment = sides.get(EMOTION), sides.get(SENTIMENT)
    facts: dict[str, Any] = {}
    if emotions is not None:
        said = emotions.majority[row]
        n_right = int((said & gold).sum())
        facts = {
            "emotions": _names(said),
            "wrong": _names(said & ~gold),
            "missed": _names(gold & ~said),
            "precision": Ratio(n_right, int(said.sum())),
            "recall": Ratio(n_right, int(gold.sum())),
            "jaccard": float(emotions.score[row]),
        }
    if sentiment is not None:
        facts |= {"positive": bool(sentiment.majority[row, 0]), "sentiment_right": float(sentiment.score[row])}
    return SidePrediction(**facts)


def _names(present: BoolArray) -> tuple[str, ...]:
    return tuple(name for name, here in zip(EMOTIONS, present, strict=True) if here)


def write_cases_csv(path: Path, report: CasesReport) -> None:
    """Numbers unrounded; a text that a spreadsheet would run gets an apostrophe in front. Raises WriteError."""
    rows = [_row(report, which, case) for which, cases in _listed(report) for case in cases]
    header = list(_row(report, "", Case("", 0, None, None, SidePrediction(), SidePrediction(), 0.0)))
    text = to_csv(header, [[spreadsheet_cell(value) for value in row.values()] for row in rows])
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_cases_md(path: Path, report: CasesReport) -> None:
    """A Markdown page with one table each way. Raises WriteError."""
    cases = report.cases
    n = cases.n_joint_better + cases.n_single_better + cases.n_equal
    lines = [
        "# Cases: joint against single-task learning",
        "",
        f"{escaped(report.joint)} (joint) against {escaped(' and '.join(report.single))} (single) on "
        f"{escaped(report.data)}, seeds {', '.join(map(str, cases.seeds))}. Of {n} utterances joint is better in "
        f"{cases.n_joint_better}, single in {cases.n_single_better}, neither in {cases.n_equal}.",
        "",
        RULE,
    ]
    head = ["| video | utterance | transcript | gold | joint | single | gain |", "|---|---|---|---|---|---|---|"]
    for which, listed in _listed(report):
        table = [*head, *(_line(report, case) for case in listed)] if listed else ["No utterance."]
        lines += ["", f"## {which.capitalize()}", "", *table]
    with atomic_file(path) as aside:
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def escaped(text: str) -> str:
    """Other people's words inside a Markdown table: one line, nothing of it markup."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))


def _listed(report: CasesReport) -> list[tuple[str, tuple[Case, ...]]]:
    return [(JOINT_BETTER, report.cases.joint_better), (SINGLE_BETTER, report.cases.single_better)]


def _row(report: CasesReport, which: str, case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {
        "which": which,
        "video_id": case.video_id,
        "index": case.index,
        "transcript": report.transcripts.get((case.video_id, case.index), ""),
        "gain": case.gain,
        "gold_emotions": _joined(case.gold_emotions),
        "gold_sentiment": _class_name(case.gold_positive),
    }
    for side, answer in (("joint", case.joint), ("single", case.single)):
        row |= {
            f"{side}_emotions": _joined(answer.emotions),
            f"{side}_wrong": _joined(answer.wrong),
            f"{side}_missed": _joined(answer.missed),
            f"{side}_precision": answer.precision and answer.precision.value,
            f"{side}_recall": answer.recall and answer.recall.value,
            f"{side}_jaccard_mean": answer.jaccard,
            f"{side}_sentiment": _class_name(answer.positive),
            f"{side}_sentiment_right_share": answer.sentiment_right,
        }
    return row


def _line(report: CasesReport, case: Case) -> str:
    emotions = NOT_LABELLED if case.gold_emotions is None else ", ".join(case.gold_emotions) or "none"
    cells = [
        escaped(case.video_id),
        str(case.index),
        escaped(report.transcripts.get((case.video_id, case.index), "")),
        f"{emotions}; {_class_name(case.gold_positive) or NOT_LABELLED}",
        _told(case.joint, case.gold_positive),
        _told(case.single, case.gold_positive),
        f"{case.gain:+.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _told(answer: SidePrediction, gold_positive: bool | None) -> str:
    parts = []
    if answer.emotions is not None:
        said = [f"~~{name}~~" if name in answer.wrong else name for name in answer.emotions] or ["none"]
        missed = f" _missed: {', '.join(answer.missed)}_" if answer.missed else ""
        parts.append(f"{', '.join(said)}{missed} (P {answer.precision}, R {answer.recall})")
    if answer.positive is not None:
        sentiment = _class_name(answer.positive)
        parts.append(sentiment if answer.positive == gold_positive else f"~~{sentiment}~~")
    return "; ".join(parts) or "-"


def _joined(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else SEPARATOR.join(names) or "none"


def _class_name(positive: bool | None) -> str:
    return "" if positive is None else "positive" if positive else "negative"


def _transcripts(dataset: Dataset, opened: BenchmarkFolder) -> dict[tuple[str, int], str]:
    rows = dataset.table(["video_id", "index", "split", "transcript"]).to_pydict()
    return {
        (video, index): transcript or ""
        for video, index, split, transcript in zip(*rows.values(), strict=True)
        if split == opened.split
    }
