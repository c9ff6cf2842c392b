"""Where jobs run. An engine is one line in `ENGINES`: how its place is started or found."""

from mien.engine.cluster import Engine, this_machine
from mien.engine.dask import dask_cluster
from mien.engine.ray import ray_cluster

__all__ = ["ENGINES"]

ENGINES: dict[str, Engine] = {
    "local": Engine(this_machine, "the cores of this machine"),
    "dask": Engine(dask_cluster, "a Dask cluster, started here or at an address"),
    "ray": Engine(ray_cluster, "a Ray cluster, started here or at an address"),
}
