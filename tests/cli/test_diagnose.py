from __future__ import annotations

import json

from tests.cli.calls import as_json, complaint, said


def test_diagnose_prints_tables_or_one_object_and_writes_files(data, runs, tmp_path):
    out = tmp_path / "out"
    both = [runs / "b0", runs / "b1"]
    facts = as_json("diagnose", *both, "--bootstrap", 0, "--dataset", data)
    assert [run["seed"] for run in facts["runs"]] == [0, 1]
    assert facts["transcription_errors"]["absent"].startswith("Expected text features of an extractor")
    text = said("diagnose", *both, "--bootstrap", 0, "--out", out)
    accuracy = facts["mean"]["abstention"]["sentiment"]["kept"]["100"]["accuracy_has0"]
    assert f"{100 * accuracy:.2f} ± " in text
    titles = (
        "Calibration",
        "Thresholds for an objective",
        "Abstention",
        "Area under",
        "Groups",
        "no transcription errors",
    )
    assert all(title in text for title in titles)
    assert json.loads((out / "diagnosis.json").read_text(encoding="utf-8")) == facts
    assert f"| {100 * accuracy:.2f} ± " in (out / "diagnosis.md").read_text(encoding="utf-8")
    assert {path.name for path in out.iterdir()} == {"diagnosis.json", "diagnosis.md"} | {
        f"{name}.{ending}"
        for name in ("reliability-before", "reliability-after", "coverage")
        for ending in ("svg", "pdf", "png")
    }


def test_wrong_requests(runs):
    assert complaint(2, "diagnose", "mosei-txt").endswith("did you mean 'mosei-text'?")
    asked = complaint(2, "diagnose", runs / "b0", "--word-errors", "five")
    assert asked == "Expected --word-errors as numbers like 0.05,0.1, but got 'five'"
    assert "but got planted-text; name the" in complaint(1, "diagnose", runs / "b0", "--word-errors", "0.1")
