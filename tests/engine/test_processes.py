"""Jobs in processes of their own: what one does to itself stays its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.clusters import descendants, runs_still, wait_for

from mien.commands.train import peak_memory_mib
from mien.engine.jobs import EngineConfig, run_jobs
from mien.engine.processes import path_variables
from mien.errors import EngineError

ALONE = EngineConfig(workers=1)
HELD_MIB = 300

forks = pytest.mark.parametrize("forks", [pytest.param(True, id="forked"), pytest.param(False, id="fresh")])


def outcomes_of(function, jobs, **options):
    return list(
        run_jobs(ALONE, function, jobs, lambda job, reason: f"{job}: {reason}", **{"process_imports": (), **options})
    )


@pytest.fixture
def forking(forks, monkeypatch):
    monkeypatch.setattr("mien.engine.processes.FORKS", forks)
    return forks


def ids(_job):
    return os.getpid(), os.getppid()


@forks
def test_every_job_has_a_process_and_a_forking_worker_is_kept(forking):
    found = outcomes_of(ids, range(3))
    assert len({own for own, _ in found} | {os.getpid()}) == 4
    starters = {starter for _, starter in found}
    assert len(starters) == 1
    assert (starters != {os.getpid()}) == forking


def hold(n_mib):
    held = bytes(n_mib << 20)
    held = held.replace(b"\0", b"1")
    return peak_memory_mib(), len(held)


@forks
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere the peak is not that of one process")
def test_the_peak_memory_of_a_job_is_its_own(forking):  # noqa: ARG001
    before, most, after = (
        peak for peak, _ in outcomes_of(hold, [1, HELD_MIB, 1], process_imports=("mien.commands.train",))
    )
    assert most > before + 0.9 * HELD_MIB
    assert after == pytest.approx(before, rel=0.1)


def die(job):
    if job == 1:
        sys.stderr.write("no room\nleft\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if job == 2:
        raise ValueError("unforeseen")
    sys.stdout.write("this is said to nobody")
    return job


@forks
def test_a_job_that_dies_is_told_and_costs_no_other(forking):  # noqa: ARG001
    first, killed, raised, last = outcomes_of(die, range(4))
    assert (first, last) == (0, 3)
    assert killed == "1: its process ended by SIGKILL (out of memory?): no room left"
    assert raised.startswith("2: its process ended with code 1: ")
    assert raised.endswith("ValueError: unforeseen")


@forks
@pytest.mark.parametrize("at", ["import", "work"])
def test_a_worker_and_its_job_end_with_their_starter(forks, at, tmp_path):
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(300)\n")
    code = (
        "import sys, time\n"
        "from mien.engine import processes\n"
        "from mien.engine.jobs import EngineConfig, run_jobs\n"
        f"processes.FORKS = {forks}\n"
        f"imports = ['slow_module'] if {at == 'import'} else []\n"
        "list(run_jobs(EngineConfig(workers=1), time.sleep, [300], None, process_imports=imports))\n"
    )
    path = os.pathsep.join([*sys.path, str(tmp_path)])
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}) as starter:
        n_processes = 2 if forks and at == "work" else 1
        found = wait_for(lambda: (pids := descendants(starter.pid)) and len(pids) == n_processes and pids, "the worker")
        starter.kill()
        wait_for(lambda: not any(runs_still(pid) for pid in found), "their end", 30)


def refuse(_job):
    raise EngineError("nobody can do this")


@forks
def test_what_would_stop_every_job_stops_the_work(forking):  # noqa: ARG001
    with pytest.raises(EngineError, match="nobody can do this"):
        outcomes_of(refuse, range(3))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
def test_a_worker_has_no_thread_of_ours_or_of_blas_when_it_forks():
    from mien.benchmark.scored_runs import PROCESS_IMPORTS

    (found,) = outcomes_of(threads_of_starter, [0], process_imports=PROCESS_IMPORTS)
    # pyarrow's allocator has one, and handles forks
    assert [name for name in found if name != "jemalloc_bg_thd"] == [found[-1]]


def threads_of_starter(_job):
    folder = Path(f"/proc/{os.getppid()}/task")
    return sorted(path.joinpath("comm").read_text().strip() for path in folder.iterdir())


def test_the_current_folder_is_searched_last_and_only_where_it_was_before(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", "/somewhere", str(tmp_path), "/else"])
    assert path_variables()["PYTHONPATH"].split(os.pathsep) == ["/somewhere", "/else", str(tmp_path)]
    monkeypatch.setattr(sys, "path", ["/somewhere", "/else"])
    assert path_variables()["PYTHONPATH"].split(os.pathsep) == ["/somewhere", "/else"]


def test_a_file_in_the_current_folder_hides_no_module(tmp_path):
    (tmp_path / "pickle.py").write_text("raise SystemExit('hidden')")
    (tmp_path / "mine.py").write_text("def double(job):\n    return 2 * job\n")
    code = (
        "import sys\n"
        "from mien.engine.jobs import EngineConfig, run_jobs\n"
        "sys.path.insert(0, '')\n"
        "from mine import double\n"
        "print(list(run_jobs(EngineConfig(workers=1), double, [21], None, process_imports=())))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[42]\n", 0), done.stderr
