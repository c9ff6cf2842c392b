"""Tables and text on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table


def new_table(title: str, *headers: str) -> Table:
    """Print the title and give a table with these columns: the first is text, the others numbers."""
    # As a caption above the table a long title would be wrapped to the table's width.
    new_console().print(title, style="bold")
    table = Table()
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number == 0 else "right")
    return table


def print_table(title: str, headers: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print the title and a table of these rows."""
    table = new_table(title, *headers)
    for row in rows:
        table.add_row(*row)
    new_console().print(table)


def new_console() -> Console:
    """The standard output."""
    # Names of folders, runs and data sets may hold square brackets: no markup. Wide enough for every table where the
    # output is a file: nothing may be cut there.
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=180)
