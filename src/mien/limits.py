"""Limits for files made elsewhere, so that a damaged or hostile file cannot exhaust memory, time or the stack.

`current_limits` reads the variable ``MIEN_LIMITS``, so that worker processes use the same limits. ``mien --limit
NAME=VALUE`` and `set_limits` set it. docs/security.md lists which reader uses which limit.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import os
import pickle
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.errors import DamagedFileError, MienError, SettingsError, WorkerError, nearest

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

VARIABLE = "MIEN_LIMITS"
MIB = 1 << 20
# processor time that parsing may take: one second per this many bytes of the file
BYTES_PER_SECOND = 4 * MIB
SHOWN_CHARACTERS = 300
LONGEST_LIMIT = 15  # digits
# errors of libraries and of our own code on files that are cut or altered
READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for reading a file that was made elsewhere.

    Attributes:
        memory_mib: Private memory in MiB of the process that parses an HDF5 or Parquet file. Twice the size of the file
            is added.
        seconds: Processor time of that process in seconds. One second per 4 MiB of the file is added.
        nesting: Depth of lists and tables inside each other, in JSON, TOML and pickles.
        items: Number of values in a pickle, of rows of a table, or of subtitles.
        text_mib: Size in MiB of a JSON, TOML or subtitle file.
        unpacked_mib: Decompressed size in MiB of an array, of a row group or of a file.
        unpacked_ratio: Decompressed size divided by the stored size. This limit applies only if the decompressed size
            exceeds `SMALL_MIB`.
        cell_characters: Number of characters of a cell of a table or of a subtitle. A line of the file may have
            eight times as many.
        integer_digits: Number of digits of a whole number.
    """

    memory_mib: int = 512
    seconds: int = 3
    nesting: int = 100
    items: int = 2_000_000
    text_mib: int = 64
    unpacked_mib: int = 8192
    unpacked_ratio: int = 200
    cell_characters: int = 1_048_576
    integer_digits: int = 1000

    def largest_unpacked(self, stored_bytes: int) -> int:
        """Return how many bytes may come from decompressing or expanding `stored_bytes` bytes."""
        return min(self.unpacked_mib * MIB, max(SMALL_MIB * MIB, self.unpacked_ratio * stored_bytes))


# Less than this is never refused as a decompression bomb, whatever its stored size.
SMALL_MIB = 128


def current_limits() -> Limits:
    """Return the limits of this process. Raises SettingsError if ``MIEN_LIMITS`` is invalid."""
    return _limits_from_text(os.environ.get(VARIABLE, ""))


def set_limits(values: Mapping[str, Any]) -> None:
    """Change limits of this process and of the worker processes that it starts.

    Args:
        values: New values by the name of the limit, a field of `Limits`. A value is a whole number or its text.

    Raises:
        SettingsError: A name is unknown, or a value is not a whole number above zero.
    """
    changed = dataclasses.asdict(current_limits()) | dict(values)
    text = ",".join(f"{name}={value}" for name, value in changed.items())
    _limits_from_text(text)
    os.environ[VARIABLE] = text


@lru_cache(maxsize=8)
def _limits_from_text(text: str) -> Limits:
    known = [field.name for field in dataclasses.fields(Limits)]
    values: dict[str, int] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in known:
            raise SettingsError(f"Expected a limit named {', '.join(known)}, but got {name!r}{nearest(name, known)}")
        if not value.isdecimal() or len(value) > LONGEST_LIMIT or not int(value):
            raise SettingsError(f"Expected a whole number above zero as the limit {name}, but got {value!r}")
        values[name] = int(value)
    return Limits(**values)


def require_shallow(value: Any) -> None:
    """Check that lists and mappings are not nested deeper than the limit `nesting`.

    Args:
        value: Content of a JSON or TOML file.

    Raises:
        ValueError: Lists and mappings are nested deeper.
    """
    level = [value]
    for _ in range(current_limits().nesting + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise ValueError(f"more than {current_limits().nesting} levels of nested values (--limit nesting=N allows more)")


def read_small_file(path: Path) -> bytes:
    """Read a file of at most `text_mib` MiB. Raises ValueError if it is larger."""
    limit = current_limits().text_mib * MIB
    with open(path, "rb") as handle:
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"more than {limit // MIB} MiB (--limit text_mib=N allows more)")
    return content


@contextmanager
def reporting_unreadable(what: str, paths: Sequence[Path]) -> Iterator[None]:
    """Context manager that converts the errors of reading foreign files to DamagedFileError.

    Args:
        what: What the files should hold, for the message ("a data set for the reader 'csd'").
        paths: The files, for the message.

    Yields:
        Nothing.

    Raises:
        DamagedFileError: The block raised one of `READ_ERRORS`.
    """
    try:
        yield
    except READ_ERRORS as error:
        raise _unreadable(what, paths, describe_error(error)) from error


