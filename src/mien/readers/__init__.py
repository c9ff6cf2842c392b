"""Readers of published data sets. Each reader is one module and one entry of `READERS`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.errors import SettingsError, UnknownNameError, UsageError
from mien.limits import reporting_unreadable
from mien.readers import arrays, planted, table_columns
from mien.readers.arrays import open_arrays
from mien.readers.base import ReaderEntry, ReaderOptions, SourceDataSet, Unit
from mien.readers.csd.reader import open_csd
from mien.readers.csd.sequences import KNOWN_ROOTS
from mien.readers.iemocap import open_iemocap, open_iemocap4
from mien.readers.meld import open_meld
from mien.readers.meld_features import open_meld_features
from mien.readers.mmsa import open_mmsa
from mien.readers.mult import open_mult
from mien.readers.npz import open_npz
from mien.readers.planted import open_planted
from mien.readers.table import open_table
from mien.schema import Video

__all__ = ["READERS", "open_reader"]

READERS: dict[str, ReaderEntry] = {
    "table": ReaderEntry(
        open_table,
        "tables with one row per utterance: texts, times, labels",
        "one or more files (.csv, .tsv, .jsonl, .parquet, or gzipped) with the columns video_id and text",
        "any spreadsheet; the column names are those of common CMU-MOSEI tables",
        table_columns.FIELDS,
        takes_labels=True,
        takes_utterance_ids=True,
    ),
    "arrays": ReaderEntry(
        open_arrays,
        "one archive of aligned arrays with one row per utterance",
        "one .npz without Python objects, with an array video_id",
        "numpy; array names as in the bc-LSTM features of CMU-MOSI (Poria et al., ACL 2017) are known",
        arrays.FIELDS,
        takes_labels=True,
        takes_utterance_ids=True,
    ),
    "npz": ReaderEntry(
        open_npz,
        "the three padded archives of the paper's released code",
        "text.npz, audio.npz and video.npz, or their folder",
        "GussailRaat/NAACL-19-CIM (Akhtar et al., NAACL 2019)",
    ),
    "csd": ReaderEntry(
        open_csd,
        "computational sequences: CMU-MOSEI as published, aligned word by word",
        "the .csd files of labels and of text vectors or words; also acoustic and visual ones, and a .csv of folds",
        "A2Zadeh/CMU-MultimodalSDK (Zadeh et al., ACL 2018)",
        KNOWN_ROOTS,
    ),
    "mmsa": ReaderEntry(
        open_mmsa,
        "pickles of MMSA and M-SENA, aligned or not; sentiment only",
        "one .pkl of the kind aligned_50.pkl or unaligned_50.pkl",
        "thuiar/MMSA (Yu et al., ACL 2020; Mao et al., ACL 2022)",
        takes_labels=True,
    ),
    "mult": ReaderEntry(
        open_mult,
        "pickles of the Multimodal Transformer, MultiBench, MAG-BERT and MISA; sentiment, and emotions where stored",
        "one .pkl of the kind mosei_senti_data.pkl or mosei_senti_data_noalign.pkl; or the lists of MAG-BERT or MISA",
        "yaohungt/Multimodal-Transformer (Tsai et al., ACL 2019); MAG-BERT (ACL 2020); MISA (ACM MM 2020)",
        takes_labels=True,
    ),
    "meld": ReaderEntry(
        open_meld,
        "MELD's dialogues: texts, times, speakers, one of seven emotions and of three sentiments each",
        "train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv, some of them or their folder",
        "declare-lab/MELD (Poria et al., ACL 2019)",
    ),
    "meld-features": ReaderEntry(
        open_meld_features,
        "MELD's dialogues with features of text and voice, seven emotions and three sentiments",
        "MELD_features_raw.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Poria et al., ACL 2019",
    ),
    "iemocap": ReaderEntry(
        open_iemocap,
        "IEMOCAP's dialogues of two people: texts, one emotion each, features of three modalities, sessions as folds",
        "IEMOCAP_features.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Busso et al., 2008",
    ),
    "iemocap4": ReaderEntry(
        open_iemocap4,
        "the same with four emotions: excited counts as happy, and frustrated utterances have no label",
        "IEMOCAP_features.pkl of conv-emotion",
        "declare-lab/conv-emotion (Majumder et al., AAAI 2019); data: Busso et al., 2008",
    ),
    "planted": ReaderEntry(
        open_planted,
        "made-up videos, word by word, in three modalities; the labels follow a rule that asks for one ability",
        "no file; --map rule=NAME chooses the rule",
        "mien itself: a test of what a system can learn",
        planted.FIELDS,
        takes_files=False,
    ),
}


def open_reader(name: str, paths: Sequence[str | Path], options: ReaderOptions | None = None) -> SourceDataSet:
    """Open a data set by the name of its reader.

    Args:
        name: A key of `READERS`.
        paths: Files or folders, as described in the reader's `needs`. Empty for a generator, which reads no files.
        options: Renamed columns, and whether to keep word vectors. If it is None, no column is renamed, and word
            vectors are kept.

    Returns:
        The opened data set.

    Raises:
        UnknownNameError: No reader has this name, or `options` renames a field that the reader does not have.
        UsageError: The reader needs files but `paths` is empty, or the reader is a generator but `paths` is not empty.
        SettingsError: The reader cannot rename columns, or `options` renames a field to an empty name.
        DataError: A file is missing or has another format.
    """
    if name not in READERS:
        raise UnknownNameError("a reader", name, READERS)
    options = options or ReaderOptions()
    entry, fields = READERS[name], READERS[name].fields
    if entry.takes_files != bool(paths):
        needed = "files or a folder" if entry.takes_files else "no files"
        raise UsageError(
            f"Expected {needed} for the reader {name!r} ({entry.needs}), but got "
            f"{', '.join(map(str, paths)) or 'none'}; see: mien readers"
        )
    for field, column in options.mapping.items():
        if not fields:
            raise SettingsError(
                f"Expected no --map for the reader {name!r}, but got {field}={column}; leave it out, names are fixed"
            )
        if field not in fields:
            raise UnknownNameError(f"a field of the reader {name!r} in --map", field, fields)
        if not column:
            raise SettingsError(f"Expected a name after --map {field}=, but got nothing; name the column that holds it")
    if options.labels and not entry.takes_labels:
        takers = ", ".join(each for each, row in READERS.items() if row.takes_labels)
        raise UsageError(f"Expected no --label for the reader {name!r}, but got one; leave it out, or use {takers}")
    if options.unit is Unit.VIDEO and not entry.takes_utterance_ids:
        takers = ", ".join(each for each, row in READERS.items() if row.takes_utterance_ids)
        raise UsageError(
            f"Expected --unit video with the readers {takers}, but got it with {name!r}, whose files name videos and "
            "utterances apart; leave it out"
        )
    files = [Path(path) for path in paths]
    what = f"a data set for the reader {name!r}"
    with reporting_unreadable(what, files):
        source = entry.open(files, options)
    source.videos = _reporting_videos(what, files, source.videos)
    return source


def _reporting_videos(what: str, files: Sequence[Path], videos: Iterator[Video]) -> Iterator[Video]:
    with reporting_unreadable(what, files):
        yield from videos
