from __future__ import annotations

import json

import pytest
from tests.cli.calls import QUICK, as_json, complaint, said


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """Of one task alone: what the other would have is left out everywhere."""
    folder = tmp_path_factory.mktemp("diagnosed") / "run"
    said("train", data, "--out", folder, "--inputs", "text", "--tasks", "sentiment", *QUICK)
    return folder


def test_diagnose_prints_tables_or_one_object_and_writes_files(data, run, tmp_path):
    out = tmp_path / "out"
    facts = as_json("diagnose", run, "--bootstrap", 0, "--dataset", data)
    assert [each["tasks"] for each in facts["runs"]] == [["sentiment"]]
    assert facts["transcription_errors"]["absent"].startswith("Expected text features of an extractor")
    text = said("diagnose", run, "--bootstrap", 0, "--out", out)
    accuracy = f"{100 * facts['mean']['abstention']['sentiment']['kept']['100']['accuracy_has0']:.2f}"
    assert f" {accuracy} │" in text
    titles = (
        "Calibration",
        "Thresholds for an objective",
        "Abstention",
        "Area under",
        "Groups",
        "no transcription errors",
    )
    assert all(title in text for title in titles)
    assert "emotion W-Acc" not in text
    assert "anger" not in text
    assert json.loads((out / "diagnosis.json").read_text(encoding="utf-8")) == facts
    assert f"| {accuracy} |" in (out / "diagnosis.md").read_text(encoding="utf-8")
    assert {path.name for path in out.iterdir()} == {"diagnosis.json", "diagnosis.md"} | {
        f"{name}.{ending}"
        for name in ("reliability-before", "reliability-after", "coverage")
        for ending in ("svg", "pdf", "png")
    }


def test_a_page_of_the_user_is_not_replaced(run, tmp_path):
    (tmp_path / "diagnosis.md").write_text("years of work")
    told = complaint(1, "diagnose", run, "--bootstrap", 0, "--out", tmp_path)
    assert "to be without diagnosis.md or to hold diagnosis.json of this command" in told
    assert [path.name for path in tmp_path.iterdir()] == ["diagnosis.md"]


def test_wrong_requests(run):
    assert complaint(2, "diagnose", "mosei-txt").endswith("did you mean 'mosei-text'?")
    asked = complaint(2, "diagnose", run, "--word-errors", "five")
    assert asked == "Expected --word-errors as numbers like 0.05,0.1, but got 'five'"
    assert "but got planted-text; name the" in complaint(1, "diagnose", run, "--word-errors", "0.1")
