"""Terminal output of the commands. Numbers are rounded only here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.benchmark import tables
from mien.cli.terminal import new_console, new_table, print_table
from mien.diagnosis.report import CHOSEN, heading_of, notes_of, tables_of
from mien.schema import EMOTIONS
from mien.video.analysis import UtteranceAnalysis, further_summary

if TYPE_CHECKING:
    from rich.table import Table

    from mien.commands.export import Exported
    from mien.commands.predict import Predicted
    from mien.evaluation.compare import Comparison
    from mien.storage.runs import Run
    from mien.video.analysis import Analysis

# longest part of a transcript that a table shows
SHOWN_CHARACTERS = 80
PER_EMOTION = {
    "W-Acc": "weighted_accuracy",
    "weighted F1": "weighted_f1_at_f1_threshold",
    "F1 at W-Acc's thresholds": "weighted_f1",
    "positive F1": "positive_f1",
    "ROC AUC": "roc_auc",
}


def show_run(run: Run) -> None:
    """Print a run's folder, system, size and duration, and its chosen epoch."""
    outcome = run.outcome
    system = f"{run.folder}: {run.model} on {', '.join(run.inputs)} for {', '.join(run.tasks)}, seed {run.seed}, "
    if run.settings["training"]:
        details = (
            f"{outcome['n_parameters']:,} parameters, {outcome['epochs_run']} epochs of "
            f"{outcome['seconds_per_epoch']:.1f} s, epoch {outcome['chosen_epoch']} "
            f"chosen by {outcome['chosen_by']} ({_valid_score_text(outcome)})"
        )
    else:
        details = (
            f"{outcome['n_parameters']:,} numbers, fitted once in {outcome['seconds_per_epoch']:.1f} s "
            f"({_valid_score_text(outcome)} on the valid split)"
        )
    console = new_console()
    console.print(system + details)
    for note in outcome.get("notes", ()):
        console.print(note, style="yellow")


def _valid_score_text(outcome: Mapping[str, Any]) -> str:
    """Return the score that chose the epoch. A negative score is minus the loss, which is shown as a loss."""
    score = outcome["valid_score"]
    return f"loss {-score:.4f}" if score < 0 else f"{score:.4f}"


def show_evaluation(summary: Mapping[str, Any]) -> None:
    """Print the scores of runs with intervals, mean, s.d. and the trivial baseline; then the scores per emotion."""
    runs, first = summary["runs"], summary["runs"][0]
    console = new_console()
    if first["upper_bound"]:
        console.print("UPPER BOUND: epochs and thresholds were chosen on the scored split itself.", style="bold red")
    title = f"{first['dataset']}  split {first['split']}  protocol {first['protocol']}  "
    title += f"{first['n_videos']:,} videos, {first['n_utterances']:,} utterances  (per cent)"
    shown = tables.shown_columns(runs)
    table = new_table(title, "run", *shown)
    for run in runs:
        name = f"{run['model']} {'+'.join(run['inputs'])} seed {run['seed']}"
        table.add_row(name, *(_interval_cell(run, path) for path in shown.values()))
    table.add_section()
    mean, sd, trivial = (
        [_number_cell(path, tables.value_at(scores, path)) for path in shown.values()]
        for scores in (summary["mean"], summary["sd"], first["trivial"])
    )
    table.add_row("mean", *mean, style="bold")
    table.add_row("s.d. over runs", *sd)
    table.add_row("trivial: majority of train", *trivial)
    console.print(table)
    if any(map(tables.is_plain, shown.values())):
        console.print(tables.PLAIN_LEGEND, style="dim")
    if (summary["mean"].get("emotion") or {}).get("per_emotion"):
        console.print(_emotion_table(summary))
    for name, part in summary["mean"].items():
        if isinstance(part, dict) and part.get("per_class"):
            console.print(_class_table(name, part))
            console.print(_confusion_table(name, part["confusion"]))
        elif isinstance(part, dict) and part.get("per_output"):
            console.print(_output_table(name, part["per_output"]))
    console.print("; ".join(f"{key}: {text}" for key, text in first["conventions"].items()), style="dim")
    for note in [*summary["notes"], *first["notes"]]:
        console.print(note, style="yellow")


