"""The Ray engine. It uses a cluster to which this machine belongs, or a local cluster that ends with the command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from typing import Any

from mien.engine.cluster import MAX_RETRIES, Cluster, JobSpec, WorkersLostError, run_packed
from mien.engine.processes import safe_children
from mien.errors import EngineError, MissingExtraError

# Memory that Ray reserves for the outcomes of jobs. They are small, but by default Ray reserves a third of all memory.
OBJECT_STORE_BYTES = 256 << 20
QUIET = {
    # send no usage statistics
    "RAY_USAGE_STATS_ENABLED": "0",
    # do not hide the GPUs from workers: a run may need one
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def ray_cluster(work: JobSpec, address: str | None, workers: int) -> Iterator[Cluster]:
    """Connect to a Ray cluster, or start a local cluster.

    On exit, the worker processes of this command and their running jobs are ended.

    Args:
        work: How to run each job.
        address: HOST:PORT of the cluster. This machine must belong to it. If None, a local cluster is started.
        workers: Number of jobs that a local cluster runs at a time; ignored if there is an address.

    Yields:
        Cluster that submits jobs to Ray.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: This process already uses a Ray cluster, no cluster answers at the address, or the cluster has no
            cores.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    if ray.is_initialized():
        raise EngineError(
            "Expected this process to belong to no Ray cluster yet, but got one; call ray.shutdown(), and name the "
            "cluster as the engine's address"
        )
    local_settings = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        with safe_children(), _same_sigterm(), _on_loopback() if address is None else nullcontext():
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                # Other jobs put the current folder first on the module path of the workers.
                job_config=ray.job_config.JobConfig(_client_job=True),
                **({} if address is not None else local_settings),
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(
            f"Expected a Ray cluster at {address}, but got {type(error).__name__}: {error}; start it with: "
            "ray start --head, and let this machine belong to it"
        ) from error
    try:
        if not ray.cluster_resources().get("CPU"):
            raise EngineError(
                f"Expected cores in the Ray cluster {address}, but got none; let machines join with: "
                f"ray start --address {address}"
            )
        jobs = _RayJobs(work, address or "(local)")
        yield Cluster(jobs.run, jobs.close)
    finally:
        ray.shutdown()


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Context manager that restores the SIGTERM handler of this process, which Ray replaces inside the block."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray changes nothing in other threads
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Context manager in which Ray nodes get the address 127.0.0.1, so that only this machine can reach their ports."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


class _RayJobs:
    """Submits jobs to Ray and waits for their outcomes."""

    def __init__(self, work: JobSpec, name: str) -> None:
        import ray

        self._work = work
        self._name = name
        self._remote = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(run_packed)
        self._submitted: set[Future[Any]] = set()

    def run(self, job: Any) -> Any:
        """Run a job on a worker and return the outcome."""
        from ray.exceptions import RayTaskError, WorkerCrashedError

        # Wait for a future, which `close` can cancel. It could not interrupt a thread that waits inside Ray.
        future = self._remote.remote(self._work.pack(job)).future()
        self._submitted.add(future)
        try:
            return future.result()
        except WorkerCrashedError as error:
            raise WorkersLostError("the workers that took it died one after the other (out of memory?)") from error
        except Exception as error:
            cause = error.cause if isinstance(error, RayTaskError) else error
            if isinstance(cause, EngineError):
                raise cause from None
            raise EngineError(
                f"Expected work to be done in the Ray cluster {self._name}, but got {type(cause).__name__}: {cause}; "
                "mien must be installed on all of its machines"
            ) from error
        finally:
            self._submitted.discard(future)

    def close(self) -> None:
        """Stop waiting for submitted jobs. Jobs that are still running are ended when Ray is shut down."""
        for future in list(self._submitted):
            future.cancel()
