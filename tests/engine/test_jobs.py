"""Every engine, on real clusters: the contract of `run_jobs`, and the same bytes from the commands on top of it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine import example_jobs
from tests.engine.clusters import (
    N_WORKERS,
    STARTED_BY,
    ancestors,
    descendants,
    listening_addresses,
    running,
    runs_still,
    wait_for,
)
from tests.planted import write_planted
from tests.video.test_extract import SENTENCES, sounding_file, write_subtitles

from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.engine.cluster import JobSpec, run_packed
from mien.engine.jobs import ENGINES, EngineConfig, run_jobs
from mien.errors import EngineError, MissingWeightsError
from mien.pretrained import sha256_of
from mien.schema import EMOTIONS, Modality
from mien.storage.files import read_json
from mien.video.analyze import AnalyzeRequest, analyze
from mien.video.extract import ExtractRequest, extract
from mien.video.progress import Stage

SUITE = """
    settings = {epochs = 8, batch_videos = 8, patience = "none"}
    [[setting]]
    name = "text only"
    inputs = ["text"]
    settings = {gru_size = 5, dense_size = 3}
"""
LOCAL = EngineConfig(workers=N_WORKERS)
RAY_IF_EXHAUSTIVE = ["dask", pytest.param("ray", marks=pytest.mark.exhaustive)]
TABLES = ("scores.csv", "scores.md", "scores.tex")


@pytest.fixture(scope="module", params=ENGINES)
def place(request, tmp_path_factory):
    """One place per engine for all tests; engine after engine."""
    if request.param == "local":
        yield LOCAL
        return
    with STARTED_BY[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
def cluster(place):
    """The engines that have workers of their own."""
    if place.is_local:
        pytest.skip("the engine works in this very process")
    return place


def lost(job, reason):
    return f"{job} lost: {reason}"


# --- the contract


def test_every_outcome_comes_once_and_as_soon_as_it_is_ready(place):
    def slow(seconds):  # not importable, as in a notebook: it is taken along
        time.sleep(seconds)
        return seconds

    outcomes = list(run_jobs(place, slow, [4.0, 0.1, 0.0, 0.2], lost))
    assert sorted(outcomes) == [0.0, 0.1, 0.2, 4.0]
    assert outcomes[-1] == 4.0
    assert list(run_jobs(place, slow, [], lost)) == []


def test_a_worker_that_does_not_see_a_file_ends_the_work_with_a_reason(place, tmp_path):
    missing = tmp_path / "not here"
    with pytest.raises(EngineError, match="Expected the worker .* to see .*not here, but got nothing there"):
        list(run_jobs(place, example_jobs.looks_at, [str(tmp_path), str(missing)], lost))


def test_closing_stops_what_has_begun_and_begins_nothing_more(place, tmp_path):
    jobs = [(str(tmp_path), number) for number in range(8)]
    with closing(run_jobs(place, example_jobs.first_or_wait, jobs, lost, process_imports=())) as outcomes:
        assert next(outcomes) is None
        wait_for(lambda: len(list(tmp_path.glob("begun-*"))) == N_WORKERS, "two jobs at work")
    for note in tmp_path.glob("begun-*"):
        wait_for(lambda: not runs_still(int(note.read_text())), "their end")  # noqa: B023
    time.sleep(1)
    assert len(list(tmp_path.glob("begun-*"))) == N_WORKERS


def test_a_killed_worker_loses_nothing_and_a_job_that_kills_workers_is_told(cluster, tmp_path):
    note = tmp_path / "worker"

    def kill():
        wait_for(note.exists, "the job")
        os.kill(int(note.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = list(run_jobs(cluster, example_jobs.mortal, [(str(tmp_path), number) for number in range(5)], lost))
    killer.join()
    assert sorted(each for each in outcomes if isinstance(each, int)) == [0, 2, 3, 4]
    (told,) = (each for each in outcomes if isinstance(each, str))
    assert told == f"{(str(tmp_path), 1)} lost: the workers that took it died one after the other (out of memory?)"


def test_a_worker_of_other_versions_is_refused():
    packed = JobSpec(abs).pack(-3)
    assert run_packed(packed) == 3
    here = packed.versions
    older = replace(packed, versions={**here, "torch": "1.0", "mien": "0.0.0", "unknown-package": "2.0"})
    told = f"got mien {here['mien']} instead of 0.0.0, torch {here['torch']} instead of 1.0, "
    told += "unknown-package none instead of 2.0; install the same"
    with pytest.raises(EngineError, match=told.replace("+", r"\+")):
        run_packed(older)


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_is_named(engine, package):
    code = f"""
