"""The checkpoint in the package: its size, what its card says it scores, and what it leaves out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import mien
from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.shipped import find_run, shipped_names

CARD = Path(__file__).parents[2] / "docs" / "model-card.md"
# | sentiment accuracy has0 | `sentiment.accuracy_has0` | 0.857603 | ...
ROW = re.compile(r"^\| [^|]+ \| `(\w+)\.(\w+)` \| (-?\d\.\d{6}) \|", re.MULTILINE)
MOST_BYTES = 8_000_000


def test_the_shipped_files_are_small_and_name_no_machine():
    assert shipped_names() == ["mosei-text"]
    run = find_run("mosei-text")
    assert sum(path.stat().st_size for path in run.folder.rglob("*")) < MOST_BYTES
    assert run.dataset["path"] == ""
    assert "/" not in json.dumps({**run.dataset, **run.outcome["versions"]})


@pytest.mark.data
def test_the_card_says_what_the_shipped_file_scores(data_dir, tmp_path):
    table = data_dir / "mosei" / "valid.csv"
    dataset = import_dataset("table", [table], tmp_path / "official", ImportOptions(rename_splits={"valid": "test"}))
    scores = mien.evaluate(["mosei-text"], dataset=dataset.folder, n_resamples=0).summary["runs"][0]
    rows = ROW.findall(CARD.read_text(encoding="utf-8"))
    assert len(rows) >= 8
    for task, name, said in rows:
        assert scores[task][name] == pytest.approx(float(said), abs=1e-6), f"{task}.{name}"
    # none of these videos trained or chose anything
    assert not any("NOT A TEST" in note for note in scores["notes"])
