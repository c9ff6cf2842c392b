"""Tables that run nothing in a spreadsheet and send nothing to a terminal."""

from __future__ import annotations

import csv
import io

import pytest

from mien.reports.table_formats import latex_text, markdown_text, spreadsheet_cell, to_csv


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("  @SUM(1)", "'  @SUM(1)"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\u3000\ufeff\uff201", "'\u3000\ufeff\uff201"),
        ("\n=1", "'\n'=1"),
        ("hello\n\t=1", "hello\n'\t=1"),
        ("hello\r\n+1", "hello\n'+1"),
        ("hello\r=1", "hello\\x0d=1"),
        ("hello;=1", "hello;'=1"),
        ("a - b = c", "a - b = c"),
        ("'=1", "'=1"),
    ],
)
def test_a_formula_gets_an_apostrophe_wherever_a_cell_may_begin(text, cell):
    assert spreadsheet_cell(text) == cell


def test_every_cell_of_a_csv_is_safe_and_numbers_stay_numbers():
    text = to_csv(["=name", "-0.5"], [["-x", -0.5], [None, -3], ["\x1b[2J\udce9", True]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["'=name", "'-0.5"],
        ["'-x", "-0.5"],
        ["", "-3"],
        ["\\x1b[2J\\xe9", "True"],
    ]


def test_a_long_cell_takes_no_square_of_its_length():
    for text in (" " * 500_000 + "x", "\n" * 500_000 + "x", ";\n " * 200_000, "-1\n" * 200_000):
        assert spreadsheet_cell(text).count("'") == text.count("-")


def test_markdown_and_latex_show_control_characters():
    assert markdown_text("a\x1b]8;;x\x07~b~") == r"a\\x1b\]8;;x\\x07\~b\~"
    assert latex_text("a\x9b&\u2028") == r"a\textbackslash{}x9b\&\textbackslash{}u2028"
