"""A training on a GPU that the machine lacks ends at once: nothing is loaded, read or written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.cli.calls import QUICK, complaint, mien
from tests.planted import write_planted

from mien.benchmark import benchmark as benchmark_module
from mien.benchmark.benchmark import BenchmarkRequest
from mien.commands import train as train_module
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.engine.jobs import EngineConfig
from mien.errors import SettingsError

WRONG_USAGE = 2
ON_GPU = {"accelerator": "cuda"}
RUN_WITHOUT_TORCH = """
import sys
from mien.cli.app import main
try:
    main()
finally:
    assert not {"torch", "pyarrow"} & set(sys.modules)
"""


@pytest.fixture
def cpu_build(tmp_path, monkeypatch):
    """A folder whose metadata state that torch is a build for CPUs."""
    folder = tmp_path / "site" / "torch-9.0+cpu.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.0+cpu\n")
    monkeypatch.syspath_prepend(folder.parent)
    return folder.parent


@pytest.mark.parametrize(
    "words",
    [
        "train data --out new --set accelerator=cuda",
        "train data --out new --settings gpu.toml",
        "benchmark table7 data --out new --set accelerator=cuda",
        "benchmark table7 data --out new --set accelerator=cuda --engine dask",
    ],
)
def test_the_command_line_refuses_it_before_torch_is_loaded(cpu_build, tmp_path, words):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "gpu.toml").write_text('accelerator = "cuda"')
    path = os.pathsep.join([str(cpu_build), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN_WITHOUT_TORCH, *words.split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (WRONG_USAGE, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("mien: Expected torch built with CUDA for accelerator=cuda, but got torch 9.0+cpu; ")
    assert [path.name for path in folder.iterdir()] == ["gpu.toml"]


@pytest.mark.usefixtures("cpu_build")
def test_a_training_in_python_reads_no_features_and_writes_nothing(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "read_split", None)
    with pytest.raises(SettingsError, match="Expected torch built with CUDA"):
        train(planted, tmp_path / "new", TrainRequest(settings=ON_GPU))
    assert not (tmp_path / "new").exists()


def test_a_finished_run_is_returned_on_any_machine(planted, tmp_path, monkeypatch):
    def refuse(_training):
        raise SettingsError("no GPU here")

    words = ["train", planted.folder, "--out", tmp_path / "run", *QUICK]
    assert mien(*words).exit_code == 0
    monkeypatch.setattr(train_module, "require_devices", refuse)
    assert mien(*words, "--resume").exit_code == 0
    assert complaint(WRONG_USAGE, *words[:3], tmp_path / "other", *QUICK) == "no GPU here"


@pytest.fixture
def run_planned(monkeypatch):
    """The jobs of each benchmark that would have begun to run."""
    begun = []

    def begin(planned, _folder, _request, _report):
        begun.append(planned.jobs)

    monkeypatch.setattr(benchmark_module, "_run_planned", begin)
    return begun


@pytest.mark.usefixtures("cpu_build")
def test_a_benchmark_in_python_is_refused_where_its_runs_would_be_trained(planted, tmp_path, run_planned):
    own = tmp_path / "own.toml"
    own.write_text('[[setting]]\nmodel = "cim"\nsettings = {accelerator = "cuda"}\n')
    remote = EngineConfig("dask", "scheduler.example:8786")
    for suite, settings in (("table7", ON_GPU), (own, {})):
        for engine in (EngineConfig(), EngineConfig("ray")):
            request = BenchmarkRequest(n_seeds=1, engine=engine, settings=settings)
            with pytest.raises(SettingsError, match="Expected torch built with CUDA"):
                benchmark_module.benchmark(suite, planted, tmp_path / "new", request)
            assert not (tmp_path / "new").exists()
        benchmark_module.benchmark(
            suite, planted, tmp_path / "new", BenchmarkRequest(n_seeds=1, engine=remote, settings=settings)
        )
        (tmp_path / "new" / ".lock").unlink()
        (tmp_path / "new").rmdir()
    assert [bool(jobs) for jobs in run_planned] == [True, True]


def test_the_runs_of_a_finished_benchmark_may_come_from_another_machine(tmp_path, run_planned, monkeypatch):
    def refuse(_training):
        raise SettingsError("no GPU here")

    planted = write_planted(tmp_path / "data", 20)
    monkeypatch.setattr(benchmark_module, "require_devices", refuse)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text("{}")
    request = BenchmarkRequest(n_seeds=1, settings=ON_GPU)
    with pytest.raises(SettingsError, match="no GPU here"):
        benchmark_module.benchmark("tasks", planted, tmp_path / "out", request)
    monkeypatch.setattr(benchmark_module, "is_done", lambda _folder, _identity: True)
    benchmark_module.benchmark("tasks", planted, tmp_path / "out", request)
    assert len(run_planned) == 1
