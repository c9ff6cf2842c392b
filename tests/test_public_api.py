"""Names that `import mien` offers, and libraries that it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mien

HEAVY = ("torch", "pyarrow", "numpy", "scipy", "sklearn", "rich")


def test_the_public_names_are_sorted_and_every_one_resolves():
    assert mien.__all__ == sorted(mien.__all__)
    assert dir(mien) == mien.__all__
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    assert set(mien.__all__) == {*mien._PUBLIC, "__version__"}


def test_the_functions_of_the_commands_are_there():
    commands = (
        "import_dataset",
        "extract",
        "train",
        "evaluate",
        "compare",
        "diagnose",
        "doctor",
        "benchmark",
        "analyze",
        "demo",
        "predict",
        "export",
    )
    for name in (*commands, "load_model", "open_dataset"):
        assert callable(getattr(mien, name))
        assert getattr(mien, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'trian'"):
        _ = mien.trian


def test_importing_mien_loads_nothing_heavy():
    code = f"import sys, mien; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_benchmark_stays_the_function_whoever_imports_the_package_of_that_name():
    code = "import mien, mien.benchmark.suites; from mien.benchmark import tables; assert callable(mien.benchmark)"
    subprocess.run([sys.executable, "-c", code], check=True)
