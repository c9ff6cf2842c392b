"""Dask: a scheduler somebody started, or a local one that lives as long as the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mien.errors import EngineError, MissingExtraError
from mien.workflows.cluster import CONNECT_TIMEOUT_S, Cluster, WorkersLostError, pack, run_errand


@contextmanager
def dask_cluster(address: str | None, workers: int) -> Iterator[Cluster]:
    """Connect to a scheduler, or start `workers` local processes. Raises MissingExtraError, EngineError."""
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", "dask") from error
    with ExitStack() as stack:
        place = address or stack.enter_context(_local(workers))
        try:
            client = stack.enter_context(distributed.Client(place, set_as_default=False, timeout=CONNECT_TIMEOUT_S))
        except (OSError, ValueError, TypeError) as error:
            raise EngineError(
                f"Expected a Dask scheduler at {address}, but got {type(error).__name__}: {error}; start it with: "
                "dask scheduler"
            ) from error
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError as error:
            raise EngineError(
                f"Expected workers at the Dask scheduler {address}, but got none within {CONNECT_TIMEOUT_S} s; start "
                f"some with: dask worker {address}"
            ) from error
        futures: set[Any] = set()
        yield Cluster(_doer(client, futures, address), lambda stop: _give_up(client, futures, stop))


def _local(workers: int) -> Any:
    from distributed import LocalCluster

    # No limit of memory, because the engine "local" has none; any free port, because another command may have Dask's.
    return LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address="127.0.0.1:0")


def _doer(client: Any, futures: set[Any], address: str | None) -> Callable[[Callable[[Any], Any], Any], Any]:
    from distributed import KilledWorker

    def do(function: Callable[[Any], Any], job: Any) -> Any:
        future = client.submit(run_errand, pack(function, job), pure=False)
        futures.add(future)
        try:
            return future.result()
        except EngineError:
            raise
        except KilledWorker as error:
            raise WorkersLostError("the workers that took it died one after the other (out of memory?)") from error
        except Exception as error:
            raise EngineError(
                f"Expected work to be done at the Dask scheduler {address or '(local)'}, but got "
                f"{type(error).__name__}: {error}; mien must be installed on all workers, and the scheduler must stay"
            ) from error
        finally:
            futures.discard(future)

    return do


def _give_up(client: Any, futures: set[Any], stop: Callable[[], None]) -> None:
    # in this order, or a worker that has been stopped takes the next job
    client.cancel(list(futures), force=True)
    client.run(stop, on_error="ignore")
