"""Facts about the machine, which are reported with every measurement."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("mien", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "lightning-fabric")
PROCESSORS = Path("/proc/cpuinfo")


def machine_facts() -> dict[str, str | int | float]:
    """Return processor, cores, memory, load and versions."""
    model = re.search(r"model name\s*: (.*)", PROCESSORS.read_text()) if PROCESSORS.exists() else None
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        # runnable processes over the last minute; above the number of cores, other work slowed the measurement
        "load": round(os.getloadavg()[0], 1),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
