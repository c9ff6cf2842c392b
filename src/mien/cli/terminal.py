"""Tables and text on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mien.printable import printable


class PrintableConsole(Console):
    """Console that shows control characters as escapes, and square brackets and colons as they are, not as markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Format a text, such as the cell of a table, with control characters as escapes.

        Args:
            text: The text.
            options: Further options of `rich.console.Console.render_str`.

        Returns:
            The formatted text.
        """
        return super().render_str(printable(text), **options)


def new_table(title: str, *headers: str) -> Table:
    """Print a title and return an empty table. Its first column is aligned for text, the others for numbers.

    Args:
        title: Title above the table.
        headers: Titles of the columns.

    Returns:
        Table without rows.
    """
    # A long title would be wrapped to the width of the table if it were part of it.
    new_console().print(title, style="bold")
    table = Table()
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number == 0 else "right")
    return table


def print_table(title: str, headers: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a title and a table. The first column is aligned for text, the others for numbers.

    Args:
        title: Title above the table.
        headers: Titles of the columns.
        rows: Formatted cells of each row.
    """
    table = new_table(title, *headers)
    for row in rows:
        table.add_row(*row)
    new_console().print(table)


def new_console() -> Console:
    """Return a console that writes to standard output."""
    # Where the output is not a terminal, 240 columns fit the scores of both tasks with their intervals.
    console = PrintableConsole()
    return console if console.is_terminal else PrintableConsole(width=240)
