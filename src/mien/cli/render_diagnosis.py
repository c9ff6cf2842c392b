"""What `mien diagnose` shows on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.cli.terminal import new_console, new_table
from mien.reports.diagnosis import CHOSEN, heading_of, notes_of, tables_of


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
