"""Utterances in place of videos: a leak between splits is always found, and the user can state what the ids mean."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.readers import examples as files

from mien.commands.import_ import ImportOptions, import_dataset
from mien.errors import DataError, UnknownNameError, UsageError
from mien.readers.rules import ID_NUMBER_READ, ID_NUMBERED, UTTERANCE_ALONE, UTTERANCE_SEPARATE
from mien.storage.describe import describe

UNAMBIGUOUS = ["{}[{}]", "{}$_${}"]
OTHERS = ["{}_{}", "{}-{}", "{}/{}", "{}#{}"]
N_VIDEOS, N_UTTERANCES = 11, 5
CARVE = {"valid": 0.2, "test": 0.2}


def write_ids(folder, notation, splits=None):
    """A table with ids in one notation; `splits` chooses a split at random for each row."""
    rows = []
    for video in range(N_VIDEOS):
        for number in range(N_UTTERANCES):
            split = f",{splits.choice(('train', 'valid', 'test'))}" if splits else ""
            rows.append(f"{notation.format(f'v{video}x', number)},words {video} {number}{split}\n")
    header = "video_id,text,split\n" if splits else "video_id,text\n"
    return files.write_text(folder / "t.csv", header + "".join(rows))


def notes_of(dataset):
    return dataset.facts.origin["notes"]


@pytest.mark.parametrize("notation", UNAMBIGUOUS)
def test_ids_in_an_unambiguous_notation_are_joined_before_videos_are_carved(tmp_path, notation):
    options = ImportOptions(rename_splits={"none": "train"}, carve=CARVE)
    dataset = import_dataset("table", [write_ids(tmp_path, notation)], tmp_path / "d", options)
    assert {name: (count["videos"], count["utterances"]) for name, count in dataset.counts.items()} == {
        "train": (7, 35),
        "valid": (2, 10),
        "test": (2, 10),
    }
    assert notes_of(dataset) == {ID_NUMBER_READ: N_VIDEOS * N_UTTERANCES}
    assert describe(dataset)["leakage"]["numbered_ids_in_several_splits"] is None


@pytest.mark.parametrize("notation", UNAMBIGUOUS)
def test_a_random_split_of_unambiguous_ids_is_refused(tmp_path, notation):
    path = write_ids(tmp_path, notation, random.Random(3))
    with pytest.raises(DataError, match=r"every video in one split, but got video 'v\d+x' in .*--unit utterance"):
        import_dataset("table", [path], tmp_path / "d")


@pytest.mark.parametrize("notation", OTHERS)
@pytest.mark.parametrize("stored", [False, True])
def test_a_random_split_of_other_ids_is_noted_and_described(tmp_path, notation, stored):
    options = ImportOptions() if stored else ImportOptions(rename_splits={"none": "train"}, carve=CARVE)
    path = write_ids(tmp_path, notation, random.Random(3) if stored else None)
    dataset = import_dataset("table", [path], tmp_path / "d", options)
    assert notes_of(dataset) == {ID_NUMBERED: N_VIDEOS * N_UTTERANCES}
    shared = describe(dataset)["leakage"]["numbered_ids_in_several_splits"]
    split_of = {video.id: video.split for video in dataset.videos()}
    expected = [
        f"v{video}x"
        for video in range(N_VIDEOS)
        if len({split_of[notation.format(f"v{video}x", number)] for number in range(N_UTTERANCES)}) > 1
    ]
    assert expected
    assert shared == sorted(expected)


@pytest.mark.parametrize("notation", [*UNAMBIGUOUS, *OTHERS])
def test_the_remedies_of_the_note_work(tmp_path, notation):
    path = write_ids(tmp_path, notation)
    options = ImportOptions(rename_splits={"none": "train"}, carve=CARVE, unit="video")
    joined = import_dataset("table", [path], tmp_path / "video", options)
    assert joined.counts["train"]["longest"] == N_UTTERANCES
    assert notes_of(joined) == {ID_NUMBER_READ: N_VIDEOS * N_UTTERANCES}
    options = ImportOptions(rename_splits={"none": "train"}, carve=CARVE, unit="id")
    separate = import_dataset("table", [path], tmp_path / "id", options)
    assert notes_of(separate) == {}
    assert separate.counts["train"]["longest"] == 1
    assert describe(separate)["leakage"]["numbered_ids_in_several_splits"] is None
    assert separate.facts.origin["unit"] == "id"


def test_a_split_by_utterance_is_imported_without_context(tmp_path):
    splits = ("train", "valid", "test")
    rows = "".join(f"v{row // 3},{row % 3},words {row},{splits[row % 3]}\n" for row in range(15))
    path = files.write_text(tmp_path / "t.csv", "video_id,index,text,split\n" + rows)
    with pytest.raises(DataError, match="--unit utterance"):
        import_dataset("table", [path], tmp_path / "d")
    dataset = import_dataset("table", [path], tmp_path / "d", ImportOptions(unit="utterance"))
    assert {name: count["longest"] for name, count in dataset.counts.items()} == {"train": 1, "valid": 1, "test": 1}
    assert notes_of(dataset) == {UTTERANCE_SEPARATE: 15}
    assert len(describe(dataset)["leakage"]["numbered_ids_in_several_splits"]) == 5


def write_arrays(folder):
    np.savez(folder / "a.npz", **files.arrays_data())
    return folder / "a.npz"


def write_meld(folder):
    times = [("00:00:01,0", "00:00:02,0"), ("00:00:03,0", "00:00:04,0")]
    rows = [files.meld_row(0, number, f"words {number}", "joy", "positive", each) for number, each in enumerate(times)]
    return files.write_text(folder / "dev_sent_emo.csv", files.MELD_HEADER + "".join(rows))


SOURCES = {
    "arrays": write_arrays,
    "npz": lambda folder: files.npz_folder(folder / "npz"),
    "csd": lambda folder: files.csd_folder(folder / "csd"),
    "mmsa": lambda folder: files.write_pickle(folder / "m.pkl", files.mmsa_data()),
    "mult": lambda folder: files.write_pickle(folder / "m.pkl", files.mult_data()),
    "meld": write_meld,
    "iemocap": lambda folder: files.write_pickle(folder / "i.pkl", files.iemocap_data()),
}


@pytest.mark.parametrize("reader", SOURCES)
def test_every_reader_can_separate_the_utterances(tmp_path, reader):
    path = SOURCES[reader](tmp_path)
    whole = import_dataset(reader, [path], tmp_path / "whole")
    apart = import_dataset(reader, [path], tmp_path / "apart", ImportOptions(unit="utterance"))
    before = {
        (f"{video.id}[{utterance.index}]", video.split, utterance.transcript, len(utterance.features), video.fold)
        for video in whole.videos()
        for utterance in video.utterances
    }
    after = {
        (video.id, video.split, utterance.transcript, len(utterance.features), video.fold)
        for video in apart.videos()
        for utterance in video.utterances
    }
    assert max(len(video.utterances) for video in whole.videos()) > 1
    assert all(len(video.utterances) == 1 for video in apart.videos())
    assert after == before
    assert notes_of(apart)[UTTERANCE_SEPARATE] == len(before)
    assert {rule: n for rule, n in notes_of(apart).items() if rule != UTTERANCE_SEPARATE} == notes_of(whole)


def test_ids_that_a_reader_makes_up_are_no_ids_of_utterances(tmp_path):
    data = files.mult_data()
    for split in data.values():
        del split["id"]
    dataset = import_dataset("mult", [files.write_pickle(tmp_path / "m.pkl", data)], tmp_path / "d")
    assert ID_NUMBERED not in notes_of(dataset)
    assert notes_of(dataset)[UTTERANCE_ALONE] == 6
    assert describe(dataset)["leakage"]["numbered_ids_in_several_splits"] is None


def test_a_unit_that_is_unknown_or_does_not_fit_the_reader_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="Expected a unit to be one of id, utterance, video, but got 'vidoe'"):
        ImportOptions(unit="vidoe")
    path = files.write_pickle(tmp_path / "m.pkl", files.mmsa_data())
    with pytest.raises(
        UsageError, match="Expected --unit video with the readers table, arrays, but got it with 'mmsa'"
    ):
        import_dataset("mmsa", [path], tmp_path / "d", ImportOptions(unit="video"))


def test_two_names_of_one_field_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", video_id=np.array(["a", "b"]), one=np.ones((2, 3)), two=np.ones((2, 3)))
    options = ImportOptions(mapping={"voice": "one", "acoustic": "two"})
    with pytest.raises(
        UsageError, match="for the field acoustic, but got voice=one and acoustic=two; leave one of them out"
    ):
        import_dataset("arrays", [tmp_path / "a.npz"], tmp_path / "d", options)
