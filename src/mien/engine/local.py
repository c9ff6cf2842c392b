"""This machine: jobs run in this process, or each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from mien.engine.cluster import Cluster, Work
from mien.engine.processes import WORKERS


@contextmanager
def this_machine(work: Work, _address: str | None, _workers: int) -> Iterator[Cluster]:
    """Nothing to connect to; what the jobs share is opened."""
    if work.process_imports is not None:
        imports, token = work.process_imports, work.token
        yield Cluster(lambda job: WORKERS.run(work.pickled(job), imports, token), lambda: WORKERS.end(token))
        return
    with ExitStack() as opened:
        function = work.function
        if work.context is not None:
            function = partial(function, context=opened.enter_context(work.context()))
        yield Cluster(function, opened.close)
