"""A benchmark as a user meets it: one command, whatever happens to it, and the same table in the end."""

from __future__ import annotations

import csv
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine.clusters import descendants, runs_still, wait_for
from tests.kills import EARLY_MOMENTS, kill_at_random, mien_command, seconds_of
from tests.planted import write_planted

import mien
from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.benchmark.scored_runs import RunJob, RunOutcome, is_done, run_and_score
from mien.commands.train_plan import TrainRequest, plan_run
from mien.engine.jobs import EngineConfig
from mien.errors import SettingsError, TrainingError, UnknownNameError, UsageError, WriteError
from mien.models import MODELS, ModelEntry
from mien.models.cim import Cim, CimSettings
from mien.pretrained import sha256_of
from mien.storage.files import read_json
from mien.storage.runs import open_run

SMALL = "settings = {gru_size = 5, dense_size = 3}"
COMMON = 'settings = {epochs = 3, batch_videos = 8, patience = "none"}'
MIXED = f"""
    {COMMON}
    [[setting]]
    name = "breaks"
    settings = {{learning_rate = 1e30}}
    [[setting]]
    name = "text only"
    inputs = ["text"]
    tasks = ["sentiment"]
    {SMALL}
    [[setting]]
    name = "of my own"
    model = "mine"
    settings = {{gru_size = 5, dense_size = 3, keep_epochs = false}}
    [[setting]]
    model = "majority"
"""
# a few seconds of training each, so that a kill finds the runs at work
LONGER = f"""
    {COMMON.replace("epochs = 3", "epochs = 12")}
    [[setting]]
    name = "text only"
    inputs = ["text"]
    {SMALL}
"""
REQUEST = BenchmarkRequest(n_seeds=2, n_resamples=200, settings={"weight_decay": 1e-6}, figures=False)
TABLES = ("scores.csv", "scores.md", "scores.tex")


class Mine(Cim):
    """A system that stands in no table of the package."""


def toml(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mixed(planted, tmp_path_factory):
    """One setting that breaks among others, and what was reported on the way; `mine` is known to the end."""
    folder = tmp_path_factory.mktemp("mixed")
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "mine", ModelEntry(Mine, CimSettings(), "mine", "nobody", experimental=True))
        file = toml(folder / "mixed.toml", MIXED)
        done = benchmark(file, planted, folder / "out", REQUEST, report=lambda *args: told.append(args))
        yield done, told


def test_the_rest_is_finished_when_one_setting_fails(mixed):
    done, told = mixed
    assert list(done.failures) == ["runs/breaks/seed-0", "runs/breaks/seed-1"]
    assert all("Expected a finite validation loss" in reason for reason in done.failures.values())
    assert [row["name"] for row in done.results["settings"]] == ["text only", "of my own", "majority", "cim joint"]
    assert [(number, total) for number, total, _ in told] == [(number, 10) for number in range(1, 11)]
    assert sorted(text for _, _, text in told if text.endswith("FAILED")) == [
        "runs/breaks/seed-0 FAILED",
        "runs/breaks/seed-1 FAILED",
    ]
    assert "runs/breaks/seed-0 failed" in (done.folder / "scores.md").read_text(encoding="utf-8").replace("\\", "")


def test_the_runs_are_those_of_the_plan_and_of_mien_train(mixed, planted):
    done, _ = mixed
    plan = read_json(done.folder / "plan.json", "")
    assert plan == done.results["plan"]
    assert (plan["format"], plan["suite"], plan["split"], plan["seeds"]) == ("mien-benchmark", "mixed", "test", [0, 1])
    assert plan["dataset"] == {
        "path": str(planted.folder.resolve()),
        "name": "planted",
        "fingerprint": planted.fingerprint,
    }
    text_only = plan["settings"][1]
    assert text_only == {
        "name": "text only",
        "slug": "text-only",
        "model": "cim",
        "inputs": ["text"],
        "tasks": ["sentiment"],
        "settings": {
            "weight_decay": 1e-6,
            "epochs": 3,
            "batch_videos": 8,
            "patience": None,
            "gru_size": 5,
            "dense_size": 3,
        },
    }
    run = open_run(done.folder / "runs/text-only/seed-1")
    assert (run.seed, [str(task) for task in run.tasks], list(run.inputs)) == (1, ["sentiment"], ["text"])
    assert run.settings["training"]["epochs"] == 3
    assert run.settings["training"]["weight_decay"] == 1e-6
    single = mien.train(
        planted,
        done.folder.parent / "single",
        mien.TrainRequest("cim", run.inputs, run.tasks, 1, text_only["settings"]),
    )
    assert sha256_of(single.folder / "model.safetensors") == sha256_of(run.folder / "model.safetensors")


