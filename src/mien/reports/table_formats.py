"""Tables as CSV, Markdown and LaTeX (booktabs): the one place that knows how each is written."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

LATEX_CHARACTERS = {
    **{sign: "\\" + sign for sign in "&%$#_{}"},
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
# A spreadsheet runs a cell that starts like this as a formula, and transcripts are other people's words.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """RFC 4180 with line feeds; None is empty, numbers are written so that they read back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [[markdown_text(text) for text in header], rule, *([markdown_text(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in a table cell too."""
    return "".join("\\" + sign if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))


def latex_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A booktabs table of plain texts."""
    return latex_rows(title, header, [[latex_text(text) for text in row] for row in rows], ())


def latex_text(text: str) -> str:
    """Text with every sign that LaTeX would take for a command made harmless."""
    return "".join(LATEX_CHARACTERS.get(sign, sign) for sign in " ".join(text.split()))


def latex_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """`rows` are LaTeX already, the rest is text."""
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
    """The value, a text that a spreadsheet would run with an apostrophe in front."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value


def seeds_text(counts: Sequence[int]) -> str:
    """5 seeds; 3 to 5 seeds."""
    if not counts:
        return "no seed"
    span = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    return f"{span} seed{'' if counts[-1] == 1 else 's'}"
