"""The tables of a benchmark: CSV for programs, Markdown and LaTeX (booktabs) for people.

Numbers are rounded in Markdown and LaTeX only. Costs are in separate tables, because an interrupted run changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.benchmark.folds import scored_part
from mien.evaluation.headline import all_headlines, is_share, tasks_of_results, tasks_of_settings
from mien.reports.table_formats import latex_rows, latex_table, latex_text, markdown_table, markdown_text, to_csv
from mien.storage.files import atomic_file
from mien.tasks import Task

UPPER_BOUND = "UPPER BOUND"
TRIVIAL = "trivial: majority of train"
TESTS = ("p_bootstrap", "p_bootstrap_holm", "p_t_test", "p_t_test_holm", "winner")
SCORE_HEADER = (
    *("setting", "model", "inputs", "tasks", "experimental", "reference", "protocol", "upper_bound", "n_seeds"),
    *("score", "mean", "sd", "interval_low", "interval_high"),
    *("difference", "difference_low", "difference_high", *TESTS),
)
COST_HEADER = (
    *("setting", "model", "inputs", "tasks", "n_seeds", "n_parameters"),
    *("train_seconds", "train_seconds_sd", "peak_memory_mib", "peak_memory_mib_sd"),
)
LEGEND = (
    "Per cent: mean over seeds, s.d. over seeds, 95 % interval of the mean over resampled videos.",
    "↑ better than the reference, ↓ worse: paired over videos and seeds, Holm-corrected over all settings and scores; "
    "no arrow: no difference shown.",
)
BY_TASK_LEGEND = (
    "↑ better than the same task learned alone (the reference of its columns), ↓ worse: paired over videos and seeds, "
    "Holm-corrected over all settings and scores; no arrow: no difference shown."
)
PLAIN_LEGEND = (
    "Not in per cent: MAE (points of the labels, smaller is better) and r (Pearson) of scores (sentiment: in [-3, 3], "
    "CH-SIMS in [-1, 1]), and their means over degrees (six emotions: in [0, 3]). acc2, 3, 5, 7: scores as classes."
)
BOUND_LEGEND = "UPPER BOUND, not a result: epochs and thresholds were chosen on the scored split itself."

JOINT_GAIN_HEADER = ("task", "together_with", "score", "difference", "difference_low", "difference_high", *TESTS)
JOINT_GAIN_LEGEND = (
    "S sentiment, E emotion, SI and EI their intensities. A row names the tasks learned with that of the column; the "
    "value is the difference from the column's task learned alone, with the 95 % interval over resampled videos: in "
    "points of per cent, of MAE and r as they are. Of MAE a negative difference is a gain.",
    "↑ helps, ↓ hurts: paired over videos and seeds, Holm-corrected over all settings and scores; no arrow: no "
    "difference shown.",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: one score of one setting. `mean` is None if the setting lacks the score."""

    mean: float | None
    sd: float | None = None
    interval: tuple[float, float] | None = None
    mark: str = ""  # ↑ better, ↓ worse than the reference, or empty
    plain: bool = False  # printed as it is, not in per cent
    signed: bool = False  # a difference, so a positive number is printed with +

    def value(self) -> str:
        """Return mean, s.d. and mark (↑ or ↓) as text, in per cent unless the field `plain` is set; "-" if no mean."""
        if self.mean is None:
            return "-"
        spread = "" if self.sd is None else f" ± {self._number_text(self.sd)}"
        sign = "+" if self.signed and self.mean >= 0 else ""
        return f"{sign}{self._number_text(self.mean)}{spread}" + (f" {self.mark}" if self.mark else "")

    def range(self) -> str:
        """Return the interval as text, in per cent unless the field `plain` is set; "" if there is no interval."""
        if self.interval is None:
            return ""
        low, high = self.interval
        return f"[{low:.3f}, {high:.3f}]" if self.plain else f"[{100 * low:.1f}, {100 * high:.1f}]"

    def _number_text(self, value: float) -> str:
        return f"{value:.3f}" if self.plain else f"{100 * value:.2f}"


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table of scores to print as Markdown, as LaTeX or on a terminal. Each row is (name, cells)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]


def score_columns(tasks: Iterable[Task]) -> dict[str, str]:
    """Return the paths (keys joined by dots) of the scores in the printed tables, by heading of the column."""
    return {headline.column: path for path, headline in all_headlines(tasks).items() if headline.column}