def test_the_numbers_are_those_of_mien_evaluate_and_mien_compare(mixed):
    done, _ = mixed
    rows = {row["name"]: row for row in done.results["settings"]}
    for name, slug in (("text only", "text-only"), ("cim joint", "cim-joint")):
        folders = [done.folder / f"runs/{slug}/seed-{seed}" for seed in (0, 1)]
        for protocol, part in rows[name]["protocols"].items():
            expected = mien.evaluate(folders, protocol=protocol).summary
            assert part["mean"]["sentiment"] == expected["mean"]["sentiment"]
            assert part["sd"]["sentiment"] == expected["sd"]["sentiment"]
            assert part["mean"]["upper_bound"] == (protocol == "released")
            assert [run["run"] for run in part["runs"]] == [f"runs/{slug}/seed-{seed}" for seed in (0, 1)]
    sides = [[done.folder / f"runs/{slug}/seed-{seed}" for seed in (0, 1)] for slug in ("of-my-own", "cim-joint")]
    test = rows["of my own"]["against_reference"]["emotion.weighted_f1_mean6"]
    alone = mien.compare(*sides, n_resamples=200).metrics["emotion.weighted_f1_mean6"]
    assert test["difference"] == pytest.approx(alone.difference)
    assert test["p_bootstrap"] == pytest.approx(alone.bootstrap.p)
    assert test["p_bootstrap_holm"] >= alone.p_bootstrap_holm
    assert rows["cim joint"]["against_reference"] == {}
    assert (
        done.results["trivial"]["sentiment"]
        == rows["cim joint"]["protocols"]["clean"]["runs"][0]["trivial"]["sentiment"]
    )
    assert done.results["trivial"]["emotion"] is not None


def test_a_system_of_ones_own_runs_and_its_kind_is_told(mixed):
    done, _ = mixed
    rows = {row["name"]: row for row in done.results["settings"]}
    assert {name: row["experimental"] for name, row in rows.items()} == {
        "text only": False,
        "of my own": True,
        "majority": False,
        "cim joint": False,
    }
    # the weights of its epochs were not kept: no upper bound, and nothing else is missing
    assert list(rows["of my own"]["protocols"]) == ["clean", "fixed"]
    assert list(rows["text only"]["protocols"]) == ["clean", "fixed", "released"]
    assert "of my own (experimental)" in (done.folder / "scores.md").read_text(encoding="utf-8")


def test_the_csv_says_what_results_json_says(mixed):
    done, _ = mixed
    with open(done.folder / "scores.csv", encoding="utf-8", newline="") as file:
        lines = {(line["setting"], line["protocol"], line["score"]): line for line in csv.DictReader(file)}
    for row in done.results["settings"]:
        for protocol, part in row["protocols"].items():
            value = part["mean"]["sentiment"]["accuracy_has0"]
            line = lines[row["name"], protocol, "sentiment.accuracy_has0"]
            assert float(line["mean"]) == value
            assert (line["upper_bound"] == "UPPER BOUND") == (protocol == "released")
            if protocol != "released":
                interval = [float(line["interval_low"]), float(line["interval_high"])]
                assert interval == part["intervals"]["sentiment.accuracy_has0"]
    assert len(done.to_pandas()) == len(lines)


def test_costs_are_those_of_each_run_alone(mixed):
    done, _ = mixed
    for row in done.results["settings"]:
        runs = [open_run(done.folder / f"runs/{row['slug']}/seed-{seed}") for seed in (0, 1)]
        seconds = [run.outcome["train_seconds"] for run in runs]
        assert row["train_seconds"]["mean"] == pytest.approx(sum(seconds) / 2)
        for run in runs:
            expected = run.outcome["seconds_per_epoch"] * run.outcome["epochs_run"]
            assert run.outcome["train_seconds"] == pytest.approx(expected)
    assert done.results["disk_mib"] > 1


