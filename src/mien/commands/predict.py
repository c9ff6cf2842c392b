"""`mien.load_model`, which loads a finished Run, and `mien predict`, which predicts a Dataset of any size."""

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
from mien.storage.files import require_same_kind
from mien.storage.predictions import PARQUET_HEAD, Predictions, predictions_writer, read_predictions
from mien.storage.runs import require_spaces
from mien.training.predictor import Predictor, load_predictor, with_model_inputs

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Predicted:
    """A table of predictions on disk, with the numbers of predicted videos and utterances.

    It also tells which share of the utterances lacks each modality, and how many of the predicted videos were already
    used to train the run or to choose its epoch and thresholds.
    """

    path: Path
    n_videos: int
    n_utterances: int
    # modality -> share of the utterances that lack it; modalities that every utterance has are left out
    missing: dict[str, float]
    # "train" -> number of these videos that the run was trained on; "valid" -> number that chose epoch and thresholds
    known_videos: dict[str, int]

    def open(self) -> Predictions:
        """Read the whole table into memory."""
        return read_predictions(self.path)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the command line prints."""
        return vars(self) | {"path": str(self.path)}

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per utterance."""
        return self.open().to_pandas()

    def _repr_html_(self) -> str:
        return f"{self.n_utterances:,} utterances of {self.n_videos:,} videos: {self.path}"


def load_model(run: str | Path) -> Predictor:
    """Load a finished run or a shipped checkpoint, with the weights that were chosen on the valid split.

    Raises:
        UnknownNameError: There is no shipped checkpoint of this name.
        DataError: The folder is not a Run.
        DamagedFileError: A file of the run is damaged.
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
    """Predict the labels of all utterances of a Dataset or of one split, and write the predictions to a table.

    The memory use does not grow with the size of the Dataset.

    Args:
        run: Run folder or name of a shipped checkpoint.
        dataset: Dataset folder.
        out: Parquet file to write. An existing file is replaced only when the new one is complete.
        split: Split to predict. If it is None, all videos are predicted.
        advance: Called with the number of finished utterances and the number of all utterances.

    Returns:
        The table of predictions. It also tells which share of the utterances lacks each modality, and how many of the
        predicted videos were already used to train the run.

    Raises:
        UsageError: `out` is a folder or inside the Dataset.
        UnknownNameError: There is no shipped checkpoint of this name.
        DataError: There is no such split, or all utterances lack the inputs of the system.
        DamagedFileError: A file of the run or of the Dataset is damaged.
        FeatureSpaceError: The Dataset has other feature spaces than the run.
        WriteError: The file cannot be written, or it exists and is not a Parquet file.
    """
    opened, data = find_run(str(run)), open_dataset(dataset)
    require_spaces(opened.spaces, available_spaces(data, opened))
    path = Path(out)
    if path.is_dir() or path.resolve().is_relative_to(data.folder.resolve()):
        raise UsageError(f"Expected --out to be a file outside the Dataset, but got {out}; name a file.parquet")
    require_same_kind(path, PARQUET_HEAD)
    predictor = load_predictor(opened)
    total = sum(count["utterances"] for name, count in data.counts.items() if split in (None, name))
    roles = {role: set(ids) for role, ids in opened.outcome.get("videos", {}).items()}
    n_videos = n_utterances = 0
    present: Counter[Modality] = Counter()
    known_videos: Counter[str] = Counter()
    with predictions_writer(path) as write:
        for window in data.windows(split, words=predictor.input_kind is InputKind.WORDS):
            write(predictor.predict(window, data.facts.sentiment_values))
            columns = with_model_inputs(window, opened.spaces)
            n_videos += len(columns.video_ids)
            n_utterances += columns.n_utterances
            present.update({modality: int(columns.present[modality].sum()) for modality in opened.inputs})
            hashes = set(video_id_hashes(columns))
            known_videos.update({role: len(hashes & ids) for role, ids in roles.items()})
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
        {role: count for role, count in known_videos.items() if count},
    )
