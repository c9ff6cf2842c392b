"""Tables, notes and figures of a diagnosis, for a terminal and for Markdown. Numbers are rounded only for display."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.diagnosis.abstention import CoverageCurve
from mien.evaluation.headline import all_headlines, headlines
from mien.evaluation.scores import rows_key
from mien.printable import printable
from mien.reports.table_formats import seeds_text
from mien.schema import EMOTIONS
from mien.storage.files import atomic_file, write_json
from mien.storage.folders import FolderKind, require_own_outputs
from mien.storage.predictions import Predictions
from mien.tasks import EMOTION, SENTIMENT, TASKS

WORSE = "↓"
DIAGNOSIS_JSON, DIAGNOSIS_MD = "diagnosis.json", "diagnosis.md"
# every diagnosis begins with its runs
DIAGNOSIS_FOLDER = FolderKind(DIAGNOSIS_JSON, '"runs"', (DIAGNOSIS_JSON, DIAGNOSIS_MD))
CHOSEN = "Slope, offset, thresholds, confidence cuts and edges of groups were chosen on valid, on nothing else."


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of formatted cells: the first column holds text, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnosisFigures:
    """Data of the figures of a diagnosis; each tuple has one entry per run."""

    heading: str
    before: tuple[Predictions, ...]  # with the probabilities of the system
    after: tuple[Predictions, ...]  # with calibrated probabilities
    curves: tuple[tuple[CoverageCurve, ...], ...]  # one curve per score


def write_diagnosis(folder: Path, summary: Mapping[str, Any], figures: DiagnosisFigures) -> list[Path]:
    """Write diagnosis.json, diagnosis.md and the figures, each to a temporary file that is then renamed.

    Args:
        folder: Folder to write into.
        summary: JSON object of the diagnosis.
        figures: Data of the figures.

    Returns:
        Paths of the files.

    Raises:
        WriteError: The folder cannot be written, or holds a file of one of these names that is no diagnosis.
    """
    from mien.diagnosis import coverage_figure  # loads matplotlib
    from mien.reports import reliability
    from mien.reports.style import write_figure

    require_own_outputs(folder, DIAGNOSIS_FOLDER)
    paths = [folder / DIAGNOSIS_JSON, folder / DIAGNOSIS_MD]
    write_json(paths[0], summary)
    with atomic_file(paths[1]) as temporary:
        temporary.write_text(to_markdown(summary), encoding="utf-8")
    seeds = seeds_text([len(figures.before)])
    before = reliability.reliability_of_runs(f"{figures.heading}, as trained, {seeds}", figures.before)
    after = reliability.reliability_of_runs(f"{figures.heading}, recalibrated on valid, {seeds}", figures.after)
    drawn = {
        "reliability-before": reliability.draw_reliability(before),
        "reliability-after": reliability.draw_reliability(after),
        "coverage": coverage_figure.draw_coverage_curves(f"{figures.heading}, {seeds}", figures.curves),
    }
    for name, figure in drawn.items():
        paths += write_figure(folder, name, figure)
    return paths


def heading_of(summary: Mapping[str, Any]) -> str:
    """Return the heading of a diagnosis.

    It has the system, its seeds, the Dataset, the split, and the numbers of videos and utterances of the split.
    """
    run, seeds = summary["runs"][0], [each["seed"] for each in summary["runs"]]
    return (
        f"{run['model']} {'+'.join(run['inputs'])}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}; "
        f"{run['dataset']}, split {run['split']}: {run['n_videos']:,} videos, {run['n_utterances']:,} utterances"
    )


def tables_of(summary: Mapping[str, Any]) -> list[TextTable]:
    """Return the results of a diagnosis as tables of means over the runs, with s.d. if there are several runs."""
    tables = [
        _calibration_table(summary),
        _thresholds_table(summary),
        _abstention_table(summary),
        _areas_table(summary),
        _groups_table(summary),
    ]
    if summary["transcription_errors"]["levels"]:
        tables.append(_transcription_table(summary["transcription_errors"]))
    return tables


def notes_of(summary: Mapping[str, Any]) -> list[str]:
    """Return the messages of a diagnosis: what was left out or changed, and why."""
    notes: list[str] = list(summary["notes"])
    notes += [f"no groups by {each['what']}: {each['absent']}" for each in summary["groups"]["by"] if each["absent"]]
    degraded = summary["transcription_errors"]
    if degraded["absent"]:
        notes.append(f"no transcription errors: {degraded['absent']}")
    return [*notes, *degraded["notes"]]


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return a diagnosis as one Markdown page."""
    lines = [f"# Diagnosis\n\n{heading_of(summary)}\n\n{CHOSEN}\n"]
    lines += [f"- {note}" for note in notes_of(summary)]
    for table in tables_of(summary):
        lines.append(f"\n## {table.title}\n")
        lines.append("| " + " | ".join(table.header) + " |")
        lines.append("|---|" + "---:|" * (len(table.header) - 1))
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines += [f"\n{note}" for note in table.notes]
    return printable("\n".join(lines)) + "\n"