def test_finished_runs_are_never_repeated_and_failed_and_lost_ones_are_made_also_where_the_data_moved(
    mixed, planted, tmp_path
):
    done, _ = mixed
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    shutil.rmtree(out / "runs/text-only/seed-1")
    shutil.copytree(planted.folder, tmp_path / "moved")
    files = (path for path in (out / "runs").rglob("[!.]*") if path.is_file())
    runs = [path for path in files if "breaks" not in path.parts]
    before = {path: (path.stat().st_mtime_ns, sha256_of(path)) for path in runs}
    told = []
    suite = done.folder.parent / "mixed.toml"
    again = benchmark(suite, tmp_path / "moved", out, REQUEST, report=lambda *args: told.append(args))
    assert {path: (path.stat().st_mtime_ns, sha256_of(path)) for path in runs} == before
    assert told[0] == (7, 10, "7 were done before")
    assert sorted(text for _, _, text in told[1:]) == [
        "runs/breaks/seed-0 FAILED",
        "runs/breaks/seed-1 FAILED",
        "runs/text-only/seed-1",
    ]
    assert again.failures == done.failures
    assert [(out / name).read_bytes() for name in TABLES] == [(done.folder / name).read_bytes() for name in TABLES]


def test_another_plan_or_data_set_is_refused_and_both_are_named(mixed, planted, tmp_path):
    out, file = mixed[0].folder, mixed[0].folder.parent / "mixed.toml"
    with pytest.raises(TrainingError, match=r"plan .* seeds: \[0, 1\] there and \[0, 1, 2\] here"):
        benchmark(file, planted, out, BenchmarkRequest(n_seeds=3, settings=REQUEST.settings))
    longer = toml(tmp_path / "mixed.toml", MIXED.replace("epochs = 3", "epochs = 4"))
    with pytest.raises(TrainingError, match=r"setting text only: .*epochs 3.* there and .*epochs 4.* here"):
        benchmark(longer, planted, out, REQUEST)
    other = write_planted(tmp_path / "data", 40, seed=1)
    with pytest.raises(TrainingError, match=f"{planted.fingerprint}.* there and .*{other.fingerprint} here"):
        benchmark(file, other, out, REQUEST)
    with pytest.raises(TrainingError, match="a folder with mixed.toml"):
        benchmark(file, planted, file.parent, REQUEST)
    assert not (file.parent / ".lock").exists()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed/runs").symlink_to(tmp_path)
    shutil.copy(out / "plan.json", tmp_path / "mixed")
    with pytest.raises(WriteError, match="Expected a folder at .*/mixed/runs, but got a symbolic link"):
        benchmark(file, planted, tmp_path / "mixed", REQUEST)


