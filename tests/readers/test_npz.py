from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.readers.examples import N_VISUAL, npz_folder, videos_of

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.schema import Modality


def test_lengths_and_not_values_tell_the_padding(tmp_path: Path) -> None:
    source = open_reader("npz", [npz_folder(tmp_path)])
    videos = videos_of(source)
    assert {video_id: len(video.utterances) for video_id, video in videos.items()} == {
        "train-0000": 3,
        "train-0001": 1,
        "valid-0000": 2,
        "test-0000": 1,
    }
    assert source.splits == {video_id: video_id.split("-")[0] for video_id in videos}
    last = videos["train-0000"].utterances[2]
    assert (last.index, last.sentiment, last.start_s, last.transcript) == (2, 2.0, None, "")
    assert last.emotions is not None
    assert last.emotions.tolist() == [0.0, 0.25, 0.5, 1.0, 2.0, 3.0]
    # the sevens in the padding would have been clamped and counted
    assert source.notes == {rules.VIDEO_ANONYMOUS: 4}


def test_the_three_files_meet_row_by_row(tmp_path: Path) -> None:
    folder = npz_folder(tmp_path)
    paths = [folder / name for name in ("video.npz", "text.npz", "audio.npz")]
    source = open_reader("npz", paths)
    utterance = videos_of(source)["train-0001"].utterances[0]
    for modality, name in (("text", "text"), ("acoustic", "audio"), ("visual", "video")):
        expected = np.load(folder / f"{name}.npz")["train_data"][1, 0]
        np.testing.assert_allclose(utterance.features[Modality(modality)], expected, rtol=1e-6)
    assert source.spaces[Modality.VISUAL].name == "authors-npz-visual"
    assert source.spaces[Modality.VISUAL].n_features == N_VISUAL


def test_arrays_that_are_not_read_are_named_and_placeholders_are_missing(tmp_path: Path) -> None:
    folder = npz_folder(tmp_path)
    with np.load(folder / "text.npz") as archive:
        arrays = dict(archive)
    arrays["train_data"][0, 1, 0] = -1e38
    np.savez(folder / "text.npz", **arrays, extra=np.ones(2))
    source = open_reader("npz", [folder])
    utterances = videos_of(source)["train-0000"].utterances
    assert [Modality.TEXT in each.features for each in utterances] == [True, False, True]
    assert source.notes == {
        rules.VIDEO_ANONYMOUS: 4,
        "array not read: text.npz: extra": 1,
        rules.VALUE_ABSURD: 1,
        rules.VECTOR_NOT_FINITE: 1,
    }


def test_a_video_of_no_length_is_dropped_and_counted(tmp_path: Path) -> None:
    edit(npz_folder(tmp_path), test_length=np.array([0]))
    source = open_reader("npz", [tmp_path])
    assert "test-0000" not in videos_of(source)
    assert source.notes[rules.VIDEO_EMPTY] == 1


def edit(folder: Path, **changes: np.ndarray | None) -> None:
    with np.load(folder / "video.npz") as archive:
        data = dict(archive) | changes
    np.savez(folder / "video.npz", **{name: values for name, values in data.items() if values is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_length": None}, r"an array 'train_length' in .*video\.npz, but got .*testEmoLabel"),
        ({"validSentiLabel": None}, r"an array 'validSentiLabel' in .*video\.npz, but got "),
        ({"valid_data": None}, r"an array 'valid_data' in .*video\.npz, but got "),
        ({"train_length": np.array([4, 1])}, r"lengths from 0 to 3 in 'train_length' of .*but got 4 for video 0;"),
        ({"train_length": np.array([3, -1])}, r"lengths from 0 to 3 in 'train_length' of .*but got -1 for video 1;"),
        ({"train_length": np.array([3.0, 1.0])}, r"one whole number per video in 'train_length' .*float64"),
        ({"train_length": np.array([3])}, r"one whole number per video in 'train_length' .*but got \(1,\)"),
        (
            {"train_data": np.ones((2, 2, 3))},
            r"numbers of shape \(2, 3, 3\) in 'train_data' of .*got float64 of \(2, 2, 3\)",
        ),
        ({"test_data": np.ones((1, 3, 9))}, r"numbers of shape \(1, 3, 2\) in 'test_data' of .*; the three files must"),
        ({"testEmoLabel": np.ones((1, 3, 7))}, r"numbers of shape \(1, 3, 6\) in 'testEmoLabel' of "),
        ({"train_data": np.ones((2, 3))}, r"shape \(video, utterance, feature\) in 'train_data' of .*got \(2, 3\)"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    edit(npz_folder(tmp_path), **changes)
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        videos_of(open_reader("npz", [tmp_path]))


def test_the_names_of_the_files_matter(tmp_path: Path) -> None:
    folder = npz_folder(tmp_path)
    shutil.move(folder / "audio.npz", folder / "sound.npz")
    with pytest.raises(DataError, match=r"Expected a file at .*audio\.npz for the reader 'npz', but got nothing there"):
        open_reader("npz", [folder])
    with pytest.raises(
        DataError, match=r"text\.npz, audio\.npz, video\.npz or the folder .*sound\.npz, .*video\.npz; name the three"
    ):
        open_reader("npz", [folder / "text.npz", folder / "sound.npz", folder / "video.npz"])


@pytest.mark.data
def test_files_in_the_authors_layout(data_dir: Path) -> None:
    folder = data_dir / "npz_authors_format"
    source = open_reader("npz", [folder])
    videos = videos_of(source)
    lengths = [len(video.utterances) for video_id, video in videos.items() if video_id.startswith("train")]
    assert lengths == [1, 9, 6, 2, 9, 1, 3, 6, 1, 5, 2, 9]
    assert [len(videos[f"test-{row:04d}"].utterances) for row in range(5)] == [9, 3, 8, 9, 3]
    real = videos["train-0001"].utterances[0]
    assert real.sentiment == 0
    assert real.emotions is not None
    assert not real.emotions.any()
    np.testing.assert_array_equal(real.features[Modality.TEXT], np.load(folder / "text.npz")["train_data"][1, 0])
