"""Runs mutated files through a reader in a child process, and counts how each ended."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import MienError

SLOW_S = 10.0
MEMORY_BYTES = 4 << 30


@dataclass
class FuzzReport:
    """How the inputs of one target ended."""

    n_inputs: int = 0
    # inputs that were read as far as their content, or gave a value
    n_past_header: int = 0
    n_values: int = 0
    slowest_s: float = 0.0
    # place and type of an exception other than MienError, or the way in which the process ended -> number of inputs
    failures: Counter[str] = field(default_factory=Counter)


def fuzz(name: str, number: int, seed: int = 0, keep: Path | None = None) -> FuzzReport:
    """Open `number` mutated files of a target.

    Args:
        name: Key of `tests.fuzz.targets.TARGETS`.
        number: Number of inputs; input k depends on the seed and k alone.
        seed: Seed of the mutations.
        keep: Folder for the inputs that failed; None keeps none.

    Returns:
        The counts.
    """
    report = FuzzReport()
    while report.n_inputs < number:
        last = None
        for last in _run_child(name, report.n_inputs, number, seed):
            _count(report, last, keep)
        if report.n_inputs < number and last is None:
            raise RuntimeError(f"the child for {name} did not start")
    return report


def _count(report: FuzzReport, answer: dict[str, Any], keep: Path | None) -> None:
    report.n_inputs += 1
    report.n_past_header += answer.get("past_header", False)
    report.n_values += answer.get("value", False)
    report.slowest_s = max(report.slowest_s, answer["seconds"])
    failure = answer.get("failure")
    if failure or answer["seconds"] > SLOW_S:
        report.failures[failure or f"slower than {SLOW_S:g} s"] += 1
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / answer["file"]).write_bytes(answer["content"])


def _run_child(name: str, first: int, stop: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield an answer per input; a child that dies or hangs gives a failure for the input that it was opening."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # not forked from this process: where other tests have used torch, a forked child waits for its threads for ever
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.fuzz.targets"])
    process = context.Process(target=_open_inputs, args=(sender, name, first, stop, seed))
    process.start()
    sender.close()
    begun: dict[str, Any] | None = None
    since = time.monotonic()
    try:
        while True:
            if not receiver.poll(4 * SLOW_S if begun else None):
                yield begun | {"failure": "hangs", "seconds": time.monotonic() - since}
                return
            answer = receiver.recv()
            if "seconds" in answer:
                yield begun | answer
                begun = None
            else:
                begun, since = answer, time.monotonic()
    except EOFError:
        process.join()
        if begun is not None:
            yield begun | {"failure": f"ends with code {process.exitcode}", "seconds": time.monotonic() - since}
    finally:
        process.kill()
        process.join()


def _open_inputs(sender: Any, name: str, first: int, stop: int, seed: int) -> None:
    from tests.fuzz.targets import TARGETS

    faulthandler.disable()
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # libraries write what they find in damaged files
    os.dup2(sys.stderr.fileno(), 2)
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="mien-fuzz-") as folder:
        path = target.make(_new_folder(folder))
        whole, beside = path.read_bytes(), _contents(Path(folder), path)
        resource.setrlimit(resource.RLIMIT_AS, (_size() + MEMORY_BYTES,) * 2)
        for number in range(first, stop):
            content = target.mutate(random.Random(f"{name} {seed} {number}"), whole)
            path.write_bytes(content)
            sender.send({"file": f"{name}-{seed}-{number}", "content": content})
            start = time.perf_counter()
            sender.send(_outcome(target, path) | {"seconds": time.perf_counter() - start})
            for each, unchanged in beside.items():
                if each.read_bytes() != unchanged:
                    each.write_bytes(unchanged)
    os._exit(0)


def _outcome(target: Any, path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.open(path)
    except MienError as error:
        return {"past_header": not any(text in str(error) for text in target.header_messages)}
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}mien{os.sep}" in f.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return {"past_header": True, "failure": f"{type(error).__name__} at {place}: {str(error)[:100]}"}
    return {"past_header": True, "value": True}


def _new_folder(folder: str) -> Path:
    path = Path(folder, "seed")
    path.mkdir()
    return path


def _contents(folder: Path, mutated: Path) -> dict[Path, bytes]:
    """Bytes of the small files beside the mutated one, which opening it may change."""
    return {each: each.read_bytes() for each in folder.rglob("*.json") if each != mutated}


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