def test_two_benchmarks_in_one_folder_are_refused(planted, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with open(out / ".lock", "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="another process at work on it"):
            benchmark("table4", planted, out, REQUEST)
    assert not (out / "plan.json").exists()


def test_nonsense_is_refused_before_anything_is_written(planted, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UnknownNameError, match="of dask, local, ray, but got 'locale'; did you mean 'local'"):
        EngineConfig("locale")
    with pytest.raises(UsageError, match="engine dask or ray only, but got head:8786 for local"):
        EngineConfig(address="head:8786")
    with pytest.raises(UsageError, match="at least one worker, but got 0"):
        EngineConfig("dask", workers=0)
    with pytest.raises(UsageError, match="at least one seed"):
        BenchmarkRequest(n_seeds=0)
    with pytest.raises(SettingsError, match="Expected epochs to be at least 1"):
        benchmark("table4", planted, out, BenchmarkRequest(settings={"epochs": 0}))
    assert not out.exists()


def test_a_process_that_dies_is_a_failed_run(planted, tmp_path):
    text = f"""
        {COMMON}
        [[setting]]
        name = "dies"
        model = "dies"
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "dies", ModelEntry(_die, CimSettings(), "dies", "nobody"))
        done = benchmark(
            toml(tmp_path / "f.toml", text),
            planted,
            tmp_path / "out",
            BenchmarkRequest(1, n_resamples=0, figures=False),
        )
    assert done.failures == {"runs/dies/seed-0": "its process ended by SIGKILL (out of memory?): no room left"}
    assert [row["name"] for row in done.results["settings"]] == ["cim joint"]


def _die(*_):
    sys.stderr.write("no room\nleft\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="sees in /proc who waits for a lock")
def test_a_run_waits_for_whoever_is_still_at_work_on_it(planted, tmp_path):
    folder, request = tmp_path / "seed-0", TrainRequest("majority")
    identity = plan_run(planted, folder, request).identity
    job = RunJob("seed-0", folder, planted.folder, request, identity, MODELS["majority"], {}, marker=planted.folder)
    folder.mkdir()
    with ThreadPoolExecutor(1) as pool, open(folder / ".lock", "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        outcome = pool.submit(run_and_score, job)
        waiting = f":{os.fstat(handle.fileno()).st_ino} "
        locks = Path("/proc/locks")
        wait_for(lambda: any("->" in line and waiting in line for line in locks.read_text().split("\n")), "its process")
        assert [path.name for path in folder.iterdir()] == [".lock"]
        fcntl.flock(handle, fcntl.LOCK_UN)
        assert outcome.result() == RunOutcome("seed-0")
    assert is_done(folder, identity)


# --- kills


COMMAND = """
import signal, sys
# a test runner in the background is started with SIGINT ignored, and its children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["mien", *sys.argv[1:]]
from mien.cli.app import main
main()
"""


def start(suite, dataset, out):
    arguments = [suite, dataset.folder, "--out", out, "--seeds", 1, "--bootstrap", 50, "--no-figures"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "benchmark", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes of the runs in /proc")
def test_a_benchmark_killed_and_interrupted_ends_in_the_same_tables(planted, tmp_path):
    suite, out = toml(tmp_path / "longer.toml", LONGER), tmp_path / "out"
    moments = [
        (lambda: any(out.glob("runs/*/*/epochs/0005.safetensors")), signal.SIGKILL),
        (lambda: len(list(out.glob("runs/cim-joint/*/epochs/0003.safetensors"))) > 0, signal.SIGINT),
    ]
    for reached, kill in moments:
        process = start(suite, planted, out)
        wait_for(reached, "the moment of the kill", 300)
        # a worker and a run
        wait_for(lambda: len(descendants(process.pid)) > 1 or process.poll() is not None, "a run at work", 300)  # noqa: B023
        runs = descendants(process.pid)
        assert len(runs) > 1
        process.send_signal(kill)
        told = process.communicate(timeout=30)[1]
        assert process.returncode == (1 if kill == signal.SIGINT else -signal.SIGKILL)
        if kill == signal.SIGINT:
            assert told.splitlines()[-1].startswith("mien: interrupted; what was written before is whole")
        wait_for(lambda: not any(runs_still(pid) for pid in runs), "the end of the runs' processes", 10)  # noqa: B023
        assert not (out / "results.json").exists()
    request = BenchmarkRequest(n_seeds=1, n_resamples=50, figures=False)
    resumed = benchmark(suite, planted, out, request)
    whole = benchmark(suite, planted, tmp_path / "whole", request)
    assert resumed.failures == whole.failures == {}
    for name in TABLES:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    costs = ("train_seconds", "peak_memory_mib")
    for one, other in zip(resumed.results["settings"], whole.results["settings"], strict=True):
        assert {k: v for k, v in one.items() if k not in costs} == {k: v for k, v in other.items() if k not in costs}
        run = open_run(out / f"runs/{one['slug']}/seed-0")
        # of all twelve epochs, also of those before the kills
        assert run.outcome["train_seconds"] == pytest.approx(12 * run.outcome["seconds_per_epoch"])
        other_run = open_run(tmp_path / f"whole/runs/{one['slug']}/seed-0")
        assert run.sha256["model.safetensors"] == other_run.sha256["model.safetensors"]
        assert not list(run.folder.rglob(".*.partial-*"))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kills_at_random_change_no_byte(planted, tmp_path):
    suite, whole, out = toml(tmp_path / "longer.toml", LONGER), tmp_path / "whole", tmp_path / "out"
    options = ("--seeds", 1, "--bootstrap", 50, "--no-figures")
    whole_s = seconds_of(mien_command("benchmark", suite, planted.folder, "--out", whole, *options))
    command = mien_command("benchmark", suite, planted.folder, "--out", out, *options)
    kill_at_random(command, 10, whole_s, start_over=lambda: shutil.rmtree(out), moments=EARLY_MOMENTS)
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    runs = [sorted(folder.glob("runs/*/*")) for folder in (out, whole)]
    assert len(runs[0]) == 2
    for one, other in zip(*runs, strict=True):
        assert open_run(one).sha256 == open_run(other).sha256
    assert not list(out.rglob(".*.partial-*"))
