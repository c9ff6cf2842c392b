"""The listing as a reader gets it: errors marked, other people's words harmless, both files about the same cases."""

from __future__ import annotations

import csv

import pytest

from mien.benchmark.cases import (
    Case,
    CasesReport,
    Ratio,
    SelectedCases,
    SidePrediction,
    write_cases_csv,
    write_cases_md,
)

NASTY = "=SUM(1)|two\nlines *bold* <b>tag</b> \\ `code` ~~x~~"
JOINT = SidePrediction(("anger", "happy"), ("happy",), ("sad",), Ratio(1, 2), Ratio(1, 2), 0.4, True, 1.0)
SINGLE = SidePrediction((), (), ("anger", "sad"), Ratio(0, 0), Ratio(0, 2), 0.0, False, 0.2)


@pytest.fixture
def report():
    case = Case("vi|deo", 3, ("anger", "sad"), True, JOINT, SINGLE, 1.2)
    unlabelled = SidePrediction(None, (), (), None, None, None, True, 1.0)
    other = Case("b", 0, None, True, unlabelled, unlabelled, -0.5)
    return CasesReport(
        SelectedCases((case,), (other,), 4, 3, 2, (0, 1)),
        "cim joint",
        ("cim emotion",),
        "talks, test split",
        {("vi|deo", 3): NASTY},
    )


def cells(line):
    """A table line cut at the pipes that are not escaped."""
    return [cell.strip() for cell in line.replace("\\\\", "").replace("\\|", "").strip("|").split("|")]


def test_a_row_of_markdown_stays_one_row_whatever_was_said(report, tmp_path):
    write_cases_md(tmp_path / "cases.md", report)
    lines = (tmp_path / "cases.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    assert len(tables) == 4  # two heads, two cases
    assert {len(cells(line)) for line in tables} == {7}
    assert "<b>" not in "\n".join(lines)
    joint, single = cells(tables[1])[4:6]
    assert joint == "anger, ~~happy~~ _missed: sad_ (P 1/2, R 1/2); positive"
    assert single == "none _missed: anger, sad_ (P 0/0, R 0/2); ~~negative~~"
    assert cells(tables[3])[3] == "not labelled; positive"
    assert any("Of 9 utterances joint is better in 4, single in 3, neither in 2" in line for line in lines)


def test_the_csv_holds_the_words_as_they_are_but_runs_nothing(report, tmp_path):
    write_cases_csv(tmp_path / "cases.csv", report)
    with open(tmp_path / "cases.csv", encoding="utf-8", newline="") as handle:
        first, second = csv.DictReader(handle)
    assert first["transcript"] == "'" + NASTY
    assert (first["which"], second["which"]) == ("joint better", "single better")
    assert (first["joint_emotions"], first["joint_wrong"], first["joint_missed"]) == ("anger; happy", "happy", "sad")
    assert (first["joint_precision"], first["single_precision"], first["single_recall"]) == ("0.5", "", "0.0")
    assert first["single_emotions"] == "none"
    assert (second["gold_emotions"], second["gold_sentiment"]) == ("", "positive")


def test_no_case_is_said_so(tmp_path):
    empty = CasesReport(SelectedCases((), (), 0, 0, 5, (0,)), "a", ("b",), "talks, test split", {})
    write_cases_md(tmp_path / "cases.md", empty)
    write_cases_csv(tmp_path / "cases.csv", empty)
    assert (tmp_path / "cases.md").read_text().count("No utterance.") == 2
    assert len((tmp_path / "cases.csv").read_text().splitlines()) == 1
