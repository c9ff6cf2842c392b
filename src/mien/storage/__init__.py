"""Dataset, Predictions and Run folders on disk, and splits as arrays in memory."""
