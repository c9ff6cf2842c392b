"""`cases.csv` and `cases.md`: utterances where joint learning beats single-task learning, and the reverse.

The cases of `mien benchmark`: where joint learning beats single-task learning, and the reverse (Table 8).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.benchmark.cases import N_CASES, Answer, Case, Cases, Ratio, SingleRuns, find_cases
from mien.benchmark.view import BenchmarkFolder, open_benchmark
from mien.evaluation.compare import SeedRun
from mien.reports.tables import spreadsheet_cell
from mien.storage.dataset import Dataset
from mien.storage.files import written_aside
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


@dataclass(frozen=True, slots=True)
class CasesReport:
    """The listing with what a reader needs beside it."""

    cases: Cases
    joint: str  # names of the systems
    single: tuple[str, ...]
    data: str  # data set and split
    transcripts: Mapping[tuple[str, int], str]  # (video id, index) -> what was said


def write_cases_csv(path: Path, report: CasesReport) -> None:
    """UTF-8, comma separated, numbers unrounded; a text that a spreadsheet would run gets an apostrophe in front.

    Raises WriteError.
    """
    rows = [_row(report, which, case) for which, cases in _listed(report) for case in cases]
    names = list(_row(report, "", EMPTY_CASE))
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([spreadsheet_cell(value) for value in row.values()])


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
    for which, listed in _listed(report):
        lines += ["", f"## {which.capitalize()}", ""]
        if not listed:
            lines.append("No utterance.")
            continue
        lines += [
            "| video | utterance | transcript | gold | joint | single | gain |",
            "|---|---|---|---|---|---|---|",
            *(_line(report, case) for case in listed),
        ]
    with written_aside(path) as aside:
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
        "gold_sentiment": _sentiment(case.gold_positive),
    }
    for side, answer in (("joint", case.joint), ("single", case.single)):
        row |= {
            f"{side}_emotions": _joined(answer.emotions),
            f"{side}_wrong": _joined(answer.wrong),
            f"{side}_missed": _joined(answer.missed),
            f"{side}_precision": _csv_ratio(answer.precision),
            f"{side}_recall": _csv_ratio(answer.recall),
            f"{side}_jaccard_mean": answer.jaccard,
            f"{side}_sentiment": _sentiment(answer.positive),
            f"{side}_sentiment_right_share": answer.sentiment_right,
        }
    return row


def _line(report: CasesReport, case: Case) -> str:
    emotions = NOT_LABELLED if case.gold_emotions is None else ", ".join(case.gold_emotions) or "none"
    cells = [
        escaped(case.video_id),
        str(case.index),
        escaped(report.transcripts.get((case.video_id, case.index), "")),
        f"{emotions}; {_sentiment(case.gold_positive) or NOT_LABELLED}",
        _told(case.joint, case.gold_positive),
        _told(case.single, case.gold_positive),
        f"{case.gain:+.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _told(answer: Answer, gold_positive: bool | None) -> str:
    parts = []
    if answer.emotions is not None:
        said = [f"~~{name}~~" if name in answer.wrong else name for name in answer.emotions] or ["none"]
        missed = f" _missed: {', '.join(answer.missed)}_" if answer.missed else ""
        parts.append(f"{', '.join(said)}{missed} (P {answer.precision}, R {answer.recall})")
    if answer.positive is not None:
        sentiment = _sentiment(answer.positive)
        parts.append(sentiment if answer.positive == gold_positive else f"~~{sentiment}~~")
    return "; ".join(parts) or "-"


def _joined(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else SEPARATOR.join(names) or "none"


def _sentiment(positive: bool | None) -> str:
    return "" if positive is None else "positive" if positive else "negative"


def _csv_ratio(ratio: Ratio | None) -> float | None:
    """Empty for 0/0: nothing was said, or there was nothing to find."""
    return None if ratio is None or not ratio.of else ratio.value


EMPTY_ANSWER = Answer(None, (), (), None, None, None, None, None)
EMPTY_CASE = Case("", 0, None, None, EMPTY_ANSWER, EMPTY_ANSWER, 0.0)


SEPARATOR = "; "
CASES_CSV, CASES_MD = "cases.csv", "cases.md"


def write_benchmark_cases(
    folder: Path, *, k: int = N_CASES, dataset: str | Path | None = None
) -> tuple[list[Path], str]:
    """Write cases.csv and cases.md of a finished benchmark, by the rule in `mien.benchmark.cases`.

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
    runs: dict[str, tuple[SeedRun, ...]] = {
        name: opened.seed_runs(system.slug, seeds) for name, system in systems.items()
    }
    single = SingleRuns(runs.get(EMOTION, ()), runs.get(SENTIMENT, ()))
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


def _transcripts(dataset: Dataset, opened: BenchmarkFolder) -> dict[tuple[str, int], str]:
    rows = dataset.table(["video_id", "index", "split", "transcript"]).to_pydict()
    return {
        (video, index): transcript or ""
        for video, index, split, transcript in zip(
            rows["video_id"], rows["index"], rows["split"], rows["transcript"], strict=True
        )
        if split == opened.split
    }
