"""Ctrl-C (SIGINT) and SIGTERM end the command line, whatever it is doing.

The first signal prints one line and raises KeyboardInterrupt in the main thread, so that temporary files are removed.
If the process still runs after `GRACE_S`, because its main thread is inside a library or waits for other threads, it is
ended without further cleanup. This is safe, because every write is atomic. All that is printed after the line is
discarded: libraries answer an interrupt with tracebacks of their own.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Every command ends within 2 s. The rest is for the system, which frees the memory of the process.
GRACE_S = 1.0
MESSAGE = "interrupted; what was written before is whole: repeat the command (train: with --resume)"
STDERR = 2
# shows the cursor, which a progress bar hides
RESTORE_TERMINAL = "\x1b[?25h\n"

_interrupted = threading.Event()
_announcing = threading.RLock()


def end_on_signals() -> None:
    """Install the signal handlers, so that SIGINT and SIGTERM end this process.

    A signal that the process already ignores, such as SIGINT in a background job, stays ignored.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    os.register_at_fork(after_in_child=_forget_signals)
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise_interrupt)
    threading.Thread(target=_end_after_signal, args=(reader,), daemon=True).start()


def _forget_signals() -> None:
    """Restore the default signal handling in a forked child process.

    Without this, a signal to the child would also reach the pipe of the process that forked it.
    """
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) == _raise_interrupt:
            signal.signal(number, signal.SIG_DFL)


def end_if_interrupted() -> None:
    """If a signal has arrived, kill all processes that this process has started, and exit without waiting for threads.

    Otherwise, do nothing.
    """
    if _interrupted.is_set():
        for process_id in list(_descendants("self")):
            with suppress(ProcessLookupError):
                os.kill(int(process_id), signal.SIGKILL)
        os._exit(1)


def _descendants(process_id: str) -> Iterator[str]:
    """Yield the ids of the child processes of a process, and of all their descendants.

    On systems without /proc, nothing is yielded; the child processes then end by themselves a little later.
    """
    for listed in Path("/proc", process_id, "task").glob("*/children"):
        with suppress(OSError):  # it has ended
            for child in listed.read_text(encoding="ascii").split():
                yield child
                yield from _descendants(child)


def _raise_interrupt(_number: int, _frame: FrameType | None) -> None:
    _announce()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_after_signal(reader: int) -> None:
    """Wait in a thread for a signal, then end the process `GRACE_S` seconds later.

    Python writes the number of each signal to the pipe `reader`, even while the main thread is inside a library.
    """
    while os.read(reader, 1)[0] not in SIGNALS:
        pass
    _announce()
    time.sleep(GRACE_S)
    end_if_interrupted()


def _announce() -> None:
    """Print the message on the interruption, and discard all later output on standard error.

    Only the first call has an effect.
    """
    with _announcing, suppress(OSError):  # standard error may be closed
        if _interrupted.is_set():
            return
        _interrupted.set()
        # Further processes of a training (docs/multi-device.md) are silent. A pipe that nobody reads would block.
        if os.environ.get("LOCAL_RANK", "0") == "0" and select.select([], [STDERR], [], 0)[1]:
            before = RESTORE_TERMINAL if os.isatty(STDERR) else ""
            os.write(STDERR, f"{before}mien: {MESSAGE}\n".encode())
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR)
        # ends the process from a thread without Python code, in case a library blocks all Python threads
        faulthandler.dump_traceback_later(GRACE_S + 0.5, exit=True, file=nowhere)
