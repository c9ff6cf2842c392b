"""What lives on disk between the stages: Dataset, Predictions, Run folders. Parquet and JSON only."""

from mien.tables.dataset import Dataset, DatasetFacts, open_dataset, write_dataset, write_dataset_tables
from mien.tables.groups import row_groups, to_table, validate_video
from mien.tables.predictions import Predictions, read_predictions, write_predictions, written_in_parts
from mien.tables.runs import Run, epoch_file, kept_epochs, open_run, require_epoch, require_spaces, write_run
from mien.tables.split_columns import SplitColumns, WordColumns
from mien.tables.stacked import stack_features, stack_videos

__all__ = [
    "Dataset",
    "DatasetFacts",
    "Predictions",
    "Run",
    "SplitColumns",
    "WordColumns",
    "epoch_file",
    "kept_epochs",
    "open_dataset",
    "open_run",
    "read_predictions",
    "require_epoch",
    "require_spaces",
    "row_groups",
    "stack_features",
    "stack_videos",
    "to_table",
    "validate_video",
    "write_dataset",
    "write_dataset_tables",
    "write_predictions",
    "write_run",
    "written_in_parts",
]