def _calibration_table(summary: Mapping[str, Any]) -> TextTable:
    mean, sd = summary["mean"]["calibration"], summary["sd"]["calibration"]
    measures = ("calibration_error", "calibration_error_equal_count", "brier")
    rows = []
    for name, row in mean.items():
        cells = [_plain_number(row[key], sd[name][key], 3) for key in ("slope", "offset")]
        for measure in measures:
            values = [_plain_number(row[when][measure], sd[name][when][measure], 4) for when in ("before", "after")]
            cells.append(" → ".join(values))
        rows.append((name, *cells, f"{row['n_present']:,.0f}"))
    header = ("output", "slope", "offset", "ECE", "ECE, equal count", "Brier", "present")
    note = "ECE: expected calibration error in 10 bins of equal width, or of equal count; before → after Platt scaling."
    return TextTable("Calibration", header, tuple(rows), (note,))


def _thresholds_table(summary: Mapping[str, Any]) -> TextTable:
    mean, sd = summary["mean"], summary["sd"]
    objectives = tuple(next(iter(mean["thresholds"].values())))
    rows = []
    for name, row in mean["thresholds"].items():
        cells = (_threshold_cell(row[each], sd["thresholds"][name][each]) for each in objectives)
        rows.append((name, *cells))
    if mean["thresholds_mean6"] is not None:
        cells = (_score_with_half(mean["thresholds_mean6"][each], sd["thresholds_mean6"][each]) for each in objectives)
        rows.append((f"mean of {len(EMOTIONS)} emotions", *cells))
    note = (
        "Threshold → (calibrated threshold): its score in per cent (score at 0.5). Each column is scored by its own "
        "metric."
    )
    header = ("output", *(each.replace("_", " ") for each in objectives))
    return TextTable("Thresholds for an objective", header, tuple(rows), (note,))


def _threshold_cell(row: Mapping[str, float], sd: Mapping[str, float | None]) -> str:
    return f"{row['threshold']:.3f} → ({row['calibrated_threshold']:.3f}): {_score_with_half(row, sd)}"


def _score_with_half(row: Mapping[str, float], sd: Mapping[str, float | None]) -> str:
    return f"{_percent_text(row['score'], sd['score'])} ({_percent_text(row['score_at_half'])})"


def _abstention_table(summary: Mapping[str, Any]) -> TextTable:
    mean, sd = summary["mean"]["abstention"], summary["sd"]["abstention"]
    tasks = [task for task in TASKS if mean.get(task) is not None]
    scores = {task: next(iter(headlines(task).items())) for task in tasks}
    rows = []
    for key in mean[tasks[0]]["kept"]:
        cells: list[str] = []
        for task, (path, _) in scores.items():
            row, spread = mean[task]["kept"][key], sd[task]["kept"][key]
            score = path.split(".")[1]
            cells += [_percent_text(row["coverage"]), _percent_text(row[score], spread[score])]
        rows.append((f"{key} %", *cells))
    names = [("emotions" if task == EMOTION else task, headline.column) for task, (_, headline) in scores.items()]
    header = ("asked to keep", *(text for name, column in names for text in (f"{name} kept", column)))
    note = (
        "Per cent. The confidence cuts were chosen on valid, so the share really kept differs. Confidence: distance "
        "from the threshold in calibrated logits, cut for each output by itself."
    )
    return TextTable("Abstention: accuracy of the answers that are kept", header, tuple(rows), (note,))


