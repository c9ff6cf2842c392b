"""Tasks on threads: an end that ends everything, libraries one at a time, and the cores there are."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from mien.engine.threads import TaskPool, n_cores
from mien.errors import UsageError


def test_leaving_the_pool_stops_what_runs_and_what_waits():
    begun = threading.Event()

    def for_ever():
        begun.set()
        while True:
            pool.check()
            time.sleep(0.001)

    with TaskPool(1) as pool:
        running, waiting = pool.submit(for_ever), pool.submit(for_ever)
        begun.wait()
    with pytest.raises(CancelledError):
        running.result()
    assert waiting.cancelled()


def test_libraries_are_loaded_one_at_a_time():
    inside, most = 0, 0

    def load():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1

    with TaskPool(3) as pool:
        for loading in [pool.submit_loading(load) for _ in range(5)]:
            loading.result()
    assert most == 1


def test_workers_are_counted_from_one():
    with pytest.raises(UsageError, match="Expected at least one worker, but got 0"):
        TaskPool(0)


@pytest.mark.parametrize(("quota", "granted"), [("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64)])
def test_a_container_may_grant_fewer_cores_than_it_shows(monkeypatch, tmp_path, quota, granted):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr("mien.engine.threads.CPU_QUOTA_FILE", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    assert n_cores() == granted
    monkeypatch.setattr("mien.engine.threads.CPU_QUOTA_FILE", tmp_path / "none")
    assert n_cores() == 64
