"""`mien.load_model`: a finished Run -> a predictor; `mien predict`: a Run and a Dataset of any size -> Predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.commands.reading import available_spaces
from mien.commands.shipped import find_run
from mien.commands.train import video_id_hashes
from mien.errors import DataError, UsageError
from mien.models.batch import InputKind
from mien.schema import Modality
from mien.storage.dataset import open_dataset
from mien.storage.predictions import Predictions, predictions_writer, read_predictions
from mien.storage.runs import require_spaces
from mien.training.predictor import Predictor, load_predictor, with_model_inputs

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Predicted:
    """A table of predictions on disk, and what is worth knowing about the rows it was made of."""

    path: Path
    n_videos: int
    n_utterances: int
    # share of the utterances that lack a modality, for those where some do
    missing: dict[str, float]
    # videos that trained the model ("train") or chose its epoch and thresholds ("valid"): predicting them is no test
    known_videos: dict[str, int]

    def open(self) -> Predictions:
        """The whole table in memory."""
        return read_predictions(self.path)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the command line."""
        return vars(self) | {"path": str(self.path)}

    def to_pandas(self) -> Any:
        """One row per utterance."""
        return self.open().to_pandas()

    def _repr_html_(self) -> str:
        return f"{self.n_utterances:,} utterances of {self.n_videos:,} videos: {self.path}"


def load_model(run: str | Path) -> Predictor:
    """The system that a finished run, or a shipped checkpoint, chose on its validation videos.

    Raises DataError, DamagedFileError, UnknownNameError.
    """
    return load_predictor(find_run(str(run)))


def predict(
    run: str | Path,
    dataset: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    advance: Advance | None = None,
) -> Predicted:
    """Predict every video of a Dataset, or of one of its splits, into one table; memory does not grow with them.

    `run` is a folder or the name of a shipped checkpoint. Raises DataError, DamagedFileError, FeatureSpaceError,
    WriteError; a table that stood at `out` is replaced only when the new one is complete.
    """
    opened, data = find_run(str(run)), open_dataset(dataset)
    require_spaces(opened.spaces, available_spaces(data, opened))
    path = Path(out)
    if path.is_dir() or path.resolve().is_relative_to(data.folder.resolve()):
        raise UsageError(f"Expected --out to be a file outside the Dataset, but got {out}; name a file.parquet")
    predictor = load_predictor(opened)
    total = sum(count["utterances"] for name, count in data.counts.items() if split in (None, name))
    roles = {role: set(ids) for role, ids in opened.outcome.get("videos", {}).items()}
    n_videos = n_utterances = 0
    present: Counter[Modality] = Counter()
    known: Counter[str] = Counter()
    with predictions_writer(path) as write:
        for window in data.windows(split, words=predictor.input_kind is InputKind.WORDS):
            write(predictor.predict(window, data.facts.sentiment_values))
            read = with_model_inputs(window, opened.spaces)
            n_videos += len(read.video_ids)
            n_utterances += read.n_utterances
            present.update({modality: int(read.present[modality].sum()) for modality in opened.inputs})
            hashed = set(video_id_hashes(read))
            known.update({role: len(hashed & ids) for role, ids in roles.items()})
            if advance is not None:
                advance(n_utterances, total)
        if not present.total():
            raise DataError(
                f"Expected some {', '.join(opened.inputs)} features, but got none in {n_utterances} utterances; "
                "import them, or name another split"
            )
    shares = {str(modality): 1 - present[modality] / n_utterances for modality in opened.inputs}
    return Predicted(
        path,
        n_videos,
        n_utterances,
        {name: share for name, share in shares.items() if share > 0},
        {role: count for role, count in known.items() if count},
    )
