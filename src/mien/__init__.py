"""Sentiment and six emotions of every utterance in a video, predicted from words, voice and face.

>>> import mien
>>> dataset = mien.import_dataset("table", ["talks.csv"], "data/talks")  # doctest: +SKIP
>>> run = mien.train(dataset, "runs/talks-0")  # doctest: +SKIP
>>> mien.evaluate(["runs/talks-0"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors, which do not follow `_PUBLIC`
    from mien.benchmark.benchmark import BenchmarkRequest as BenchmarkRequest
    from mien.benchmark.benchmark import benchmark as benchmark
    from mien.benchmark.folds import FoldRequest as FoldRequest
    from mien.commands.doctor import doctor as doctor
    from mien.commands.evaluate import compare as compare
    from mien.commands.evaluate import evaluate as evaluate
    from mien.commands.export import export as export
    from mien.commands.import_ import ImportOptions as ImportOptions
    from mien.commands.import_ import import_dataset as import_dataset
    from mien.commands.predict import load_model as load_model
    from mien.commands.predict import predict as predict
    from mien.commands.train import train as train
    from mien.commands.train_plan import TrainRequest as TrainRequest
    from mien.diagnosis.diagnose import diagnose as diagnose
    from mien.engine.jobs import EngineConfig as EngineConfig
    from mien.storage.dataset import open_dataset as open_dataset
    from mien.storage.runs import open_run as open_run
    from mien.version import __version__ as __version__
    from mien.video.analyze import AnalyzeRequest as AnalyzeRequest
    from mien.video.analyze import analyze as analyze
    from mien.video.demo import demo as demo
    from mien.video.extract import ExtractRequest as ExtractRequest
    from mien.video.extract import extract as extract

# Public name -> module, sorted by name. Modules are imported on first use, so that `import mien` loads neither torch
# nor pyarrow.
_PUBLIC = {
    "AnalyzeRequest": "mien.video.analyze",
    "BenchmarkRequest": "mien.benchmark.benchmark",
    "EngineConfig": "mien.engine.jobs",
    "ExtractRequest": "mien.video.extract",
    "FoldRequest": "mien.benchmark.folds",
    "ImportOptions": "mien.commands.import_",
    "TrainRequest": "mien.commands.train",
    "__version__": "mien.version",
    "analyze": "mien.video.analyze",
    "benchmark": "mien.benchmark.benchmark",
    "compare": "mien.commands.evaluate",
    "demo": "mien.video.demo",
    "diagnose": "mien.diagnosis.diagnose",
    "doctor": "mien.commands.doctor",
    "evaluate": "mien.commands.evaluate",
    "export": "mien.commands.export",
    "extract": "mien.video.extract",
    "import_dataset": "mien.commands.import_",
    "load_model": "mien.commands.predict",
    "open_dataset": "mien.storage.dataset",
    "open_run": "mien.storage.runs",
    "predict": "mien.commands.predict",
    "train": "mien.commands.train",
}

__all__ = list(_PUBLIC)


class _Root(ModuleType):
    """Module class that keeps `mien.benchmark` the function when the subpackage of that name is imported."""

    benchmark = property(lambda _self: __getattr__("benchmark"), lambda _self, _package: None)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__


sys.modules[__name__].__class__ = _Root