def show_comparison(comparison: Comparison) -> None:
    """Print one line per score: the values of both systems, the tests of their difference, and the better system."""
    title = (
        f"A = {comparison.name_a}, B = {comparison.name_b}; seeds {', '.join(map(str, comparison.seeds))}; "
        f"{comparison.n_videos:,} videos, {comparison.n_utterances:,} utterances (per cent)"
    )
    columns = ("A", "B", "A - B", "95 % interval", "p videos", "p videos, Holm", "p seeds", "verdict")
    table = new_table(title, "score", *columns)
    for path, row in comparison.metrics.items():
        low, high = row.bootstrap.interval.low, row.bootstrap.interval.high
        table.add_row(
            path,
            _number_cell(path, row.mean_a),
            _number_cell(path, row.mean_b),
            _number_cell(path, row.difference, "+"),
            "-" if math.isnan(low) else f"[{_number_cell(path, low, '+')}, {_number_cell(path, high, '+')}]",
            _p_value(row.bootstrap.p),
            _p_value(row.p_bootstrap_holm),
            _p_value(row.t_test.p),
            f"{row.winner} better" if row.winner else "no difference shown",
        )
    console = new_console()
    console.print(table)
    for note in comparison.notes:
        console.print(note, style="yellow")


def show_predicted(predicted: Predicted) -> None:
    """Print the path of the predictions. Warn of videos that the model was trained on, and of missing modalities."""
    console = new_console()
    console.print(f"{predicted.n_utterances:,} utterances of {predicted.n_videos:,} videos: {predicted.path}")
    for role, what in (("train", "trained the model"), ("valid", "chose its epoch and thresholds")):
        if role in predicted.known_videos:
            console.print(f"{predicted.known_videos[role]:,} of these videos {what}: no test", style="yellow")
    for name, share in predicted.missing.items():
        console.print(f"{name} is missing in {100 * share:.1f} % of the utterances", style="yellow")


def show_exported(exported: Exported) -> None:
    """Print the path of an exported file, and how closely its outputs match those of torch."""
    facts = exported.to_json()
    lengths = ", ".join(map(str, facts["checked_against_torch"]["lengths"]))
    new_console().print(
        f"{exported.path}: {exported.metadata['mien.model']} on {', '.join(exported.metadata['mien.inputs'])}, within "
        f"{facts['checked_against_torch']['tolerance']:g} of torch on videos of {lengths} utterances"
    )


def show_demo(analysis: Analysis, folder: Path) -> None:
    """Print a description of the demo clip, then its analysis.

    Args:
        analysis: Analysis of the demo clip.
        folder: Folder with the report.
    """
    new_console().print(
        "A clip made for mien: a still portrait, a synthetic voice, sentences written for it; nobody said any of it.",
        style="bold",
    )
    show_analysis(analysis, folder)


def show_analysis(analysis: Analysis, folder: Path) -> None:
    """Print one line per utterance, notes, and the path of the report.

    Args:
        analysis: Analysis of one recording.
        folder: Folder with the report.
    """
    console = new_console()
    rows = analysis.utterances
    cells = {
        "time": [f"{row.start_s:.1f} - {row.end_s:.1f} s" for row in rows],
        "speaker": [row.speaker or "" for row in rows],
        "said": [_shortened(row.transcript) for row in rows],
        "sentiment": [_sentiment_cell(row) for row in rows],
        "emotions": [", ".join(f"{name} {row.emotions[name]:.2f}" for name in row.labels) for row in rows],
        "further labels": ["; ".join(further_summary(row)) for row in rows],
    }
    for optional in ("speaker", "further labels"):
        if not any(cells[optional]):
            del cells[optional]
    table = new_table(f"{analysis.video.name}  {analysis.model.name}", *cells)
    for column, name in zip(table.columns, cells, strict=True):
        column.justify = "right" if name == "sentiment" else "left"
    for row_cells in zip(*cells.values(), strict=True):
        table.add_row(*(cell or "-" for cell in row_cells))
    console.print(table)
    for text in (*analysis.model.caveats, *analysis.notes):
        console.print(text, style="yellow")
    console.print(f"Report: {folder / 'report.html'}")


def _shortened(transcript: str) -> str:
    return transcript if len(transcript) <= SHOWN_CHARACTERS else transcript[:SHOWN_CHARACTERS] + "..."


def _sentiment_cell(utterance: UtteranceAnalysis) -> str:
    """Return the sentiment, with its intensity if there is one, or why the utterance has no prediction."""
    if utterance.not_judged:
        return f"no prediction: {utterance.not_judged}"
    if utterance.sentiment is None:
        return ""
    sentiment = f"{utterance.sentiment.label} {utterance.sentiment.probability:.2f}"
    degree = utterance.sentiment_intensity
    return sentiment if degree is None else f"{sentiment} ({degree:+.1f})"


def _emotion_table(summary: Mapping[str, Any]) -> Table:
    table = new_table(
        "By emotion, mean over runs (per cent)", "", *PER_EMOTION, "threshold", "present", "predicted", "trivial F1"
    )
    trivial = summary["runs"][0]["trivial"]["emotion"]["per_emotion"]
    for name in EMOTIONS:
        row = summary["mean"]["emotion"]["per_emotion"][name]
        threshold = row.get("threshold")
        table.add_row(
            name,
            *(_percent_cell(row.get(key)) for key in PER_EMOTION.values()),
            "-" if threshold is None else f"{threshold:.3f}",
            f"{row['n_positive']:,.0f}",
            "-" if row.get("n_predicted_positive") is None else f"{row['n_predicted_positive']:,.0f}",
            _percent_cell(trivial[name]["weighted_f1"]),
        )
    return table


