"""Functions that format tables as CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from mien.printable import printable

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
# characters that Markdown would read as markup
MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&])")
# Where a spreadsheet would begin a formula: at = + - @ or their full-width forms, at the start of a cell, and where a
# program that ignores quotes begins another cell: after a line break, or after a semicolon, which separates cells in
# many countries. Transcripts are untrusted text.
SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
BLANK = "[\\s\u200b-\u200f\u2060\ufeff]"
FORMULA = re.compile(rf"\A(?={BLANK}*{SIGN})|(?<=[\n;])(?=(?:(?!\n){BLANK})*{SIGN})")


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a table as CSV (RFC 4180, but lines end with a line feed).

    Texts are changed so that spreadsheets run no formula in them and terminals no control character.

    Args:
        header: Names of the columns.
        rows: Values. None becomes an empty cell, floats keep all digits, and texts are changed by `spreadsheet_cell`.

    Returns:
        The CSV text.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([spreadsheet_cell(value) for value in row] for row in (header, *rows))
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
    return MARKDOWN.sub(r"\\\1", " ".join(printable(text).split()))


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
    return "".join(LATEX_CHARACTERS.get(character, character) for character in " ".join(printable(text).split()))


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
    """Return a text with an apostrophe before each formula and with escaped control characters.

    A value that is not a text is returned unchanged.
    """
    return FORMULA.sub("'", printable(value)) if isinstance(value, str) else value


def seeds_text(counts: Sequence[int]) -> str:
    """Return ascending numbers of seeds as a text: "5 seeds" for [5], "3 to 5 seeds" for [3, 4, 5]."""
    if not counts:
        return "no seed"
    span = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return f"{span} seed{'' if counts[-1] == 1 else 's'}"