def _areas_table(summary: Mapping[str, Any]) -> TextTable:
    mean, sd = summary["mean"]["abstention"], summary["sd"]["abstention"]
    rows = []

    def add(name: str, area: Mapping[str, float], spread: Mapping[str, float | None]) -> None:
        rows.append((name, *(_plain_number(area[key], spread[key], 4) for key in ("model", "random", "oracle"))))

    several = [task for task in TASKS if task != SENTIMENT and mean.get(task) is not None]
    if mean[SENTIMENT] is not None:
        add(SENTIMENT, mean[SENTIMENT]["area"], sd[SENTIMENT]["area"])
    for task in several:
        n = len(mean[task][rows_key(task)])
        name = f"mean of {n} emotions" if task == EMOTION else f"mean of {n} outputs of {task}"
        add(name, mean[task]["area"], sd[task]["area"])
    for task in several:
        for name, row in mean[task][rows_key(task)].items():
            add(name, row["area"], sd[task][rows_key(task)][name]["area"])
    note = (
        "Mean risk over all coverages, smaller is better. Risk: share of errors; of emotions with both classes alike."
    )
    return TextTable(
        "Area under the risk-coverage curve", ("output", "by confidence", "at random", "oracle"), tuple(rows), (note,)
    )


def _groups_table(summary: Mapping[str, Any]) -> TextTable:
    whole = summary["groups"]["whole"]
    paths = list(whole["scores"])
    rows = [("all", f"{whole['n_utterances']:,}", "", *(_group_cell(whole["scores"][path], "") for path in paths))]
    for grouping in summary["groups"]["by"]:
        for group in grouping["groups"]:
            cells = (
                _group_cell(group["scores"][path], WORSE if path in group["worse_in"] else "")
                if group["scores"]
                else "-"
                for path in paths
            )
            name = f"{grouping['what']}: {group['name']}"
            rows.append((name, f"{group['n_utterances']:,}", f"{group['n_videos']:,}", *cells))
    note = (
        f"Per cent with 95 % intervals by bootstrap over videos. {WORSE}: the interval lies wholly below the score of "
        "all. By chance one group in forty does. ECE, after recalibration, is never flagged: it grows when cases get "
        "fewer, in a small group and in every resample, so that its interval may lie above its value."
    )
    header = ("group", "utterances", "videos", *map(_score_column, paths))
    return TextTable("Groups", header, tuple(rows), (note,))


def _transcription_table(degraded: Mapping[str, Any]) -> TextTable:
    rows = []
    paths = list(degraded["levels"][0]["scores"])
    for level in degraded["levels"]:
        cells = (_change_cell(level["scores"][path], level["rate"] > 0) for path in paths)
        rows.append((f"{100 * level['rate']:.4g} %", _percent_text(level["measured_rate"]), *cells))
    note = (
        "Per cent; in brackets the change from 0 % with its 95 % interval, paired over videos. Injected errors, not "
        "those of a recogniser: 60 % substitutions, 25 % deletions, 15 % insertions, spread evenly over the words."
    )
    header = ("word errors", "measured", *map(_score_column, paths))
    return TextTable("Transcription errors", header, tuple(rows), (note,))


def _score_column(path: str) -> str:
    """Return the table heading of a score. For a calibration error, this is the task and "ECE"."""
    headline = all_headlines().get(path)
    return f"{path.split('.', maxsplit=1)[0]} ECE" if headline is None else headline.column


def _group_cell(score: Mapping[str, Any], mark: str) -> str:
    return f"{_percent_text(score['value'])}{_interval_text(score['interval'])}{mark}"


def _change_cell(score: Mapping[str, Any], changed: bool) -> str:
    text = _percent_text(score["value"])
    return f"{text} ({100 * score['difference']:+.2f}{_interval_text(score['interval'], '+')})" if changed else text


def _interval_text(interval: Sequence[float] | None, sign: str = "") -> str:
    if interval is None or math.isnan(interval[0]):
        return ""
    return f" [{100 * interval[0]:{sign}.1f}, {100 * interval[1]:{sign}.1f}]"


def _percent_text(value: float, sd: float | None = None) -> str:
    return _plain_number(100 * value, None if sd is None else 100 * sd, 2)


def _plain_number(value: float, sd: float | None, digits: int) -> str:
    if math.isnan(value):
        return "-"
    spread = "" if sd is None or math.isnan(sd) else f" ± {sd:.{digits}f}"
    return f"{value:.{digits}f}{spread}"
