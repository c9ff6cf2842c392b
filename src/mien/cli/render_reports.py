"""What `mien benchmark` and `mien diagnose` show on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.benchmark.tables import (
    UPPER_BOUND,
    PrintedTable,
    has_help,
    printed_costs,
    printed_help,
    printed_table,
    protocols_of,
)
from mien.cli.terminal import new_console, new_table
from mien.diagnosis.report import CHOSEN, heading_of, notes_of, tables_of


def show_benchmark(results: Mapping[str, Any], folder: Path, protocol: str) -> None:
    """The scores under one protocol, the costs, and where everything is."""
    screen = new_console()
    if protocol in protocols_of(results):
        _show(printed_table(results, protocol))
    else:
        screen.print(f"No setting has scores under the protocol {protocol}.", style="yellow")
    if has_help(results):
        _show(printed_help(results))
    header, rows = printed_costs(results)
    costs = new_table("Cost of one run: mean ± s.d. over seeds", *header)
    for row in rows:
        costs.add_row(*row)
    screen.print(costs)
    screen.print(
        f"{folder}: scores and costs as .csv, .md and .tex; results.json; runs below runs/ "
        f"({results['disk_mib']:,.0f} MiB in all)"
    )


def _show(printed: PrintedTable) -> None:
    screen = new_console()
    table = new_table(printed.title, "per cent", *printed.columns)
    for name, cells in printed.rows:
        style = "red" if name.startswith(UPPER_BOUND) else None
        table.add_row(name, *(f"{cell.value()}\n{cell.range()}".rstrip() for cell in cells), style=style)
    screen.print(table)
    for note in printed.notes:
        screen.print(note, style="bold red" if note.startswith(UPPER_BOUND) else "dim")


def show_diagnosis(summary: Mapping[str, Any], folder: Path | None) -> None:
    """The five tables, what must be known before they are believed, and where the files are."""
    console = new_console()
    console.print(heading_of(summary), style="bold")
    console.print(CHOSEN, style="dim")
    for printed in tables_of(summary):
        table = new_table(printed.title, *printed.header)
        for row in printed.rows:
            table.add_row(*row)
        console.print(table)
        for note in printed.notes:
            console.print(note, style="dim")
    for note in notes_of(summary):
        console.print(note, style="yellow")
    if folder is not None:
        console.print(f"{folder}: diagnosis.json, diagnosis.md, figures as .svg, .pdf and .png")
