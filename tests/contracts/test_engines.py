"""Every engine, on real clusters: the contract of `work_through`, and the same bytes from the commands on top of it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.contracts import errands
from tests.contracts.clusters import N_WORKERS, STARTED_BY, wait_for

from mien.errors import EngineError
from mien.workflows.engine import ENGINES, Place, work_through


@pytest.fixture(scope="module", params=ENGINES)
def place(request, tmp_path_factory):
    """One place per engine for all tests; engine after engine."""
    if request.param == "local":
        yield Place(workers=N_WORKERS)
        return
    with STARTED_BY[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


def lost(job, reason):
    return f"{job} lost: {reason}"


def test_every_outcome_comes_once(place):
    assert sorted(work_through(place, errands.square, range(-4, 3), lost)) == [0, 1, 1, 4, 4, 9, 16]
    assert list(work_through(place, errands.square, [], lost)) == []


def test_outcomes_come_as_they_are_ready(place):
    assert list(work_through(place, errands.wait_and_tell, [3.0, 0.0], lost)) == [0.0, 3.0]


def test_what_is_defined_in_a_notebook_is_taken_along(place):
    base = 10
    assert sorted(work_through(place, lambda number: number + base, [1, 2], lost)) == [11, 12]


def test_a_worker_that_does_not_see_a_file_ends_the_work_with_a_reason(place, tmp_path):
    missing = tmp_path / "not here"
    with pytest.raises(EngineError, match="Expected the worker .* to see .*not here, but got nothing there"):
        list(work_through(place, errands.looks_at, [str(tmp_path), str(missing)], lost))


def test_closing_stops_what_has_begun(place, tmp_path):
    with closing(work_through(place, errands.fast_or_waiting, [None, str(tmp_path)], lost, stop(tmp_path))) as outcomes:
        assert next(outcomes) is None
        wait_for((tmp_path / "begun").exists, "the second job")
    wait_for((tmp_path / "ended").exists, "its end")


def stop(folder):
    return partial(errands.say_stop, str(folder))


def test_a_worker_killed_in_the_middle_loses_nothing(place, tmp_path):
    if place.is_local:
        pytest.skip("the local engine has no workers of its own: runs have processes, see tests/workflows")
    note = tmp_path / "worker-0"

    def kill():
        wait_for(note.exists, "the job")
        os.kill(int(note.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = list(work_through(place, errands.dies_once, [(str(tmp_path), number) for number in range(5)], lost))
    killer.join()
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert note.exists()


def test_a_job_that_kills_every_worker_is_told_and_the_rest_is_done(place):
    if place.is_local:
        pytest.skip("the local engine works in this very process")
    outcomes = list(work_through(place, errands.dies_always, range(4), lost))
    assert sorted(outcomes) == [
        "0",
        "1 lost: the workers that took it died one after the other (out of memory?)",
        "2",
        "3",
    ]