def shown_columns(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return heading -> path for the columns in `score_columns` whose score at least one of the results has."""
    return {
        column: path
        for column, path in score_columns(tasks_of_results(results)).items()
        if any(value_at(result, path) is not None for result in results)
    }


def score_paths(tasks: Sequence[Task]) -> list[str]:
    """Return the paths (keys joined by dots) of all scores in scores.csv, those of the printed tables first."""
    return list(dict.fromkeys([*score_columns(tasks).values(), *all_headlines(tasks)]))


def is_plain(path: str) -> bool:
    """Return True if a score is printed with three decimals, and False if it is printed in per cent."""
    return not is_share(path)


def protocols_of(results: Mapping[str, Any]) -> list[str]:
    """Return the names of the protocols under which at least one setting was scored."""
    return list(dict.fromkeys(name for row in results["settings"] for name in row["protocols"]))


def printed_table(results: Mapping[str, Any], protocol: str) -> PrintedTable:
    """Make the table of scores under one protocol. Its rows are the scored settings and the constant predictor.

    Args:
        results: Content of results.json.
        protocol: Name of the protocol.

    Returns:
        The table; columns without any value are left out.
    """
    plan = results["plan"]
    settings = [row for row in results["settings"] if protocol in row["protocols"]]
    means = [row["protocols"][protocol]["mean"] for row in settings]
    shown = shown_columns(means)
    bound = bool(means and means[0]["upper_bound"])
    rows = [
        (row_name(row, references_of(plan), bound), tuple(_score_cell(row, protocol, path) for path in shown.values()))
        for row in settings
    ]
    trivial = results["trivial"]
    rows.append((TRIVIAL, tuple(Cell(value_at(trivial, path), plain=is_plain(path)) for path in shown.values())))
    dataset = plan["dataset"]
    title = f"{plan['suite']} on {dataset['name']} {dataset['fingerprint'][:12]}, {scored_part(plan)}, "
    title += f"protocol {protocol}" + (f" ({UPPER_BOUND})" if bound else "") + f", {len(plan['seeds'])} seeds"
    return PrintedTable(title, tuple(shown), tuple(rows), _table_notes(results, protocol, bound))


def references_of(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the settings that others are compared with: one name for all tasks, or one name per task."""
    return tuple(plan.get("references", {}).values()) or (plan["reference"],)


def row_name(row: Mapping[str, Any], references: Sequence[str], upper_bound: bool = False) -> str:
    """Return the first cell of a row: the setting's name, with marks such as "reference" and "experimental".

    Args:
        row: The setting in results.json.
        references: Names of the settings that others are compared with.
        upper_bound: Whether to mark the row as an upper bound.
    """
    marks = ["reference"] if row["name"] in references else []
    marks += ["experimental"] if row["experimental"] else []
    name = row["name"] + (f" ({', '.join(marks)})" if marks else "")
    return f"{UPPER_BOUND} {name}" if upper_bound else name


def score_table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Return the header of scores.csv and its rows: one per system, protocol and score, the constant predictor last."""
    references, paths = references_of(results["plan"]), score_paths(tasks_of_settings(results["settings"]))
    rows: list[list[Any]] = []
    for setting in results["settings"]:
        for protocol, part in setting["protocols"].items():
            bound = UPPER_BOUND if part["mean"]["upper_bound"] else ""
            facts = [setting["name"], setting["model"], "+".join(setting["inputs"]), "+".join(setting["tasks"])]
            facts += [setting["experimental"], setting["name"] in references, protocol, bound, len(part["runs"])]
            for path in paths:
                if value_at(part["mean"], path) is None:
                    continue
                test = setting["against_reference"].get(path, {}) if protocol == "clean" else {}
                values = [
                    value_at(part["mean"], path),
                    value_at(part["sd"], path),
                    *part["intervals"].get(path, (None, None)),
                ]
                values += [test.get("difference"), *test.get("interval", (None, None))]
                rows.append([*facts, path, *values, *(test.get(key) for key in TESTS)])
    for path in paths:
        value = value_at(results["trivial"], path)
        if value is not None:
            blank = [None] * (len(SCORE_HEADER) - 11)
            rows.append([TRIVIAL, "", "", "", False, False, "clean", "", None, path, value, *blank])
    return SCORE_HEADER, rows


def cost_table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Return header and rows of costs.csv: one row per setting, with unrounded numbers."""
    rows = []
    for row in results["settings"]:
        seconds, memory = row["train_seconds"], row["peak_memory_mib"]
        facts = [row["name"], row["model"], "+".join(row["inputs"]), "+".join(row["tasks"]), len(row["seeds"])]
        rows.append([*facts, row["n_parameters"], seconds["mean"], seconds["sd"], memory["mean"], memory["sd"]])
    return COST_HEADER, rows


def printed_costs(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return header and rows of the printed costs: name, number of parameters, training time (s), memory (MiB)."""
    references = references_of(results["plan"])
    rows: list[tuple[str, ...]] = [
        (
            row_name(row, references),
            "-" if row["n_parameters"] is None else f"{row['n_parameters']:,.0f}",
            _mean_and_sd_text(row["train_seconds"], 1),
            _mean_and_sd_text(row["peak_memory_mib"], 0),
        )
        for row in results["settings"]
    ]
    return ("setting", "parameters", "train s", "peak MiB"), rows


def write_suite_tables(folder: Path, results: Mapping[str, Any]) -> None:
    """Write the tables `scores` and `costs` of a benchmark, each as .csv, .md and .tex.

    The suite `tasks` also gets the table `help`: how much each task gains from being learned with other tasks.

    Args:
        folder: Folder of the benchmark.
        results: Content of results.json.
    """
    tables = [printed_table(results, protocol) for protocol in protocols_of(results)]
    costs = printed_costs(results)
    title = f"{results['plan']['suite']} on {results['plan']['dataset']['name']}: cost of one run"
    texts = {
        "scores.csv": to_csv(*score_table(results)),
        "scores.md": "\n\n".join(markdown_scores(table) for table in tables) + "\n",
        "scores.tex": "\n\n".join(latex_scores(table) for table in tables) + "\n",
        "costs.csv": to_csv(*cost_table(results)),
        "costs.md": f"**{markdown_text(title)}**\n\n{markdown_table(*costs)}\n",
        "costs.tex": latex_table(title, *costs) + "\n",
    }
    if has_joint_gains(results):
        printed = printed_joint_gains(results)
        texts["help.csv"] = to_csv(*joint_gain_table(results))
        texts["help.md"] = markdown_scores(printed) + "\n"
        texts["help.tex"] = latex_scores(printed) + "\n"
    for name, text in texts.items():
        with atomic_file(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def has_joint_gains(results: Mapping[str, Any]) -> bool:
    """Return whether the benchmark compares its systems with systems that learn one task alone."""
    return bool(results["plan"].get("references"))


def printed_joint_gains(results: Mapping[str, Any]) -> PrintedTable:
    """Return a table of how much each score (column) changes when its task is learned with other tasks (row)."""
    tests = _joint_gain_tests(results)
    columns = _joint_gain_columns(tasks_of_settings(results["settings"]))
    columns = {name: path for name, path in columns.items() if any(path == each for _, each in tests)}
    partners = dict.fromkeys(name for name, _ in tests)
    rows = tuple(
        (f"with {name}", tuple(_joint_gain_cell(tests.get((name, path)), path) for path in columns.values()))
        for name in sorted(partners, key=lambda name: name.count("+"))
    )
    plan = results["plan"]
    title = f"Which task helps which, on {plan['dataset']['name']}, {scored_part(plan)}, {len(plan['seeds'])} seeds"
    return PrintedTable(title, tuple(columns), rows, JOINT_GAIN_LEGEND)


def joint_gain_table(results: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Return header and rows of help.csv. A row has the change of one score when its task is learned with others."""
    rows = [
        [path.split(".")[0], name, path, test["difference"], *test["interval"], *(test[key] for key in TESTS)]
        for (name, path), (_, test) in _joint_gain_tests(results).items()
    ]
    return JOINT_GAIN_HEADER, rows


def markdown_scores(table: PrintedTable) -> str:
    """Return a table of scores as Markdown, with its title above it and its notes below."""
    rows = [
        (name, *(" ".join(filter(None, (cell.value(), cell.range()))) for cell in cells)) for name, cells in table.rows
    ]
    text = markdown_table(("setting", *table.columns), rows)
    return "\n\n".join([f"**{markdown_text(table.title)}**", text, *map(markdown_text, table.notes)])


def latex_scores(table: PrintedTable) -> str:
    """Return a LaTeX (booktabs) table with the interval in small type after each value."""

    def cell_text(cell: Cell) -> str:
        return latex_text(cell.value()) + (rf" {{\scriptsize {cell.range()}}}" if cell.range() else "")

    rows = [(latex_text(name), *(cell_text(cell) for cell in cells)) for name, cells in table.rows]
    return latex_rows(table.title, ("setting", *table.columns), rows, table.notes)


def value_at(part: Any, path: str) -> Any:
    """Look up a value in nested dictionaries.

    Args:
        part: The outer dictionary. If it is None, the result is None.
        path: Keys joined by dots.

    Returns:
        The value; None where a key is missing.
    """
    for key in path.split("."):
        part = None if part is None else part.get(key)
    return part


def _score_cell(row: Mapping[str, Any], protocol: str, path: str) -> Cell:
    part = row["protocols"][protocol]
    interval = part["intervals"].get(path)
    return Cell(
        mean=value_at(part["mean"], path),
        sd=value_at(part["sd"], path),
        interval=None if interval is None or None in interval else (interval[0], interval[1]),
        mark=mark_of(row, path) if protocol == "clean" else "",
        plain=is_plain(path),
    )


def mark_of(row: Mapping[str, Any], path: str) -> str:
    """Return an arrow if a score differs significantly from that of the reference under the protocol clean.

    Args:
        row: The setting in results.json.
        path: Keys of the score in a result, joined by dots.

    Returns:
        ↑ if the setting is better, ↓ if it is worse, else an empty text.
    """
    winner = row["against_reference"].get(path, {}).get("winner")
    if winner is None:
        return ""
    return "↑" if winner == row["name"] else "↓"


def _table_notes(results: Mapping[str, Any], protocol: str, bound: bool) -> tuple[str, ...]:
    plan, rows = results["plan"], results["settings"]
    notes = [BOUND_LEGEND] if bound else []
    notes += [LEGEND[0]] + ([BY_TASK_LEGEND if "references" in plan else LEGEND[1]] if protocol == "clean" else [])
    plain = [path for path in all_headlines(tasks_of_settings(rows)) if is_plain(path)]
    means = [row["protocols"].get(protocol, {}).get("mean") for row in rows]
    if any(value_at(mean, path) is not None for mean in means for path in plain):
        notes.append(PLAIN_LEGEND)
    left_out: dict[str, list[str]] = {}
    for name, reason in results["plan"]["left_out"].items():
        left_out.setdefault(reason, []).append(name)
    notes += [f"Left out: {', '.join(names)}: {reason}." for reason, names in left_out.items()]
    notes += [f"{run} failed and is not in the table." for run in results["failures"]]
    if protocol == "clean":
        notes += [f"Note: {note}." for note in results["notes"]]
    return tuple(notes)


def _mean_and_sd_text(values: Mapping[str, float | None], digits: int) -> str:
    if values["mean"] is None:
        return "-"
    spread = "" if values["sd"] is None else f" ± {values['sd']:,.{digits}f}"
    return f"{values['mean']:,.{digits}f}{spread}"


def _joint_gain_columns(tasks: Sequence[Task]) -> dict[str, str]:
    """Return heading -> path for `help`: the first headline score of each task, and each score not in per cent."""
    firsts: dict[str, str] = {}
    for path, headline in all_headlines(tasks).items():
        firsts.setdefault(headline.task, path)
    return {
        headline.column: path
        for path, headline in all_headlines(tasks).items()
        if headline.column and (path in firsts.values() or is_plain(path))
    }


def _joint_gain_tests(results: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return a dictionary: (other tasks, path of the score) -> (setting, its test against single-task training)."""
    tests = {}
    names = {task.name: task.letters for task in tasks_of_settings(results["settings"])}
    for row in results["settings"]:
        for path, test in row["against_reference"].items():
            own_task = path.split(".")[0]
            partners = [letters for task, letters in names.items() if task in row["tasks"] and task != own_task]
            tests["+".join(partners), path] = row, test
    return tests


def _joint_gain_cell(row_and_test: tuple[Mapping[str, Any], Mapping[str, Any]] | None, path: str) -> Cell:
    if row_and_test is None:
        return Cell(None)
    row, test = row_and_test
    low, high = test["interval"]
    interval = None if low is None else (low, high)
    return Cell(test["difference"], None, interval, mark_of(row, path), is_plain(path), signed=True)
