"""Functions that format tables as CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

LATEX_CHARACTERS = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
}
# Spreadsheets evaluate cells with these first characters as formulas, and transcripts are untrusted text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a table as CSV (RFC 4180, but with line feeds).

    Args:
        header: Names of the columns.
        rows: Values; None becomes an empty cell, and floats keep all digits.

    Returns:
        The CSV text.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown (pipe table).

    Args:
        header: Names of the columns.
        rows: Plain texts, which are escaped. The first column is aligned left, the others right.

    Returns:
        The lines of the table, without a final line break.
    """
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [[markdown_text(text) for text in header], rule, *([markdown_text(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Escape a text and put it on one line, so that Markdown shows it verbatim, also in a table cell."""
    return "".join(
        "\\" + character if character in "\\`*_[]<>|#" else character for character in " ".join(text.split())
    )


def latex_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table of plain texts in LaTeX (booktabs).

    Args:
        title: Caption.
        header: Names of the columns.
        rows: Plain texts, which are escaped.

    Returns:
        A table environment.
    """
    return latex_rows(title, header, [[latex_text(text) for text in row] for row in rows], ())


def latex_text(text: str) -> str:
    """Escape the special characters of LaTeX in a text, and put it on one line."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in " ".join(text.split()))


def latex_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Format a table in LaTeX (booktabs) whose cells are LaTeX code.

    Args:
        title: First sentence of the caption, plain text.
        header: Names of the columns, plain text.
        rows: Cells as LaTeX code, which is not escaped.
        notes: Further sentences of the caption, plain text.

    Returns:
        A table environment.
    """
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        rf"\caption{{{latex_text(title)}. {' '.join(latex_text(note) for note in notes)}}}".replace(". }", ".}"),
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(latex_text(text) for text in header) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def spreadsheet_cell(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would evaluate as a formula. Return other values unchanged."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value


def seeds_text(counts: Sequence[int]) -> str:
    """Return sorted numbers of seeds as text: "5 seeds" if all are equal, otherwise for example "3 to 5 seeds"."""
    if not counts:
        return "no seed"
    span = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return f"{span} seed{'' if counts[-1] == 1 else 's'}"
