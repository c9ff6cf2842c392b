"""The videos of a source read in their order by one process or by several."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack

from mien.errors import WorkerError
from mien.schema import Video
from mien.sources.intake import ReadVideo, VideoReader

Described = tuple[Video, Counter[str]]
# videos per process that are read, or being read, before their turn: bounds the memory
AHEAD = 3


def read_videos(reader: VideoReader, ids: Sequence[str], workers: int) -> Iterator[Described]:
    """Each video with the rules applied to it, in the order of `ids`, whoever reads it.

    Raises what the reader raises, at the video's turn, and WorkerError when a process is killed.
    """
    if workers == 1:
        with reader.opened() as read:
            for video_id in ids:
                yield read(video_id)
        return
    # spawned: HDF5 does not outlive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _open, (reader,))
    waiting: deque[Future[Described]] = deque()
    try:
        for video_id in ids:
            waiting.append(pool.submit(_read, video_id))
            if len(waiting) == AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise WorkerError(
            f"Expected {workers} processes to read side by side, but one was killed, perhaps for want of memory; "
            "repeat the command with fewer --workers: it goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


# what a reading process has open; it ends with the process
_held = ExitStack()
_readers: list[ReadVideo] = []


def _open(reader: VideoReader) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _readers.append(_held.enter_context(reader.opened()))


def _read(video_id: str) -> Described:
    return _readers[0](video_id)


def _end_with_parent() -> None:
    """A killed parent says no farewell, and its pool's processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
