"""Real clusters of two workers on this machine, started as docs/cluster.md says."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from mien.engine.jobs import EngineConfig

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
N_WORKERS = 2
# state of a socket in /proc/net/tcp
LISTENS = "0A"


@contextmanager
def running(*command):
    """A process with all that it starts, ended by its process group."""
    # workers import the tests' functions too
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path}
    with subprocess.Popen(
        [str(BIN / command[0]), *map(str, command[1:])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(3)  # Ray would wait for half a minute
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition, what, seconds=180):
    """What `condition` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.05)
    return found


@contextmanager
def dask_cluster(folder):
    """`dask scheduler` with `dask worker` twice; gives its place."""
    file = folder / "scheduler.json"
    common = ("--no-dashboard", "--scheduler-file", file)
    with ExitStack() as stack:
        stack.enter_context(
            running("dask", "scheduler", "--host", "127.0.0.1", "--port", 0, "--idle-timeout", "10m", *common)
        )
        wait_for(file.exists, "the scheduler")
        for _ in range(N_WORKERS):
            stack.enter_context(
                running("dask", "worker", "--nthreads", 1, "--memory-limit", 0, "--death-timeout", 30, *common)
            )
        yield EngineConfig("dask", json.loads(file.read_text())["address"].removeprefix("tcp://"))


@contextmanager
def ray_cluster(folder):
    """`ray start --head` with two cores, and a token made for this cluster alone; gives its place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    asked = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    # Ray keeps sockets below it, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as place:
        options = ("--num-cpus", N_WORKERS, "--include-dashboard", "false", "--object-store-memory", 256 << 20)
        where = ("--port", port, "--temp-dir", place)
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            for name, value in asked.items():
                patch.setenv(name, value)
            stack.enter_context(running("ray", "start", "--head", "--block", *options, *where))
            wait_for(lambda: _answers(port), "the head node")
            yield EngineConfig("ray", f"127.0.0.1:{port}")


def _answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


STARTED_BY = {"dask": dask_cluster, "ray": ray_cluster}


def ancestors(pid):
    """Parent, its parent and so on, as /proc tells."""
    found = []
    while pid > 1 and (facts := _stat(pid)):
        pid = int(facts[1])
        found.append(pid)
    return found


def descendants(pid):
    """The processes that `pid` has started, and what those have started, as /proc tells."""
    parents = {int(path.name): _stat(path.name) for path in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for each in found:
        found += [child for child, facts in parents.items() if facts and int(facts[1]) == each]
    return found[1:]


def runs_still(pid):
    """Whether a process is there and more than an entry that waits for its parent."""
    facts = _stat(pid)
    return bool(facts) and facts[0] != "Z"


def listening_addresses(pids):
    """The IP addresses on which these processes accept TCP connections, as /proc tells."""
    sockets, found = set(), set()
    for link in [link for pid in pids for link in Path(f"/proc/{pid}/fd").glob("*")]:
        with suppress(OSError):  # closed meanwhile
            sockets.add(os.readlink(link))
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and f"socket:[{fields[9]}]" in sockets:
                words = re.findall("........", fields[1].partition(":")[0])
                found.add(ipaddress.ip_address(b"".join(bytes.fromhex(word)[::-1] for word in words)))
    return found


def _stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
