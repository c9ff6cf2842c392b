"""Which task helps which: what each task's scores gain, over being learned alone, from the tasks learned with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.benchmark.tables import (
    HEADLINE,
    PLAIN,
    TESTS,
    Cell,
    PrintedTable,
    latex_scores,
    mark_of,
    markdown_scores,
)
from mien.reports.tables import to_csv
from mien.schema import Task
from mien.storage.files import written_aside

TASK_LETTERS = {
    Task.SENTIMENT: "S",
    Task.EMOTION: "E",
    Task.SENTIMENT_INTENSITY: "SI",
    Task.EMOTION_INTENSITY: "EI",
}
# columns of `HEADLINE` that are shown
SHOWN = ("acc has0", "emotion W-Acc", "MAE", "r", "emotion MAE", "emotion r")
HELP_HEADER = ("task", "together_with", "score", "difference", "difference_low", "difference_high", *TESTS[1:])
NOTES = (
    "S sentiment, E emotion, SI and EI their intensities. A row names the tasks learned with that of the column; the "
    "value is the difference from the column's task learned alone, with the 95 % interval over resampled videos: in "
    "points of per cent, of MAE and r as they are. Of MAE a negative difference is a gain.",
    "↑ helps, ↓ hurts: paired over videos and seeds, Holm-corrected over all settings and scores; no arrow: no "
    "difference shown.",
)


def has_help(results: Mapping[str, Any]) -> bool:
    """Whether the benchmark compares each task with itself learned alone."""
    return bool(results["plan"].get("references"))


def printed_help(results: Mapping[str, Any]) -> PrintedTable:
    """A row per set of partners, a column per score; empty where the partners hold the column's own task."""
    tests = _tests(results)
    shown = {label: HEADLINE[label] for label in SHOWN if any(path == HEADLINE[label] for _, path in tests)}
    partners = dict.fromkeys(name for name, _ in tests)
    rows = tuple(
        (f"with {name}", tuple(_cell(tests.get((name, path)), path) for path in shown.values()))
        for name in sorted(partners, key=lambda name: name.count("+"))
    )
    plan = results["plan"]
    title = f"Which task helps which, on {plan['dataset']['name']}, split {plan['split']}, {len(plan['seeds'])} seeds"
    return PrintedTable(title, tuple(shown), rows, NOTES)


def help_table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[Any]]]:
    """One row per task, partners and score, unrounded."""
    rows = [
        [path.split(".")[0], name, path, test["difference"], *test["interval"], *(test[key] for key in TESTS[1:])]
        for (name, path), (_, test) in _tests(results).items()
    ]
    return HELP_HEADER, rows


def write_help(folder: Path, results: Mapping[str, Any]) -> None:
    """help.csv, .md and .tex in `folder`; nothing for other benchmarks. Raises WriteError."""
    if not has_help(results):
        return
    printed = printed_help(results)
    texts = {
        "help.csv": to_csv(*help_table(results)),
        "help.md": markdown_scores(printed) + "\n",
        "help.tex": latex_scores(printed) + "\n",
    }
    for name, text in texts.items():
        with written_aside(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def _tests(results: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(partners, score) -> the setting and its test against the score's task alone."""
    found = {}
    for row in results["settings"]:
        for path, test in row["against_reference"].items():
            partners = [letters for task, letters in TASK_LETTERS.items() if task in row["tasks"]]
            partners.remove(TASK_LETTERS[Task(path.split(".")[0])])
            found["+".join(partners), path] = row, test
    return found


def _cell(found: tuple[Mapping[str, Any], Mapping[str, Any]] | None, path: str) -> Cell:
    if found is None:
        return Cell(None)
    row, test = found
    low, high = test["interval"]
    interval = None if low is None else (low, high)
    return Cell(test["difference"], None, interval, mark_of(row, path), path in PLAIN, signed=True)
