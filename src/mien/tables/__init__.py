"""What lives on disk between the stages: Dataset, Predictions, Run folders. Parquet and JSON only."""

from mien.tables.dataset import Dataset, DatasetFacts, SplitColumns, open_dataset, validate_video, write_dataset

__all__ = ["Dataset", "DatasetFacts", "SplitColumns", "open_dataset", "validate_video", "write_dataset"]
