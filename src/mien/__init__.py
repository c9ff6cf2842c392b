"""What a person on video feels, utterance by utterance: sentiment and six emotions from words, voice and face.

>>> import mien
>>> dataset = mien.import_dataset("table", ["talks.csv"], "data/talks")  # doctest: +SKIP
>>> run = mien.train(dataset, "runs/talks-0")  # doctest: +SKIP
>>> mien.evaluate(["runs/talks-0"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mien.version import __version__

if TYPE_CHECKING:
    from mien.tables import open_dataset, open_run
    from mien.workflows.analyze import AnalyzeRequest, analyze
    from mien.workflows.benchmark import BenchmarkRequest, benchmark
    from mien.workflows.demo import demo
    from mien.workflows.diagnose import diagnose
    from mien.workflows.engine import Place
    from mien.workflows.evaluate import compare, evaluate
    from mien.workflows.export import export
    from mien.workflows.extract import ExtractRequest, extract
    from mien.workflows.import_ import ImportOptions, import_dataset
    from mien.workflows.predict import load_model, predict
    from mien.workflows.train import TrainRequest, train

# Public name -> module. Loaded on first use: `import mien` stays instant and needs neither torch nor pyarrow.
_PUBLIC = {
    "AnalyzeRequest": "mien.workflows.analyze",
    "BenchmarkRequest": "mien.workflows.benchmark",
    "ExtractRequest": "mien.workflows.extract",
    "ImportOptions": "mien.workflows.import_",
    "Place": "mien.workflows.engine",
    "TrainRequest": "mien.workflows.train",
    "analyze": "mien.workflows.analyze",
    "benchmark": "mien.workflows.benchmark",
    "compare": "mien.workflows.evaluate",
    "demo": "mien.workflows.demo",
    "diagnose": "mien.workflows.diagnose",
    "evaluate": "mien.workflows.evaluate",
    "export": "mien.workflows.export",
    "extract": "mien.workflows.extract",
    "import_dataset": "mien.workflows.import_",
    "load_model": "mien.workflows.predict",
    "open_dataset": "mien.tables",
    "open_run": "mien.tables",
    "predict": "mien.workflows.predict",
    "train": "mien.workflows.train",
}

__all__ = [
    "AnalyzeRequest",
    "BenchmarkRequest",
    "ExtractRequest",
    "ImportOptions",
    "Place",
    "TrainRequest",
    "__version__",
    "analyze",
    "benchmark",
    "compare",
    "demo",
    "diagnose",
    "evaluate",
    "export",
    "extract",
    "import_dataset",
    "load_model",
    "open_dataset",
    "open_run",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