def read_limited(what: str, paths: Sequence[Path], read: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
    """Yield the items of an iterator that runs in a child process with limited memory and processor time.

    Use it where a native library parses a foreign file: such a library can loop without end or allocate without limit.
    The child is forked. It prepares the next item in advance, or several items if they fit the buffer of a pipe
    (64 KiB). On systems without fork, the iterator runs in this process without these limits.

    Args:
        what: What the files should hold, for messages ("a data set for the reader 'csd'").
        paths: The files that `read` opens.
        read: Function that is called in the child and returns the iterator. It must be possible to pickle the items.

    Yields:
        The items.

    Raises:
        MienError: The iterator raised this error.
        DamagedFileError: The iterator raised another error, exceeded a limit, or crashed.
        WorkerError: The child was killed.
    """
    if not hasattr(os, "fork"):
        with reporting_unreadable(what, paths):
            yield from read()
        return
    import multiprocessing  # takes a twentieth of the time of `mien --help`, which does not need it

    n_bytes = sum(path.stat().st_size for path in paths)
    limits = current_limits()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    _receivers.add(receiver)
    arguments = (sender, read, limits.memory_mib * MIB + 2 * n_bytes, limits.seconds + n_bytes // BYTES_PER_SECOND)
    process = multiprocessing.get_context("fork").Process(target=_send_items, args=arguments, daemon=True)
    with warnings.catch_warnings(), _no_garbage_collection():
        # The child uses neither the threads nor the locks of this process.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sender.close()
    try:
        while True:
            try:
                kind, content = pickle.loads(receiver.recv_bytes())
            except EOFError:
                process.join()
                raise _death(what, paths, process.exitcode, arguments[3]) from None
            if kind == _ITEM:
                yield content
            elif kind == _FAILED:
                raise content
            elif kind == _UNREADABLE:
                raise _unreadable(what, paths, content)
            else:
                return
    finally:
        process.kill()
        process.join()
        _receivers.remove(receiver)
        receiver.close()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Context manager in which Python frees no reference cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# Pipes of running children. A child closes its copies, or it would never notice the end of this process.
_receivers: set[Connection] = set()
_ITEM, _FAILED, _UNREADABLE, _DONE = range(4)


def _send_items(sender: Connection, read: Callable[[], Iterator[Any]], memory_bytes: int, seconds: int) -> None:
    """Run the iterator in the child under the limits, and send its items to the parent.

    The last message is the error that the iterator raised, or says that it has ended. Then the child exits.
    """
    # Objects that the parent no longer uses, such as a decoder or a recogniser, may wait for their threads when freed.
    # These threads do not exist here. The garbage collection was disabled when the child was forked.
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.disable()  # the parent reports a crash
    for receiver in _receivers:
        receiver.close()
    _limit_resources(memory_bytes, seconds)
    try:
        for item in read():
            sender.send_bytes(pickle.dumps((_ITEM, item), protocol=5))
        answer: tuple[int, Any] = (_DONE, None)
    except MienError as error:
        answer = (_FAILED, error)
    except READ_ERRORS as error:
        answer = (_UNREADABLE, describe_error(error))
    with suppress(BrokenPipeError):  # the parent has ended
        sender.send_bytes(pickle.dumps(answer))
    # not the usual exit, which would run the parent's cleanup functions
    os._exit(0)


def _limit_resources(memory_bytes: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    if sys.platform == "linux":  # elsewhere, the present size is unknown, or the limit has no effect
        # Private writable pages, in contrast to the address space, which allocators reserve without using it.
        data_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
        limit = data_pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _death(what: str, paths: Sequence[Path], code: int | None, seconds: int) -> MienError:
    """Return the error to raise for a child that ended before it had sent its last message."""
    if code == -signal.SIGKILL:
        return WorkerError(
            f"Expected a process to read {what}, but it was killed, perhaps because memory ran out; repeat the command "
            "when more is free, or with fewer --workers"
        )
    if code == -signal.SIGXCPU:
        reason = f"a parser that had not finished after {seconds} s of processor time (--limit seconds=N allows more)"
    else:
        name = signal.Signals(-code).name if code is not None and code < 0 else f"code {code}"
        reason = f"a parser that ended by {name} (--limit memory_mib=N allows more memory)"
    return _unreadable(what, paths, reason)


def describe_error(error: BaseException) -> str:
    """Return the message of an error on one line and of limited length.

    The type of the error is put before the message, unless the error is a ValueError or an OSError with a message.
    """
    text = " ".join(str(error).split())[:SHOWN_CHARACTERS]
    return text if text and isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"


def _unreadable(what: str, paths: Sequence[Path], reason: str) -> DamagedFileError:
    shown = ", ".join(str(path) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return DamagedFileError(
        f"Expected {what} in {shown}, but got {reason[:SHOWN_CHARACTERS]}; it is cut, altered or of another kind: copy "
        "or download it again"
    )
