"""The Dataset on disk: a folder with ``utterances.parquet`` and ``dataset.json`` (docs/formats.md).

A Dataset is written video by video, so that the corpus need not fit into memory. One split at a time is read as arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mien.errors import DamagedFileError, DataError
from mien.labels import PAPER_SPACES, LabelKind, LabelSpace, require_distinct, spaces_from_json
from mien.pretrained import require_sha256, sha256_of
from mien.printable import printable
from mien.schema import (
    EXTRA_COLUMNS,
    SPACE_SHAPE,
    SPLITS,
    FeatureSpace,
    Level,
    Modality,
    SentimentValues,
    Video,
)
from mien.storage import columns
from mien.storage.columns import equal_id_ranges
from mien.storage.files import read_card, reporting_damage, require_shape, write_json
from mien.storage.folders import FolderKind, atomic_folder, restore_interrupted_swap
from mien.storage.parquet import check_dataset_table
from mien.storage.split_columns import SplitColumns, join_words

FORMAT = {"format": "mien-dataset", "format_version": 1}
TABLE = "utterances.parquet"
CARD = "dataset.json"
CARD_SHAPE = {
    "name": str,
    "sentiment_values": str,
    "feature_spaces": {str: SPACE_SHAPE},
    "counts": {str: {str: int}},
    "origin": {},
    "licence_note": str,
    "sha256": {TABLE: str},
}
DATASET_FOLDER = FolderKind(CARD, "mien-dataset", (TABLE, CARD))
# a row group is complete when it reaches one of these limits
ROWS_PER_GROUP = 2048
BYTES_PER_GROUP = 16 << 20


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Metadata of a Dataset.

    Attributes:
        name: Name of the Dataset.
        spaces: Feature space of each modality.
        sentiment_values: Kind of the sentiment labels.
        origin: Where the rows come from: source, files with sha256, options, and how often each rule was applied.
        licence_note: Note on the licence of the data.
    """

    name: str
    spaces: Mapping[Modality, FeatureSpace]
    sentiment_values: SentimentValues = SentimentValues.INTENSITY
    origin: Mapping[str, Any] = field(default_factory=dict)
    licence_note: str = ""
    label_spaces: tuple[LabelSpace, ...] = PAPER_SPACES
    # names in `EXTRA_COLUMNS`: the columns that the table has in addition to those of every Dataset
    extra_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_distinct(self.label_spaces)

    @property
    def label_columns(self) -> list[str]:
        """Names of the columns that contain labels."""
        return [name for space in self.label_spaces for name in space.columns]


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened Dataset: the metadata is in memory, and the rows are read on demand.

    Attributes:
        folder: The Dataset folder.
        facts: Metadata.
        counts: Counts by name of the split: "videos", "utterances", and "longest", the largest number of utterances in
            a video. The name "none" stands for the videos without a split.
        fingerprint: sha256 of the table.
    """

    folder: Path
    facts: DatasetFacts
    counts: Mapping[str, Mapping[str, int]]
    fingerprint: str

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have rows, in the order train, valid, test."""
        return [name for name in SPLITS if name in self.counts]

    def table(self, names: list[str] | None = None) -> pa.Table:
        """Return the rows as an Arrow table, with the columns in `names`. If `names` is None, it has all columns."""
        # `pq.read_table` would import pandas, which takes a third of a second
        with columns.open_arrow(self.folder / TABLE) as source, pq.ParquetFile(source) as file:
            return file.read(columns=names)

    def row_groups(self, names: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the row groups of the table, each with all utterances of some videos.

        The groups have the columns in `names`, or all columns if `names` is None.
        """
        with columns.open_arrow(self.folder / TABLE) as source, pq.ParquetFile(source) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=names)

    def videos(self, split: str | None = None) -> Iterator[Video]:
        """Yield the videos of one split, or all videos if `split` is None, with all stored data.

        Raises:
            DataError: There is no such split.
        """
        self._require_split(split)
        for group in self.row_groups():
            for _, start, stop in equal_id_ranges(group["video_id"].to_pylist()):
                video = columns.to_video(group.slice(start, stop - start), self.facts.spaces, self.facts.label_spaces)
                if split is None or video.split == split:
                    yield video

    def columns(self, split: str, *, words: bool = False) -> SplitColumns:
        """Read one split as arrays.

        Args:
            split: Name of the split.
            words: Also read the word vectors of the utterances, for the modalities that have word vectors.

        Returns:
            The split as arrays.

        Raises:
            DataError: The split is unknown or empty. If `words` is True, the error is also raised if no modality has
                word vectors, or if two modalities have different numbers of words in an utterance.
        """
        self._require_split(split)
        names, by_word = self._column_names(words)
        with columns.open_arrow(self.folder / TABLE) as file:
            rows = pq.read_table(file, columns=names, filters=[("split", "=", split)])
        return _split_columns(rows, self.facts, by_word)

    def windows(self, split: str | None = None, *, words: bool = False) -> Iterator[SplitColumns]:
        """Read one split, or all videos, piece by piece, to limit memory use. A piece has a few thousand utterances.

        Args:
            split: Name of the split; None reads all videos.
            words: Also read the word vectors of the utterances, for the modalities that have word vectors.

        Yields:
            Each piece as arrays. A piece has complete videos, in the order of the table.

        Raises:
            DataError: As for `columns`.
        """
        self._require_split(split)
        names, by_word = self._column_names(words)
        for group in self.row_groups([*names, "split"]):
            rows = group
            if split is not None:
                rows = group.filter(pa.array([each == split for each in group["split"].to_pylist()]))
            if len(rows):
                yield _split_columns(rows, self.facts, by_word)

    def to_pandas(self) -> Any:
        """Return the rows as a pandas data frame (pandas must be installed)."""
        return self.table().to_pandas()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{count['videos']}</td><td>{count['utterances']}</td></tr>"
            for name, count in self.counts.items()
        )
        spaces = "".join(f"<li>{space}</li>" for space in self.facts.spaces.values())
        header = "<tr><th>split</th><th>videos</th><th>utterances</th></tr>"
        return f"<b>{self.facts.name}</b><table>{header}{rows}</table><ul>{spaces}</ul>"

    def _column_names(self, words: bool) -> tuple[list[str], list[FeatureSpace]]:
        """Return the names of the columns to read, and the feature spaces of the word vectors in these columns."""
        by_word = [space for space in self.facts.spaces.values() if words and space.level is Level.WORD]
        if words and not by_word:
            raise DataError(
                f"Expected word vectors in {self.folder}, but got one vector per utterance; "
                "import again with words: mien import csd, mult, mmsa, or table --text glove-6b-50d --words"
            )
        names = ["video_id", "index", "start_s", "end_s", "transcript", *self.facts.label_columns, *self.facts.spaces]
        names += ["speaker"] if "speaker" in self.facts.extra_columns else []
        return names + [columns.words_column_name(space.modality) for space in by_word], by_word

    def _require_split(self, split: str | None) -> None:
        if split is not None and split not in self.splits:
            available = ", ".join(self.splits) or "none"
            raise DataError(
                f"Expected a split named {split!r} with utterances in {self.folder}, but got {available}; "
                "name one of these, or import again with --rename-split or --carve"
            )


def write_dataset(folder: Path, videos: Iterable[Video], facts: DatasetFacts) -> Dataset:
    """Write a Dataset. An existing Dataset in the folder is replaced only when the new Dataset is complete.

    Args:
        folder: Dataset folder to write.
        videos: Videos with all labels and features, and the split of each.
        facts: Metadata.

    Returns:
        The opened Dataset.

    Raises:
        DataError: A video is invalid (see `validate_video`), a video id occurs twice, or there is no utterance.
        WriteError: The folder cannot be written or replaced.
    """
    return write_dataset_groups(folder, row_groups(videos), facts)


def write_dataset_groups(folder: Path, groups: Iterable[Sequence[Video]], facts: DatasetFacts) -> Dataset:
    """Write a Dataset from groups of videos (see `row_groups`), each of which becomes a row group of the table.

    Args:
        folder: Dataset folder to write.
        groups: Groups of videos.
        facts: Metadata. Its field `origin` is read after the last group and may change until then.

    Returns:
        The opened Dataset.

    Raises:
        DataError: As for `write_dataset`.
        WriteError: The folder cannot be written or replaced.
    """
    with atomic_folder(folder, DATASET_FOLDER) as aside:
        counts = _write_groups(aside / TABLE, groups, facts)
        if not counts:
            raise DataError("Expected at least one utterance, but got none; check the source files and the mapping")
        card = {
            **FORMAT,
            "name": printable(facts.name),
            "sentiment_values": facts.sentiment_values,
            "feature_spaces": {modality: space.to_json() for modality, space in facts.spaces.items()},
            "label_spaces": [space.to_json() for space in facts.label_spaces],
            "counts": {name: dict(count) for name, count in counts.items()},
            "origin": dict(facts.origin),
            "licence_note": facts.licence_note,
            **({"extra_columns": list(facts.extra_columns)} if facts.extra_columns else {}),
            "sha256": {TABLE: sha256_of(aside / TABLE)},
        }
        write_json(aside / CARD, card)
    return _open_unchecked(folder)


def row_groups(videos: Iterable[Video]) -> Iterator[list[Video]]:
    """Yield consecutive videos in groups of limited size. Videos without utterances are left out.

    The boundaries depend only on the videos, so that equal videos give equal tables.
    """
    group: list[Video] = []
    n_rows = n_bytes = 0
    for video in videos:
        if not video.utterances:
            continue
        group.append(video)
        n_rows += len(video.utterances)
        n_bytes += _n_bytes(video)
        if n_rows >= ROWS_PER_GROUP or n_bytes >= BYTES_PER_GROUP:
            yield group
            group, n_rows, n_bytes = [], 0, 0
    if group:
        yield group


def open_dataset(folder: str | Path) -> Dataset:
    """Open a Dataset, and check the sha256 of its table and all values in it.

    The values are checked because the Dataset may come from an untrusted source.

    Raises:
        DataError: The folder is not a Dataset.
        DamagedFileError: The table or dataset.json was altered.
    """
    dataset = _open_unchecked(Path(folder))
    facts = dataset.facts
    counts = check_dataset_table(dataset.folder / TABLE, facts.spaces, facts.label_spaces, facts.extra_columns)
    if dataset.counts != counts:
        raise DamagedFileError(
            f"Expected {dataset.folder / TABLE} to have the videos that {CARD} counts, but got other ones; the card "
            "was altered: make the Dataset again"
        )
    return dataset


def _open_unchecked(folder: Path) -> Dataset:
    """Open a Dataset without a check of its values."""
    restore_interrupted_swap(folder)
    card = read_card(folder / CARD, "a Dataset", FORMAT, "import it")
    with reporting_damage(folder / CARD, "the Dataset"):
        require_shape(card, CARD_SHAPE, CARD)
        fingerprint = card["sha256"][TABLE]
        spaces = {Modality(name): FeatureSpace.from_json(facts) for name, facts in card["feature_spaces"].items()}
        # a card has this key only if there are such columns
        extra = card.get("extra_columns", [])
        require_shape(extra, [str], "extra_columns")
        if extra != [name for name in EXTRA_COLUMNS if name in extra]:
            raise ValueError(f"the extra columns {', '.join(extra)}")
        facts = DatasetFacts(
            card["name"],
            spaces,
            SentimentValues(card["sentiment_values"]),
            card["origin"],
            card["licence_note"],
            spaces_from_json(card),
            tuple(extra),
        )
        dataset = Dataset(folder, facts, card["counts"], fingerprint)
    require_sha256(folder / TABLE, fingerprint, "the Dataset")
    return dataset


def _write_groups(path: Path, groups: Iterable[Sequence[Video]], facts: DatasetFacts) -> dict[str, Counter[str]]:
    """Write the table of a Dataset, with one row group per group of videos.

    Return the counts of each split: "videos", "utterances", and "longest", the largest number of utterances in a video.
    """
    counts: dict[str, Counter[str]] = {}
    video_ids: set[str] = set()
    # minima and maxima let readers skip rows of other splits; for features they would only cost space
    classes = [space.name for space in facts.label_spaces if space.kind is LabelKind.CLASSES]
    schema = columns.arrow_schema(facts.spaces, facts.label_spaces, facts.extra_columns)
    texts = [name for name in columns.TEXTS if name in schema.names]
    options = {"compression": "zstd", "use_dictionary": texts + classes, "write_statistics": texts}
    with columns.open_arrow(path, "wb") as file, pq.ParquetWriter(file, schema, **options) as writer:
        for group in groups:
            for video in group:
                if video.id in video_ids:
                    raise DataError(
                        f"Expected every video once, but got {video.id!r} twice; merge its rows before importing"
                    )
                video_ids.add(video.id)
                n = len(video.utterances)
                count = counts.setdefault(video.split or "none", Counter())
                count.update(videos=1, utterances=n)
                count["longest"] = max(count["longest"], n)
            writer.write_table(columns.videos_to_table(group, facts.spaces, facts.label_spaces, facts.extra_columns))
    return {name: counts[name] for name in (*SPLITS, "none") if name in counts}


def _n_bytes(video: Video) -> int:
    """Return the size in bytes of the features and word vectors of a video."""
    return sum(
        rows.nbytes
        for utterance in video.utterances
        for vectors in (utterance.features, utterance.words)
        for rows in vectors.values()
    )


def _split_columns(rows: pa.Table, facts: DatasetFacts, by_word: Sequence[FeatureSpace]) -> SplitColumns:
    spaces = facts.spaces
    ranges = equal_id_ranges(rows["video_id"].to_pylist())
    features, present = {}, {}
    for modality, space in spaces.items():
        features[modality], present[modality] = columns.vector_column(rows[modality], space.n_features)
    return SplitColumns(
        video_ids=[video_id for video_id, _, _ in ranges],
        offsets=np.array([0, *(stop for _, _, stop in ranges)], dtype=np.int64),
        index=np.array(rows["index"].to_pylist(), dtype=np.int64),
        features=features,
        present=present,
        labels={space.name: columns.labels_in(rows, space) for space in facts.label_spaces},
        label_spaces=facts.label_spaces,
        spaces=spaces,
        words=join_words(
            {
                space.modality: columns.word_vectors_of(rows[columns.words_column_name(space.modality)], space)
                for space in by_word
            },
            spaces,
        )
        if by_word
        else None,
        transcripts=[text or "" for text in rows["transcript"].to_pylist()],
        speakers=rows["speaker"].to_pylist() if "speaker" in rows.column_names else None,
        start_s=columns.float_column(rows["start_s"]),
        end_s=columns.float_column(rows["end_s"]),
    )
