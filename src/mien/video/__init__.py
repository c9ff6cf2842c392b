"""Recordings: `mien analyze`, `mien extract`, the report page and the other outputs."""