import sys
sys.modules["{package}"] = None
from mien.errors import MissingExtraError
from mien.engine.jobs import EngineConfig, run_jobs
try:
    list(run_jobs(EngineConfig("{engine}"), abs, [1], None))
except MissingExtraError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (
        told == f"Expected the package '{package}' to be installed, but it is not; run: pip install 'mien[{engine}]'\n"
    )


def test_an_address_without_a_scheduler_is_told(monkeypatch):
    monkeypatch.setattr("mien.engine.dask.CONNECT_TIMEOUT_S", 1)
    with pytest.raises(EngineError, match="Expected a Dask scheduler at 127.0.0.1:1, but got .*dask scheduler"):
        list(run_jobs(EngineConfig("dask", "127.0.0.1:1"), abs, [1], lost))


def test_a_scheduler_without_workers_is_told(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("mien.engine.dask.CONNECT_TIMEOUT_S", 1)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(EngineError, match="Expected workers at the Dask scheduler .*, but got none"),
    ):
        list(run_jobs(EngineConfig("dask", empty.scheduler_address), abs, [1], lost))


@pytest.mark.exhaustive  # Dask looks for its scheduler for half a minute
def test_a_scheduler_that_dies_is_told(tmp_path):
    script = """
import asyncio
from distributed import Scheduler
async def main():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as scheduler:
        address = scheduler.stdout.readline().strip()
        with running("dask", "worker", "--nthreads", 1, "--memory-limit", 0, "--no-dashboard", address):
            note = tmp_path / "worker"
            killer = threading.Thread(target=lambda: (wait_for(note.exists, "the job"), scheduler.kill()))
            killer.start()
            jobs = [(str(tmp_path), number) for number in range(3)]
            place = EngineConfig("dask", address.removeprefix("tcp://"))
            with pytest.raises(EngineError, match="(?s)work to be done at the Dask scheduler .* must stay"):
                list(run_jobs(place, example_jobs.mortal, jobs, lost))
            killer.join()


@pytest.mark.slow
@pytest.mark.parametrize("engine", RAY_IF_EXHAUSTIVE)
def test_without_an_address_a_cluster_is_started_for_this_machine_alone_and_closed_again(engine):
    workers, addresses = set(), set()
    earlier = set(descendants(os.getpid()))  # clusters of other tests
    for worker in run_jobs(EngineConfig(engine, workers=N_WORKERS), _told_by, range(6), lost):
        workers.add(worker)
        addresses |= listening_addresses({os.getpid(), *descendants(os.getpid())} - earlier)
    assert os.getpid() not in workers
    assert 1 <= len(workers) <= N_WORKERS
    assert len(addresses) >= 1
    # ::ffff:127.0.0.1 is the same as 127.0.0.1
    assert all((getattr(address, "ipv4_mapped", None) or address).is_loopback for address in addresses)
    wait_for(lambda: not any(runs_still(worker) for worker in workers), "their end")


def _told_by(_number):
    return os.getpid()


# --- the commands


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return write_planted(tmp_path_factory.mktemp("planted") / "data", 40)


def run_benchmark(planted, folder, place):
    folder.mkdir()
    suite = folder / "suite.toml"
    suite.write_text(SUITE, encoding="utf-8")
    request = BenchmarkRequest(n_seeds=2, engine=place, n_resamples=200, figures=False)
    done = benchmark(suite, planted, folder / "out", request)
    assert done.failures == {}
    out = folder / "out"
    weights = {path.relative_to(out): sha256_of(path) for path in out.rglob("model.safetensors")}
    assert len(weights) == 4
    return {name: (out / name).read_bytes() for name in TABLES}, weights


@pytest.fixture(scope="module")
def benchmark_here(planted, tmp_path_factory):
    return run_benchmark(planted, tmp_path_factory.mktemp("here") / "run", LOCAL)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes of the runs in /proc")
def test_a_benchmark_that_loses_a_worker_ends_in_the_same_tables(cluster, planted, benchmark_here, tmp_path):
    killed = []

    def kill():
        wait_for(lambda: any((tmp_path / "run").glob("out/runs/*/*/epochs/0003.safetensors")), "a run at work", 120)
        (run, *_) = wait_for(_runs_of_this_test, "its process")
        process, worker = ancestors(run)[:2]
        os.kill(worker, signal.SIGKILL)
        killed.extend((worker, process, run))

    killer = threading.Thread(target=kill)
    killer.start()
    tables, weights = run_benchmark(planted, tmp_path / "run", cluster)
    killer.join()
    assert len(killed) == 3
    assert not any(runs_still(each) for each in killed)
    assert tables == benchmark_here[0]
    assert weights == benchmark_here[1]
    plan = read_json(tmp_path / "run/out/plan.json", "")
    assert plan["seeds"] == [0, 1]


def _runs_of_this_test():
    """Processes that were forked by worker processes, which descend from this one."""
    workers = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"mien.engine.worker" in path.read_bytes():
                workers.add(int(path.parent.name))
    parents = {worker: ancestors(worker) for worker in workers}
    return [pid for pid, above in parents.items() if above and above[0] in workers and os.getpid() in above]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Three sounding files, one that is none, their labels and subtitles."""
    folder = tmp_path_factory.mktemp("films")
    names = {"low": "train", "bad": "train", "high": "valid", "mid": "test"}
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["video_id", "split", "start", "end", "text", "sentiment", *EMOTIONS])
        for number, (name, split) in enumerate(names.items()):
            sounding_file(folder / f"{name}.mp4", 110 + 20 * number)
            for part, text in enumerate(SENTENCES):
                writer.writerow([name, split, part, part + 1, text, 1 - part, *[0] * 5, 1])
    (folder / "bad.mp4").write_bytes(b"no film")
    (folder / "subtitles").mkdir()
    for name in ("low", "bad", "high", "none"):
        write_subtitles(folder / "subtitles" / f"{name}.srt")
    return folder


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_extraction(films, out, place):
    extractors = {Modality.TEXT: "minilm", Modality.ACOUSTIC: "egemaps", Modality.VISUAL: "face"}
    told = []
    try:
        done = extract(films, films / "labels.csv", out, ExtractRequest(extractors, engine=place), told.append)
    except MissingWeightsError as error:
        pytest.skip(str(error))
    assert list(done.failed) == ["bad"]
    assert [each.stages for each in (told[0], told[-1])] == [{Stage.LOADING: None}, {Stage.WRITING: None}]
    return files_of(out)


