"""`mien benchmark` on the command line: what is printed, what is told, and the exit codes."""

from __future__ import annotations

import json
import re

import pytest
from tests.cli.calls import complaint, mien

SUITE = """
    settings = {epochs = 2, batch_videos = 8}
    [[setting]]
    name = "text only"
    inputs = ["text"]
    [[setting]]
    name = "breaks"
    settings = {learning_rate = 1e30}
"""


@pytest.fixture(scope="module")
def arguments(data, tmp_path_factory):
    """A small suite of three settings, one of which fails."""
    folder = tmp_path_factory.mktemp("benchmark")
    suite = folder / "suite.toml"
    suite.write_text(SUITE, encoding="utf-8")
    return [suite, data, "--out", folder / "out", "--seeds", 2, "--bootstrap", 100]


@pytest.fixture(scope="module")
def first(arguments):
    """The first call, which does the work."""
    return mien("benchmark", *arguments)


def test_a_failed_run_is_told_after_the_table_of_the_others(first, arguments):
    assert first.exit_code == 1
    *progress, one, two = first.stderr.splitlines()
    assert [re.fullmatch(r"benchmark: (\d) of 6: runs/[a-z-]+/seed-\d( FAILED)?", line)[1] for line in progress] == [
        str(number) for number in range(1, 7)
    ]
    assert one.startswith("mien: runs/breaks/seed-0: Expected a finite validation loss")
    assert two.startswith("mien: runs/breaks/seed-1: Expected a finite validation loss")
    assert "suite on planted" in first.stdout
    assert "protocol clean, 2 seeds" in first.stdout
    assert re.search(r"text only .* \d+\.\d\d ± \d+\.\d\d", first.stdout)
    assert "cim joint (reference)" in first.stdout
    assert "trivial: majority of train" in first.stdout
    assert "UPPER BOUND" not in first.stdout
    assert re.search(rf"{arguments[3]}: scores and costs as \.csv, \.md and \.tex", first.stdout)


def test_json_is_what_results_json_says(first, arguments):
    assert first.exit_code == 1
    again = mien("benchmark", *arguments, "--no-figures", "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout) == json.loads((arguments[3] / "results.json").read_text(encoding="utf-8"))
    assert again.stderr.splitlines()[0] == "benchmark: 4 of 6: 4 were done before"


def test_an_upper_bound_is_printed_as_one(first, arguments):
    assert first.exit_code == 1
    shown = mien("benchmark", *arguments, "--no-figures", "--protocol", "released").stdout
    assert "protocol released (UPPER BOUND)" in shown
    assert shown.count("UPPER BOUND text only") == 1
    assert "UPPER BOUND, not a result: epochs and thresholds were chosen on the scored split itself." in shown


def test_wrong_usage_is_one_line_and_exit_code_2(data, tmp_path):
    out = tmp_path / "out"
    assert "did you mean 'table4'" in complaint(2, "benchmark", "tabel4", data, "--out", out)
    assert "did you mean 'clean'" in complaint(2, "benchmark", "table4", data, "--out", out, "--protocol", "clena")
    assert "engine to be one of" in complaint(2, "benchmark", "table4", data, "--out", out, "--engine", "cloud")
    assert "gru_size" in complaint(2, "benchmark", "table4", data, "--out", out, "--set", "gru_size=3")
    assert "Expected a Dataset" in complaint(1, "benchmark", "table4", tmp_path, "--out", out)
    assert not out.exists()
