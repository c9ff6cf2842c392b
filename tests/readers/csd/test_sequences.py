"""Files that are damaged, altered, or lead elsewhere; and the SDK's own files and tensors."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.readers.examples import LONG_ID, SHORT_ID, csd_folder, videos_of, write_csd

from mien.errors import DamagedFileError, DataError
from mien.readers import open_reader, rules
from mien.readers.csd.sequences import LARGEST_ENTRY_BYTES, Sequence, inspect, open_sequence
from mien.schema import Modality, Utterance

TIMES = [[0.0, 1.0], [1.0, 2.0]]


def read_all(folder: Path) -> None:
    videos_of(open_reader("csd", [folder]))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_file_is_a_data_error(tmp_path: Path, share: float) -> None:
    path = csd_folder(tmp_path) / "voice.csd"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        DamagedFileError, match=r"a readable HDF5 file in .*voice\.csd, but got .*truncated.*; it was cut"
    ):
        read_all(tmp_path)


def test_damaged_rows_name_their_video(tmp_path: Path) -> None:
    csd_folder(tmp_path)
    path = tmp_path / "voice.csd"
    noise = np.random.default_rng(1).normal(size=(60, 3))
    with h5py.File(path, "w") as file:
        for video_id in (SHORT_ID, LONG_ID):
            group = file.create_group(f"COVAREP/data/{video_id}")
            group["intervals"] = np.zeros((60, 2))
            group.create_dataset("features", data=noise, compression="gzip")
        chunk = group["features"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match=rf"but got .* at video '{LONG_ID}'; it was cut or altered"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            (TIMES, np.ones((3, 2))),
            r"features \(n, 2\) and intervals \(n, 2\) of video 'v' in .*got \(3, 2\) and \(2, 2\)",
        ),
        ((TIMES, np.ones((2, 3))), r"features \(n, 2\) .* of video 'v' in .*, but got \(2, 3\) and \(2, 2\)"),
        ((TIMES, np.ones(2)), r"features \(n, 2\) .* of video 'v' in .*, but got \(2,\) and \(2, 2\)"),
        ((TIMES, np.array([[b"a", b"b"]] * 2)), r"numbers as features and numbers as intervals of video 'v' .*\|S1"),
    ],
)
def test_rows_that_do_not_fit_name_their_video(tmp_path: Path, rows: Any, message: str) -> None:
    path = write_csd(tmp_path / "x.csd", "COVAREP", {"a": (TIMES, np.ones((2, 2))), "v": rows})
    sequence = inspect(path)
    with open_sequence(sequence) as reader, pytest.raises(DataError, match=rf"^Expected {message}"):
        reader.read("v", "fiu")


def test_a_header_that_claims_too_much_is_refused_before_reading(tmp_path: Path) -> None:
    path = write_csd(tmp_path / "x.csd", "COVAREP", {"v": (TIMES, np.ones((2, 2)))})
    with h5py.File(path, "a") as file:
        del file["COVAREP/data/v/features"]
        file.create_dataset("COVAREP/data/v/features", shape=(LARGEST_ENTRY_BYTES, 2), dtype="f4", chunks=(1024, 2))
    with pytest.raises(DataError, match=r"at most 128 MiB in features of video 'v' in .*; the file is damaged"):
        inspect(path)


@pytest.mark.parametrize("place", ["COVAREP", "COVAREP/data", "COVAREP/data/v", "COVAREP/data/v/features"])
@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links_are_not_followed(tmp_path: Path, place: str, kind: str) -> None:
    path = write_csd(tmp_path / "x.csd", "COVAREP", {"v": (TIMES, np.ones((2, 2)))})
    other = write_csd(tmp_path / "other.csd", "COVAREP", {"v": (TIMES, np.full((2, 2), 7.0))})
    with h5py.File(path, "a") as file:
        file.move(place, "kept")
        file[place] = h5py.ExternalLink(str(other), place) if kind == "external" else h5py.SoftLink("/kept")
    with pytest.raises(DataError, match=r"to lie in .*x\.csd itself, but got a link to another place; .*not followed"):
        inspect(path)


def test_data_kept_in_another_file_is_not_opened(tmp_path: Path) -> None:
    path = write_csd(tmp_path / "x.csd", "COVAREP", {"v": (TIMES, np.ones((2, 2)))})
    (tmp_path / "secret").write_bytes(b"\1" * 16)
    with h5py.File(path, "a") as file:
        del file["COVAREP/data/v/features"]
        outside = [(str(tmp_path / "secret"), 0, 16)]
        file.create_dataset("COVAREP/data/v/features", shape=(2, 2), dtype="f4", external=outside)
    with pytest.raises(
        DataError, match=r"features of video 'v' to lie in .*, but got data kept in another file; .*not opened"
    ):
        inspect(path)


def test_a_virtual_data_set_is_not_opened(tmp_path: Path) -> None:
    path = write_csd(tmp_path / "x.csd", "COVAREP", {"v": (TIMES, np.ones((2, 2)))})
    with h5py.File(path, "a") as file:
        del file["COVAREP/data/v/features"]
        layout = h5py.VirtualLayout(shape=(2, 2), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "x", shape=(2, 2))
        file.create_virtual_dataset("COVAREP/data/v/features", layout)
    with pytest.raises(DataError, match=r"but got data kept in another file"):
        inspect(path)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a/x"], r"one root group with 'data' in .*, but got none; check"),
        (["A/data/v/features", "B/data/v/features"], r"one root group with 'data' in .*, but got A, B; check"),
        (["A/data/v/intervals"], r"features and intervals of video 'v' in .*, but got no features"),
        (["A/data"], r"a group 'data' in .*, but got a dataset"),
    ],
)
def test_hdf5_of_another_layout_is_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    with h5py.File(tmp_path / "x.csd", "w") as file:
        for path in paths:
            file[path] = np.ones((2, 2))
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        inspect(tmp_path / "x.csd")


def test_a_sequence_without_videos_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.csd", "w") as file:
        file.create_group("COVAREP/data")
    with pytest.raises(DataError, match=r"at least one video in .*x\.csd, but got none; check the file"):
        inspect(tmp_path / "x.csd")


def test_entries_are_joined_by_number_where_hdf5_lists_10_before_2(tmp_path: Path) -> None:
    entries = {f"v[{n}]": ([[0, 1]], [[float(n)]]) for n in range(12)}
    # entries of several rows number their rows one after another
    entries |= {f"w[{n}]": ([[0, 1], [0, 1]], [[float(n)], [n + 0.5]]) for n in (10, 2)}
    with open_sequence(inspect(write_csd(tmp_path / "x.csd", "All Labels", entries))) as reader:
        single, several = reader.read("v", "fiu"), reader.read("w", "fiu")
    assert single.numbers.tolist() == single.features[:, 0].tolist() == list(range(12))
    assert several.features[:, 0].tolist() == [2, 2.5, 10, 10.5]
    assert several.numbers.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("empty", [np.zeros((0, 0)), np.zeros((0, 2)), np.zeros(0)])
def test_an_entry_without_rows_lacks_the_video(tmp_path: Path, empty: np.ndarray) -> None:
    rows = {number: ([[0, 1]], [[1.0, float(number)]]) for number in (1, 3)}
    entries = {
        "a": (np.zeros((0, 2)), empty),
        **{f"b[{number}]": rows.get(number, (np.zeros((0, 2)), empty)) for number in range(4)},
    }
    described = inspect(write_csd(tmp_path / "x.csd", "COVAREP", entries))
    assert described.n_features == 2
    with open_sequence(described) as reader:
        assert ("a" in reader, "b" in reader, "c" in reader) == (False, True, False)
        found = reader.read("b", "fiu")
    # the numbers are still those of the entries
    assert (found.features.tolist(), found.numbers.tolist()) == ([[1.0, 1.0], [1.0, 3.0]], [1, 3])


def left_padded(rows: np.ndarray, n_rows: int) -> np.ndarray:
    return np.concatenate([np.zeros((n_rows - len(rows), rows.shape[1])), rows])


def rows_of(utterance: Utterance, modality: Modality) -> tuple[np.ndarray, np.ndarray]:
    return utterance.words[modality], utterance.word_present[modality]


@pytest.mark.data
def test_the_tensors_of_the_sdk_are_reproduced(data_dir: Path) -> None:
    folder = data_dir / "csd_by_sdk"
    source = open_reader("csd", sorted(folder.glob("*.csd")))
    videos = videos_of(source)
    reference = np.load(folder / "sdk_reference_tensors.npz")
    streams = {Modality.TEXT: "glove_vectors", Modality.ACOUSTIC: "COVAREP", Modality.VISUAL: "FACET 4.2"}
    n_rows, n_absent, n_not_finite = 0, 0, 0
    for fold in ("train", "valid", "test"):
        for row, key in enumerate(reference[f"{fold}/keys"].tolist()):
            video_id, number = key[:-1].split("[")
            assert source.splits[video_id] == fold
            utterance = next(each for each in videos[video_id].utterances if each.index == int(number))
            for modality, root in streams.items():
                expected = reference[f"{fold}/{root}"][row]
                words, present = rows_of(utterance, modality)
                ours = left_padded(words, len(expected))
                finite = np.isfinite(expected)
                np.testing.assert_allclose(ours[finite], expected[finite], rtol=0, atol=1e-6)
                imputed = expected[len(expected) - len(words) :]
                # the SDK fills words without frames with zeros; here they are absent
                np.testing.assert_array_equal(present, (imputed != 0).any(axis=1))
                assert not ours[: len(expected) - len(words)].any()
                n_absent += int((~present).sum())
                n_not_finite += int((~finite).any(axis=1).sum())
                n_rows += len(words)
            gold = reference[f"{fold}/All Labels"][row, 0]
            assert utterance.sentiment == pytest.approx(gold[0], abs=1e-6)
            # sentiment, happy, sad, anger, surprise, disgust, fear -> anger, disgust, fear, happy, sad, surprise
            np.testing.assert_allclose(utterance.emotions, gold[[3, 5, 6, 1, 2, 4]], atol=1e-6)  # type: ignore[arg-type]
    # README: words of train, valid, test; two imputed words; a word of -inf and one of NaN per video
    assert (n_rows, n_absent, n_not_finite) == (3 * (43 + 31 + 40), 2, 10)
    # rows 45 and 140 of COVAREP, 74 columns, five videos; one word of no length each
    assert source.notes[rules.VALUE_NOT_FINITE] == 2 * 74 * 5
    assert source.notes[rules.WORD_EMPTY] == 5
    # the face gap of GdFP_p4eQX0, which the SDK fills with zeros
    assert source.notes[rules.WORD_UNTOUCHED] == 2
    assert set(source.notes) == {*(rules.VALUE_NOT_FINITE, rules.WORD_EMPTY, rules.WORD_OUTSIDE, rules.WORD_UNTOUCHED)}


@pytest.mark.data
def test_word_aligned_files_of_the_sdk_are_read_too(data_dir: Path) -> None:
    folder = data_dir / "csd_by_sdk"
    aligned = sorted((folder / "word_aligned").glob("*.csd"))
    unaligned = videos_of(open_reader("csd", sorted(folder.glob("*.csd"))))
    source = open_reader("csd", [*aligned, folder / "All_Labels.csd"])
    n_words = 0
    for video_id, video in videos_of(source).items():
        for ours, theirs in zip(unaligned[video_id].utterances, video.utterances, strict=True):
            np.testing.assert_allclose(theirs.words[Modality.TEXT], ours.words[Modality.TEXT], rtol=0, atol=1e-6)
            n_words += len(theirs.words[Modality.TEXT])
    assert n_words == 43 + 31 + 40


def sequence(path: Path, n_rows: int, **how: Any) -> Sequence:
    edges = np.arange(n_rows + 1.0)
    values = np.random.default_rng(1).normal(size=(n_rows, 4)).astype(np.float32)
    with h5py.File(path, "w") as file:
        group = file.create_group("COVAREP/data/v")
        group["intervals"] = np.stack([edges[:-1], edges[1:]], axis=1)
        group.create_dataset("features", data=values, **how)
    return inspect(path)


@pytest.mark.parametrize("how", [{}, {"compression": "gzip", "chunks": (48, 3)}])
def test_a_long_video_comes_in_blocks_that_make_the_whole(
    tmp_path: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.readers.csd.sequences.BLOCK_BYTES", 100 * 4 * 4)
    with open_sequence(sequence(tmp_path / "x.csd", 1_000, **how)) as reader:
        blocks = list(reader.blocks("v", "fiu"))
        whole = reader.read("v", "fiu")
    assert {len(features) for _, features in blocks[:-1]} == ({96} if how else {100})
    np.testing.assert_array_equal(np.concatenate([features for _, features in blocks]), whole.features)
    np.testing.assert_array_equal(np.concatenate([times for times, _ in blocks]), whole.intervals)


@pytest.mark.parametrize("harm", ["cut", "noise"])
def test_damaged_chunks_are_told(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "x.csd"
    held = sequence(path, 1_000, compression="gzip", chunks=(500, 4))
    content = zlib.compress(np.ones((500, 4), np.float32).tobytes())
    bad = {"cut": content[:-9], "noise": b"\xff" * 90}[harm]
    with h5py.File(path, "a") as file:
        file["COVAREP/data/v/features"].id.write_direct_chunk((500, 0), bad)
    with (
        open_sequence(held) as reader,
        pytest.raises(DamagedFileError, match="at video 'v'; it was cut or altered"),
    ):
        reader.read("v", "fiu")