def _class_table(task: str, part: Mapping[str, Any]) -> Table:
    columns = ("precision", "recall", "f1", "roc_auc")
    table = new_table(f"By class of {task}, mean over runs (per cent)", "", *columns, "present", "predicted")
    for name, row in part["per_class"].items():
        counts = (f"{row[key]:,.0f}" for key in ("n_positive", "n_predicted_positive"))
        table.add_row(name, *(_percent_cell(row[key]) for key in columns), *counts)
    return table


def _confusion_table(task: str, confusion: Mapping[str, Mapping[str, float | None]]) -> Table:
    table = new_table(f"Confusion of {task}, utterances, mean over runs", "gold / predicted", *confusion)
    for name, row in confusion.items():
        table.add_row(name, *("-" if count is None else f"{count:,.1f}".removesuffix(".0") for count in row.values()))
    return table


def _output_table(task: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Show the scores of every label of a task, in per cent unless they are errors or correlations."""
    shown = {name: key for name, key in PER_EMOTION.items() if key in next(iter(rows.values()))}
    plain = {} if shown else {"MAE": "mae", "r": "pearson", "CCC": "ccc"}
    table = new_table(f"By label of {task}, mean over runs" + (" (per cent)" if shown else ""), "", *shown, *plain)
    for name, row in rows.items():
        numbers = ("-" if row[key] is None or math.isnan(row[key]) else f"{row[key]:.3f}" for key in plain.values())
        table.add_row(name, *(_percent_cell(row[key]) for key in shown.values()), *numbers)
    return table


def _interval_cell(run: Mapping[str, Any], path: str) -> str:
    interval = run["intervals"].get(path)
    text = _number_cell(path, tables.value_at(run, path))
    if interval is None:
        return text
    if tables.is_plain(path):
        return f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]"
    return f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _number_cell(path: str, value: float | None, sign: str = "") -> str:
    """Format one score: in per cent if it is a fraction, else unchanged; "-" if it is undefined.

    If `sign` is "+", a positive number gets a plus sign.
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{value:{sign}.3f}" if tables.is_plain(path) else f"{100 * value:{sign}.2f}"


def _percent_cell(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.2f}"


def _p_value(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def show_benchmark(results: Mapping[str, Any], folder: Path, protocol: str) -> None:
    """Print the scores under one protocol, the costs, and the paths of the files.

    Args:
        results: Results of the benchmark, as in results.json.
        folder: Folder of the benchmark.
        protocol: Name of the evaluation protocol whose scores are shown.
    """
    screen = new_console()
    if protocol in tables.protocols_of(results):
        _show_benchmark_table(tables.printed_table(results, protocol))
    else:
        screen.print(f"No setting has scores under the protocol {protocol}.", style="yellow")
    if tables.has_joint_gains(results):
        _show_benchmark_table(tables.printed_joint_gains(results))
    header, rows = tables.printed_costs(results)
    print_table("Cost of one run: mean ± s.d. over seeds", header, rows)
    screen.print(
        f"{folder}: scores and costs as .csv, .md and .tex; results.json; runs below runs/ "
        f"({results['disk_mib']:,.0f} MiB in all)"
    )


def _show_benchmark_table(printed: tables.PrintedTable) -> None:
    screen = new_console()
    table = new_table(printed.title, "per cent", *printed.columns)
    for name, cells in printed.rows:
        style = "red" if name.startswith(tables.UPPER_BOUND) else None
        table.add_row(name, *(f"{cell.value()}\n{cell.range()}".rstrip() for cell in cells), style=style)
    screen.print(table)
    for note in printed.notes:
        screen.print(note, style="bold red" if note.startswith(tables.UPPER_BOUND) else "dim")


def show_diagnosis(summary: Mapping[str, Any], folder: Path | None) -> None:
    """Print the tables and notes of a diagnosis, and the path of its files.

    Args:
        summary: JSON object of the diagnosis.
        folder: Folder of the files; None if none were written.
    """
    console = new_console()
    console.print(heading_of(summary), style="bold")
    console.print(CHOSEN, style="dim")
    for printed in tables_of(summary):
        print_table(printed.title, printed.header, printed.rows)
        for note in printed.notes:
            console.print(note, style="dim")
    for note in notes_of(summary):
        console.print(note, style="yellow")
    if folder is not None:
        console.print(f"{folder}: diagnosis.json, diagnosis.md, figures as .svg, .pdf and .png")
