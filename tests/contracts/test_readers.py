"""Contract of the readers. A new entry in `READERS` needs only an entry in `WRITERS` to be tested."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.readers import examples as files

from mien.errors import DataError, SettingsError, UnknownNameError, UsageError
from mien.readers import READERS, open_reader
from mien.readers.acted_corpora import CORPORA, Corpus
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.schema import Level, Modality, Video, in_start_order
from mien.storage.columns import validate_video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset


def table(folder: Path) -> Path:
    header = "video_id,segment_id,start,end,text,split,sentiment,anger,disgust,fear,happy,sad,surprise\n"
    rows = "v,7,5,6,b,train,5,0,0,0,0,0,9\nv,9,1,1,a,train,,,,,,,\nw,0,,,B,test,1,,1,,,,\n"
    return files.write_text(folder / "x.csv", header + rows)


def arrays(folder: Path) -> Path:
    data = files.arrays_data()
    data["text"][0] = np.nan
    np.savez(folder / "x.npz", **data)
    return folder / "x.npz"


def csd(folder: Path) -> Path:
    return files.csd_folder(folder / "csd")


def npz(folder: Path) -> Path:
    return files.npz_folder(folder / "npz")


def mmsa(folder: Path) -> Path:
    data = files.mmsa_data()
    data["train"]["audio"][0] = -np.inf
    return files.write_pickle(folder / "x.pkl", data)


def mult(folder: Path) -> Path:
    return files.write_pickle(folder / "x.pkl", files.mult_data())


def meld(folder: Path) -> Path:
    row = files.meld_row(0, 3, "a", "joy", "neutral", ("00:00:01,000", "00:00:02,000"))
    other = files.meld_row(0, 1, "b", "fear", "negative", ("00:00:01,000", "00:00:01,000"))
    return files.write_text(folder / "dev_sent_emo.csv", files.MELD_HEADER + row + other)


def iemocap(folder: Path) -> Path:
    data = files.iemocap_data()
    data[4]["Ses05F_impro02"][1][0] = np.inf
    return files.write_pickle(folder / "x.pkl", data)


def meld_features(folder: Path) -> Path:
    return files.write_pickle(folder / "x.pkl", files.meld_features_data())


def recording(corpus: Corpus) -> Callable[[Path], Path]:
    """Write one file of a corpus whose files are named after their labels."""
    return lambda folder: files.write_wav(folder / corpus.example)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "table": table,
    "arrays": arrays,
    "csd": csd,
    "npz": npz,
    "mmsa": mmsa,
    "mult": mult,
    "meld": meld,
    "meld-features": meld_features,
    "iemocap": iemocap,
    "iemocap4": iemocap,
    **{name: recording(corpus) for name, corpus in CORPORA.items()},
}
# generators read no files
FILELESS = [name for name, entry in READERS.items() if not entry.takes_files]
# the utterances of a MELD dialogue are ordered by their numbers, not by time
KEEPS_NUMBER_ORDER = {"meld"}

every_entry = pytest.mark.parametrize("name", list(READERS))
every_reader = pytest.mark.parametrize("name", list(WRITERS))


def opened(name: str, folder: Path, **options: bool) -> SourceDataSet:
    return open_reader(name, written(name, folder), ReaderOptions(**options))  # type: ignore[arg-type]


def written(name: str, folder: Path) -> list[Path]:
    """Write small files for a reader; none for a generator."""
    return [] if name in FILELESS else [WRITERS[name](folder)]


def test_every_reader_of_files_has_a_writer() -> None:
    assert {*WRITERS, *FILELESS} == set(READERS)
    assert not set(WRITERS) & set(FILELESS)


@every_entry
def test_an_entry_says_what_a_user_must_know(name: str) -> None:
    entry = READERS[name]
    assert entry.description
    assert entry.needs
    assert entry.origin
    assert entry.layout
    assert entry.source
    assert entry.licence
    assert entry.tested_on
    assert all(names and all(names) for names in entry.fields.values())


@every_entry
def test_videos_keep_the_schema(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    videos = list(source.videos)
    ids = [video.id for video in videos]
    assert len(ids) == len(set(ids)) > 0
    assert set(ids) <= set(source.splits)
    for video in videos:
        assert video.split is None
        assert video.utterances
        validate_video(video, source.spaces, source.label_spaces)
        if name not in KEEPS_NUMBER_ORDER:
            assert video.utterances == in_start_order(video.utterances)
    assert list(source.videos) == []


@every_entry
def test_missing_is_absent_and_word_rows_fit_their_mask(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    n_words = 0
    for video in source.videos:
        for utterance in video.utterances:
            assert set(utterance.features) <= set(source.spaces)
            assert set(utterance.words) == set(utterance.word_present) <= set(utterance.features)
            for modality, rows in utterance.words.items():
                present = utterance.word_present[modality]
                assert source.spaces[modality].level is Level.WORD
                assert present.shape == rows.shape[:1]
                assert present.any()
                assert not rows[~present].any()
                n_words += len(rows)
    assert (n_words > 0) == any(space.level is Level.WORD for space in source.spaces.values())


@every_entry
def test_notes_are_documented_rules_that_were_applied(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    list(source.videos)
    assert all(map(files.is_rule, source.notes))
    assert all(times > 0 for times in source.notes.values())


@every_entry
def test_words_are_left_out_on_request(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path, words=False)
    assert all(space.level is Level.UTTERANCE for space in source.spaces.values())
    assert not any(utterance.words for video in source.videos for utterance in video.utterances)


@every_entry
def test_spaces_belong_to_their_modality_and_name_no_file(name: str, tmp_path: Path) -> None:
    for modality, space in opened(name, tmp_path).spaces.items():
        assert space.modality is modality
        # `iemocap4` reads the same features as `iemocap`, so models of one take those of the other
        assert space.recipe["source"] == name.rstrip("4")
        assert str(tmp_path) not in str(space.to_json())


@every_entry
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    first = opened(name, tmp_path)
    second = open_reader(name, [] if name in FILELESS else [path_of(name, tmp_path)])
    assert first.splits == second.splits
    assert first.mapping == second.mapping
    assert {m: s.fingerprint for m, s in first.spaces.items()} == {m: s.fingerprint for m, s in second.spaces.items()}
    for one, other in zip(first.videos, second.videos, strict=True):
        assert repr(one) == repr(other)
    assert first.notes == second.notes


@every_entry
def test_a_dataset_can_be_written_and_read_back(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    kept: list[Video] = []

    def videos() -> object:
        for video in source.videos:
            video.split = source.splits[video.id]
            kept.append(video)
            yield video

    extra = source.extra_columns
    labels = source.label_spaces
    facts = DatasetFacts(name, dict(source.spaces), source.sentiment_values, label_spaces=labels, extra_columns=extra)
    write_dataset(tmp_path / "dataset", videos(), facts)  # type: ignore[arg-type]
    read = list(open_dataset(tmp_path / "dataset").videos())
    assert [video.id for video in read] == [video.id for video in kept]
    for one, other in zip(read, kept, strict=True):
        assert one.fold == other.fold
        for ours, theirs in zip(one.utterances, other.utterances, strict=True):
            assert (ours.index, ours.start_s, ours.end_s) == (theirs.index, theirs.start_s, theirs.end_s)
            assert (ours.transcript, ours.sentiment) == (theirs.transcript, theirs.sentiment)
            assert ours.speaker == theirs.speaker
            assert set(ours.features) == set(theirs.features)
            for modality in Modality:
                if modality in ours.features:
                    np.testing.assert_array_equal(ours.features[modality], theirs.features[modality])


@every_entry
def test_files_are_those_that_were_read(name: str, tmp_path: Path) -> None:
    source = opened(name, tmp_path)
    assert bool(source.files or source.recordings) == READERS[name].takes_files
    assert all(path.is_file() for path in (*source.files, *source.recordings.values()))
    assert set(source.recordings) in (set(), set(source.splits))
    assert set(source.splits) >= {video.id for video in source.videos}


@every_entry
def test_files_are_given_to_those_and_only_those_that_read_some(name: str, tmp_path: Path) -> None:
    given = [tmp_path / "x"] if name in FILELESS else []
    with pytest.raises(UsageError, match=rf"^Expected .* for the reader '{name}' .*, but got .*; see: mien readers"):
        open_reader(name, given)


@every_reader
def test_a_folder_whose_name_is_not_utf8(name: str, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    assert [video.id for video in opened(name, folder).videos]


@every_reader
def test_a_missing_or_empty_file_is_a_data_error(name: str, tmp_path: Path) -> None:
    path = path_of(name, tmp_path)
    WRITERS[name](tmp_path)
    victim = path if path.is_file() else sorted(path.iterdir())[0]
    victim.write_bytes(b"")
    with pytest.raises(DataError, match=r"Expected data in .*, but got an empty file; copy or download it again"):
        open_reader(name, [path])
    with pytest.raises(DataError, match=r"^Expected .*, but got .*; "):
        open_reader(name, [tmp_path / "nothing" / victim.name])


@pytest.mark.parametrize(
    ("name", "other"),
    [(name, other) for name in WRITERS for other in WRITERS if WRITERS[name] is not WRITERS[other]],
)
def test_a_file_of_another_reader_is_a_data_error(name: str, other: str, tmp_path: Path) -> None:
    path = WRITERS[other](tmp_path)
    given = path if path.is_file() else sorted(path.iterdir())[0]
    with pytest.raises(DataError, match=r"^Expected .*, but got .*; "):
        open_reader(name, [given])


@every_reader
def test_noise_is_a_data_error(name: str, tmp_path: Path) -> None:
    path = path_of(name, tmp_path)
    WRITERS[name](tmp_path)
    victim = path if path.is_file() else sorted(path.iterdir())[0]
    victim.write_bytes(np.random.default_rng(4).bytes(5_000))
    with pytest.raises(DataError, match=r"^Expected .*, but got .*; "):
        list(open_reader(name, [path]).videos)


@every_entry
def test_unknown_fields_are_refused(name: str, tmp_path: Path) -> None:
    paths = written(name, tmp_path)
    error = UnknownNameError if READERS[name].fields else SettingsError
    with pytest.raises(error, match=rf"reader '{name}'.*, but got .*mood"):
        open_reader(name, paths, ReaderOptions({"mood": "x"}))
    for field in READERS[name].fields:
        with pytest.raises(SettingsError, match=rf"a name after --map {field}=, but got nothing; name the column"):
            open_reader(name, paths, ReaderOptions({field: ""}))


def test_an_unknown_reader_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"a reader to be one of arrays, .*table, .*but got 'tabel'; did you mean 'table'"
    ):
        open_reader("tabel", [tmp_path])


def path_of(name: str, folder: Path) -> Path:
    """Return the path that the writer of a reader uses."""
    names = {"table": "x.csv", "arrays": "x.npz", "csd": "csd", "npz": "npz", "meld": "dev_sent_emo.csv"}
    names |= {reader: corpus.example for reader, corpus in CORPORA.items()}
    return folder / names.get(name, "x.pkl")