@pytest.fixture(scope="module")
def extracted_here(films, tmp_path_factory):
    return run_extraction(films, tmp_path_factory.mktemp("here") / "data", LOCAL)


@pytest.mark.parametrize("place", RAY_IF_EXHAUSTIVE, indirect=True)
def test_an_extraction_gives_the_same_dataset(cluster, films, extracted_here, tmp_path):
    assert run_extraction(films, tmp_path / "data", cluster) == extracted_here
    # all is kept: the second time nobody is asked
    nowhere = EngineConfig("dask", "127.0.0.1:1")
    (films / "bad.mp4").rename(tmp_path / "bad.mp4")
    try:
        run_extraction(films, tmp_path / "data", nowhere)
    finally:
        (tmp_path / "bad.mp4").rename(films / "bad.mp4")


def run_analysis(films, out, place):
    videos = [films / f"{name}.mp4" for name in ("low", "bad", "high")]
    request = AnalyzeRequest(subtitles=films / "subtitles", engine=place)
    try:
        done, failed = analyze([*videos, films / "none.mp4"], out, request)
    except MissingWeightsError as error:
        pytest.skip(str(error))
    assert list(done) == [videos[0], videos[2]]
    return files_of(out), {str(path): reason for path, reason in failed.items()}


@pytest.fixture(scope="module")
def analyzed_here(films, tmp_path_factory):
    return run_analysis(films, tmp_path_factory.mktemp("here") / "out", LOCAL)


@pytest.mark.parametrize("place", RAY_IF_EXHAUSTIVE, indirect=True)
def test_an_analysis_gives_the_same_reports(cluster, films, analyzed_here, tmp_path):
    files, failed = run_analysis(films, tmp_path / "out", cluster)
    assert failed == analyzed_here[1]
    assert len(failed) == 2
    assert files == analyzed_here[0]
