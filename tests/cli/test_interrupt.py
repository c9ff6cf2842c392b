"""Ctrl-C and SIGTERM end real commands, with all processes that they have started, and leave one line and whole files.

A command that ignored the signal would run for minutes. The limit here is generous, because the machine may be busy.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests.cli.calls import QUICK
from tests.engine.clusters import descendants, runs_still, wait_for
from tests.planted import write_planted
from tests.readers.examples import LABEL_NAMES, write_csd

from mien.cli.interrupt import MESSAGE
from mien.readers.csd.folds import mosei_folds
from mien.storage.dataset import open_dataset

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in /proc")

LIMIT_S = 60
LONG = [*QUICK, "--set", "epochs=100000", "--set", "patience=none"]
PROGRESS = re.compile(r"(import|train|benchmark|extract|analyze)\b.*: |loading|recognising")
NOTE = "mien: note: "
# busy for minutes in a library that does not return to Python, on the main thread or on one that Python waits for
BUSY = (
    "import hashlib\nopen('begun', 'w').close()\nbusy = lambda: hashlib.pbkdf2_hmac('md5', b'', b'', 2_000_000_000)\n"
)
BUSY_MAIN = BUSY + "busy()\n"
BUSY_THREAD = BUSY + "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(busy).result()\n"


# A test runner in the background is started with SIGINT ignored, and its children inherit that.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from mien.__main__ import main
main()
"""


@contextmanager
def started(*words, cwd=None):
    """A command in a session of its own."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=cwd,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            for pid in (*descendants(process.pid), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def assert_ends(process, number=signal.SIGINT, send=os.kill):
    """Send the signal; the process and what it has started end, after one line on standard error."""
    begun = descendants(process.pid)
    send(process.pid, number)
    process.wait(LIMIT_S)
    wait_for(lambda: not any(runs_still(pid) for pid in begun), "the end of the other processes", LIMIT_S)
    lines = [line for line in process.stderr.read().splitlines() if not PROGRESS.match(line) and NOTE not in line]
    assert lines == [f"mien: {MESSAGE}"]
    assert process.returncode == 1


def catches_sigterm(process):
    mask = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(mask[1], 16) & 1 << (signal.SIGTERM - 1)


@pytest.mark.parametrize(
    ("number", "delay_s"), [(signal.SIGINT, 0), (signal.SIGTERM, 0.3), (signal.SIGINT, 1)], ids=str
)
def test_a_signal_at_the_start_is_answered_by_one_line(data, number, delay_s, tmp_path):
    with started("train", data, "--out", tmp_path / "run", *LONG) as process:
        wait_for(lambda: catches_sigterm(process), "the handler")
        time.sleep(delay_s)
        assert_ends(process, number)


@pytest.mark.parametrize("module", [BUSY_MAIN, BUSY_THREAD], ids=["main thread", "other thread"])
def test_a_library_that_does_not_return_is_ended(module, tmp_path):
    (tmp_path / "busy.py").write_text(module, encoding="utf-8")
    with started("--plugin", "busy", "models", cwd=tmp_path) as process:
        wait_for((tmp_path / "begun").exists, "the plug-in")
        assert_ends(process)


def test_an_interrupted_training_can_be_resumed(data, tmp_path):
    run = tmp_path / "run"
    with started("train", data, "--out", run, *LONG) as process:
        wait_for((run / "history.jsonl").exists, "an epoch")
        assert_ends(process)
    epochs = 1 + len((run / "history.jsonl").read_text().splitlines())
    with started("train", data, "--out", run, *LONG, "--resume") as process:
        line = next(line for line in process.stderr if NOTE not in line)
        assert int(re.search(r"epoch (\d+) of", line)[1]) >= epochs - 1
        assert_ends(process)


@pytest.fixture(scope="module")
def csd(tmp_path_factory):
    """Files of 600 videos, so that reading them takes a while."""
    folder = tmp_path_factory.mktemp("csd")
    times = np.arange(20)[:, None] + np.array([0.0, 1.0])
    names = sorted(mosei_folds())[:600]
    write_csd(folder / "labels.csd", "All Labels", {name: (times, np.ones((20, 7))) for name in names}, LABEL_NAMES)
    write_csd(folder / "text.csd", "glove_vectors", {name: (times, np.ones((20, 8))) for name in names})
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_an_import_leaves_the_old_data_set(csd, tmp_path, workers):
    old = write_planted(tmp_path / "data", 10)
    with started("import", "csd", csd, "--out", old.folder, "--workers", workers) as process:
        wait_for(lambda: len(list(tmp_path.iterdir())) > 1, "the temporary folder")
        assert_ends(process)
    assert open_dataset(old.folder).fingerprint == old.fingerprint


@pytest.mark.slow
def test_a_classical_system_ends_too(tmp_path):
    write_planted(tmp_path / "data", 1000)
    with started("train", tmp_path / "data", "--out", tmp_path / "run", "--model", "mkl-svm") as process:
        wait_for((tmp_path / "run").exists, "the run")
        time.sleep(1)
        assert_ends(process)


@pytest.mark.slow
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(os.kill, id="the command alone"),
        pytest.param(os.killpg, id="all its processes", marks=pytest.mark.exhaustive),
    ],
)
def test_a_benchmark_ends_with_its_workers(data, tmp_path, send):
    suite = tmp_path / "suite.toml"
    sizes = "settings = {gru_size = 5, dense_size = 3}"
    suite.write_text(f'settings = {{epochs = 100000, patience = "none"}}\n[[setting]]\nname = "all"\n{sizes}\n')
    with started("benchmark", suite, data, "--out", tmp_path / "out", "--seeds", 2, "--workers", 2) as process:
        wait_for(lambda: any((tmp_path / "out").rglob("progress.safetensors")), "an epoch")
        assert len(descendants(process.pid)) >= 2
        assert_ends(process, send=send)


@pytest.mark.slow
def test_an_analysis_ends_while_it_recognises_speech(tmp_path):
    video = resources.files("mien") / "sample" / "sample.mp4"
    with started("analyze", video, "--out", tmp_path / "report") as process:
        first = process.stderr.readline()
        if first.startswith("mien: "):  # no weights here
            pytest.skip(first)
        time.sleep(2)
        assert_ends(process)
    assert not (tmp_path / "report").exists()
