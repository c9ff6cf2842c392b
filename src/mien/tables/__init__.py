"""What lives on disk between the stages: Dataset, Predictions, Run folders. Parquet and JSON only."""

from mien.tables.dataset import Dataset, DatasetFacts, SplitColumns, open_dataset, validate_video, write_dataset
from mien.tables.predictions import Predictions, read_predictions, write_predictions

__all__ = [
    "Dataset",
    "DatasetFacts",
    "Predictions",
    "SplitColumns",
    "open_dataset",
    "read_predictions",
    "validate_video",
    "write_dataset",
    "write_predictions",
]
