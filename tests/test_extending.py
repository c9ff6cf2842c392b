"""Runs the example of docs/extending.md, a plug-in that adds a system without changes to the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.planted import write_planted

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the module from the page and a small Dataset."""
    folder = tmp_path_factory.mktemp("mine")
    (code,) = re.findall(r"```python\n(# my_system\.py\n.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    (folder / "my_system.py").write_text(code, encoding="utf-8")
    write_planted(folder / "data", 30)
    return folder


def mien(place, *words):
    command = [sys.executable, "-m", "mien", *words]
    return subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def test_the_page_s_system_is_listed_trained_scored_and_refused_where_it_was_not_named(place):
    plugin = ("--plugin", "my_system")
    listed = json.loads(mien(place, *plugin, "models", "--json").stdout)["models"]
    assert listed["sum-of-experts"]["settings"] == {"expert_size": 32, "expert_dropout": 0.2}
    options = ("--out", "run", "--model", "sum-of-experts", "--set", "epochs=2", "--set", "expert_size=5")
    done = mien(place, *plugin, "train", "data", *options)
    assert done.returncode == 0, done.stderr
    scored = json.loads(mien(place, *plugin, "evaluate", "run", "--json").stdout)
    assert scored["runs"][0]["model"] == "sum-of-experts"
    exported = json.loads(mien(place, *plugin, "export", "run", "--onnx", "--json").stdout)
    assert exported["metadata"]["mien.model"] == "sum-of-experts"
    stranger = mien(place, "evaluate", "run")
    assert stranger.returncode == 2
    assert "Expected model to be one of" in stranger.stderr
    assert "but got 'sum-of-experts'" in stranger.stderr


def test_it_stands_in_a_benchmark_beside_the_reference(place):
    (place / "mine.toml").write_text('[[setting]]\nname = "mine"\nmodel = "sum-of-experts"\n', encoding="utf-8")
    options = ("--out", "table", "--seeds", "1", "--set", "epochs=1", "--bootstrap", "50", "--no-figures", "--json")
    done = mien(place, "--plugin", "my_system", "benchmark", "mine.toml", "data", *options)
    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout)["settings"]] == ["mine", "cim joint"]


def test_it_keeps_the_contract(place):
    """Run the contract tests with the system that the module of the page adds to the table."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "my_system", "-p", "no:cacheprovider"]
    contract = ["tests/contracts/test_models.py", "-k", "sum-of-experts"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *filter(None, sys.path)])}
    done = subprocess.run([*command, *contract], cwd=root, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout
    n_passed = int(re.search(r"([0-9]+) passed", done.stdout)[1])
    assert n_passed >= (7 + 5) * 7  # (subsets of the modalities + sets of tasks) x contract tests


def test_a_module_that_is_not_there_is_named(place):
    done = mien(place, "--plugin", "my_sistem", "models")
    assert done.returncode == 2
    assert "Expected a module to import for --plugin my_sistem" in done.stderr
