"""Reads Parquet files that may come from elsewhere: in a child process with limited memory and time, and with checks.

The library that decodes Parquet trusts the sizes that a file states. `read_parquet` returns the rows of a small table.
`check_dataset_table` reads a Dataset's table once, so that later reads of the same content are safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mien.labels import LabelKind, LabelSpace, class_indices
from mien.limits import current_limits, read_limited
from mien.schema import SPLITS, FeatureSpace, Level, Modality
from mien.storage.columns import arrow_schema, equal_id_ranges, open_arrow, vector_column, words_column_name

NO_SPLIT = "none"


def read_parquet(path: Path, what: str) -> pa.Table:
    """Read all rows of a Parquet file in a child process.

    Args:
        path: File to read.
        what: What the file should hold, for messages ("a predictions table").

    Returns:
        The table; its content is valid Arrow data.

    Raises:
        DamagedFileError: The file is not Parquet, is damaged, or exceeds a limit.
    """
    tables = list(read_limited(what, [path], lambda: _row_groups(path)))
    return pa.concat_tables(tables) if tables else pq.read_table(open_arrow(path))


def check_dataset_table(
    path: Path,
    spaces: Mapping[Modality, FeatureSpace],
    label_spaces: Sequence[LabelSpace],
    extra: Sequence[str] = (),
) -> dict[str, Counter[str]]:
    """Read the table of a Dataset in a child process, and check every value.

    Args:
        path: The table.
        spaces: Feature spaces of the Dataset.
        label_spaces: Label spaces of the Dataset.
        extra: Its extra columns.

    Returns:
        Counts by name of the split: "videos", "utterances", and "longest", the largest number of utterances in a video.
        The name "none" stands for the videos without a split.

    Raises:
        DamagedFileError: The table is damaged, exceeds a limit, has other columns, or has a value that `write_dataset`
            would refuse.
    """

    def read() -> Iterator[dict[str, Counter[str]]]:
        counts: dict[str, Counter[str]] = {}
        video_ids: set[str] = set()
        for rows in _row_groups(path, arrow_schema(spaces, label_spaces, extra)):
            _check_rows(rows, spaces, label_spaces)
            _count_videos(rows, counts, video_ids)
        yield {name: counts[name] for name in (*SPLITS, NO_SPLIT) if name in counts}

    (counts,) = read_limited("the table of a Dataset", [path], read)
    return counts


def _row_groups(path: Path, schema: pa.Schema | None = None) -> Iterator[pa.Table]:
    with open_arrow(path) as source, pq.ParquetFile(source) as file:
        if schema is not None and not file.schema_arrow.equals(schema):
            raise ValueError(f"other columns than its card names ({', '.join(file.schema_arrow.names)})")
        n_bytes = path.stat().st_size
        for number in range(file.num_row_groups):
            stated = file.metadata.row_group(number).total_byte_size
            if not 0 <= stated <= current_limits().largest_unpacked(n_bytes):
                raise ValueError(f"{stated >> 20} MiB of a file of {n_bytes >> 20} MiB (see mien --limit)")
            rows = file.read_row_group(number)
            rows.validate(full=True)
            yield rows


def _check_rows(rows: pa.Table, spaces: Mapping[Modality, FeatureSpace], label_spaces: Sequence[LabelSpace]) -> None:
    """Raise ValueError if a row has a value that is not allowed in a Dataset."""
    for name in ("video_id", "index"):
        if rows[name].null_count:
            raise ValueError(f"a row without {name}")
    for labels in label_spaces:
        low, high = labels.bounds
        for name in labels.columns:
            if labels.kind is LabelKind.CLASSES:
                class_indices(rows[name].unique().to_pylist(), labels.names)
                continue
            values = rows[name].drop_null().to_numpy()
            if not ((values >= low) & (values <= high)).all():
                raise ValueError(f"a value outside of [{low:g}, {high:g}] in the column {name}")
    for name in ("start_s", "end_s"):
        if not np.isfinite(rows[name].drop_null().to_numpy()).all():
            raise ValueError(f"a time in the column {name} that is not finite")
    for modality, space in spaces.items():
        _require_finite_vectors(rows[modality], space, modality)
        if space.level is Level.WORD:
            words = rows[words_column_name(modality)].combine_chunks()
            _require_finite_vectors(words.flatten(), space, words_column_name(modality))


def _require_finite_vectors(column: pa.ChunkedArray | pa.Array, space: FeatureSpace, name: str) -> None:
    present = column.drop_null()
    flat = present.combine_chunks().flatten() if isinstance(present, pa.ChunkedArray) else present.flatten()
    matrix, _ = vector_column(present, space.n_features)
    if flat.null_count or not np.isfinite(matrix).all():
        raise ValueError(f"a vector in the column {name} with a value that is not finite")


def _count_videos(rows: pa.Table, counts: dict[str, Counter[str]], video_ids: set[str]) -> None:
    """Add the videos of the rows to `counts` (by split), and their ids to `video_ids`.

    Raises ValueError if a video occurs twice, has two splits or folds or an unknown split, or if two of its utterances
    have the same index.
    """
    splits, indices = rows["split"].to_pylist(), rows["index"].to_pylist()
    folds = rows["fold"].to_pylist() if "fold" in rows.column_names else splits
    for video_id, start, stop in equal_id_ranges(rows["video_id"].to_pylist()):
        split = splits[start]
        if video_id in video_ids or set(splits[start:stop]) != {split} or split not in (*SPLITS, None):
            raise ValueError(f"the video {video_id!r} twice, in two splits or in the unknown split {split!r}")
        if len(set(folds[start:stop])) > 1:
            raise ValueError(f"the video {video_id!r} in two folds")
        if len(set(indices[start:stop])) < stop - start:
            raise ValueError(f"two utterances with one number in the video {video_id!r}")
        video_ids.add(video_id)
        count = counts.setdefault(split or NO_SPLIT, Counter())
        count.update(videos=1, utterances=stop - start)
        count["longest"] = max(count["longest"], stop - start)
