"""No command runs code of the folder that it is called from: not in its own process, and in none that it starts."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from tests.cli.calls import QUICK
from tests.readers.examples import csd_folder
from tests.video.test_extract import SENTENCES, sounding_file, write_subtitles

from mien.cli.app import app
from mien.schema import EMOTIONS, SPLITS

# The command `mien` as pip installs it, for several command lines: Python does not get its flag -P.
COMMAND = """
import json, sys
from mien.__main__ import main

if __name__ == "__main__":
    for words in json.loads(sys.argv.pop()):
        sys.argv[1:] = words
        try:
            main()
        except SystemExit as end:
            assert not end.code, words
"""


@pytest.fixture(scope="module")
def trap(tmp_path_factory):
    """A folder with a file of the name of every module there is. Each leaves a mark when it is imported."""
    folder = tmp_path_factory.mktemp("trap")
    marks = folder.with_name("marks")
    for name in {"mien", *sys.stdlib_module_names, *packages_distributions()}:
        (folder / f"{name}.py").write_text(f"open({str(marks)!r}, 'a').write({name + ' '!r})\n", encoding="utf-8")
    return folder


def run_in(trap, scratch, *command_lines, current=None):
    script = scratch / "mien"
    script.write_text(COMMAND, encoding="utf-8")
    lines = [[str(word) for word in words] for words in command_lines]
    return run_python(trap, current or trap, script, json.dumps(lines))


def run_python(trap, current, *words):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=current,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    marks = trap.with_name("marks")
    assert not marks.exists(), marks.read_text()
    return done.stdout


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """One synthetic voice per split, with labels and subtitles."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number, split in enumerate(SPLITS):
        sounding_file(folder / f"{split}.mp4", 110 + 20 * number)
        rows += [[split, split, part, part + 1, text, 1 - part, *[0] * 6] for part, text in enumerate(SENTENCES)]
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["video_id", "split", "start", "end", "text", "sentiment", *EMOTIONS], *rows])
    write_subtitles(folder / "all.srt")
    return folder


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    sizes = "settings = {gru_size = 5, dense_size = 3}"
    path.write_text(f'settings = {{epochs = 1}}\n[[setting]]\nname = "words"\ninputs = ["text"]\n{sizes}\n')
    return path


@pytest.mark.slow
def test_no_command_runs_code_of_the_current_folder(trap, data, runs, films, suite, tmp_path):
    csd_folder(tmp_path / "csd")
    lines = [
        ["--version"],
        ["doctor"],
        ["models"],
        ["extractors"],
        ["readers"],
        ["import", "csd", tmp_path / "csd", "--out", tmp_path / "csd-data", "--workers", 2],
        ["describe", data],
        ["train", data, "--out", tmp_path / "run", *QUICK],
        ["evaluate", tmp_path / "run", "--bootstrap", 7],
        ["compare", runs / "a0", runs / "a1", "--with", runs / "b0", runs / "b1", "--bootstrap", 7],
        ["diagnose", runs / "a0", "--bootstrap", 7, "--out", tmp_path / "diagnosis"],
        ["predict", runs / "a0", "--dataset", data, "--out", tmp_path / "predictions.parquet"],
        ["benchmark", suite, data, "--out", tmp_path / "benchmark", "--seeds", 2, "--workers", 2, "--bootstrap", 7],
        ["extract", films, "--labels", films / "labels.csv", "--out", tmp_path / "films-data"],
        ["analyze", films / "test.mp4", "--subtitles", films / "all.srt", "--out", tmp_path / "report"],
        ["demo", "--out", tmp_path / "demo"],
    ]
    if importlib.util.find_spec("onnx"):
        lines.append(["export", runs / "a0", "--onnx", "--out", tmp_path / "model.onnx"])
    assert {command.callback.__name__.strip("_") for command in app.registered_commands} <= {
        word for words in lines for word in words
    } | {"export"}
    run_in(trap, tmp_path, *lines)
    assert (tmp_path / "demo" / "report.html").exists()


def test_a_plugin_is_found_in_the_current_folder_but_hides_nothing(trap, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "my_system.py").write_text("import json, helper\n", encoding="utf-8")
    (here / "helper.py").write_text("import csv, torch\n", encoding="utf-8")
    for name in ("json", "csv", "torch", "rich", "multiprocessing"):
        (here / f"{name}.py").write_bytes((trap / f"{name}.py").read_bytes())
    assert "marn" in run_in(trap, tmp_path, ["--plugin", "my_system", "models"], current=here)


@pytest.mark.slow
@pytest.mark.exhaustive  # the benchmark of the test above has workers too
@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_no_worker_of_an_engine_runs_code_of_the_current_folder(trap, data, suite, tmp_path, engine, package):
    pytest.importorskip(package)
    words = ["--out", tmp_path / "out", "--seeds", 2, "--workers", 2, "--bootstrap", 7, "--engine", engine]
    run_in(trap, tmp_path, ["benchmark", suite, data, *words])


@pytest.mark.slow
def test_several_processes_of_a_training_and_the_form_with_m(trap, data, tmp_path):
    # With -m and without -P, nothing can be done about mien.py, and about modules that Python itself loads first.
    for name in ("json", "multiprocessing", "threading", "typer", "numpy", "torch"):
        (tmp_path / f"{name}.py").write_bytes((trap / f"{name}.py").read_bytes())
    words = ["train", data, "--out", tmp_path / "run", *QUICK, "--set", "devices=2", "--set", "accelerator=cpu"]
    run_python(trap, tmp_path, "-m", "mien", *words)
