from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import N_TEXT, arrays_data, by_index, videos_of

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.label_columns import parse_labels
from mien.schema import Modality, SentimentValues


def opened(tmp_path: Path, data: dict[str, Any], **mapping: str) -> SourceDataSet:
    np.savez_compressed(tmp_path / "a.npz", **data)
    return open_reader("arrays", [tmp_path / "a.npz"], ReaderOptions(mapping))


def test_published_names_need_no_mapping(tmp_path: Path) -> None:
    data = arrays_data()
    source = opened(tmp_path, data)
    videos = videos_of(source)
    assert source.splits == {"b_1": "test", "a": "train"}
    assert [each.index for each in videos["b_1"].utterances] == [2, 10]
    first = by_index(videos["a"])[1]
    assert (first.transcript, first.sentiment, first.emotions) == ("ONE", -1.0, None)
    np.testing.assert_array_equal(first.features[Modality.ACOUSTIC], data["audio"][1])
    assert source.sentiment_values is SentimentValues.HAS0_CLASS
    assert source.mapping == {
        "video_id": "video_id",
        "index": "segment",
        "split": "split_bclstm",
        "transcript": "transcript",
        "text": "text",
        "acoustic": "audio",
        "visual": "video",
        "sentiment_class": "label",
    }


def test_a_space_tells_the_kind_of_file_and_not_the_file(tmp_path: Path) -> None:
    first = opened(tmp_path, arrays_data()).spaces[Modality.TEXT]
    other = arrays_data()
    other["text"] = other["text"] + 1
    assert (first.name, first.n_features) == ("arrays-text", N_TEXT)
    assert opened(tmp_path, other).spaces[Modality.TEXT].fingerprint == first.fingerprint
    other["text"] = other["text"][:, 1:]
    assert opened(tmp_path, other).spaces[Modality.TEXT].fingerprint != first.fingerprint


@pytest.mark.parametrize("single", [False, True])
def test_scores_times_and_emotions(tmp_path: Path, single: bool) -> None:
    emotions = np.array([[0, 1, 2, 3, 0.5, 4], [np.nan] * 6, [0, 0, 0, 0, 0, np.nan]])
    data: dict[str, Any] = {
        "video_id": np.array([7, 7, 7]),
        "start": np.array([4.0, 0.0, np.nan]),
        "end": np.array([3.0, 1.0, 2.0]),
        "sentiment": np.array([-3.33, np.nan, 0.0], dtype=np.float32),
        "label": np.array([5, 6, 7]),
    }
    names = ("anger", "disgust", "fear", "happy", "sad", "surprise")
    data |= dict(zip(names, emotions.T, strict=True)) if single else {"emotions": emotions}
    source = opened(tmp_path, data)
    utterances = by_index(videos_of(source)["7"])
    assert [utterances[row].sentiment for row in range(3)] == [-3.0, None, 0.0]
    assert [(utterances[row].start_s, utterances[row].end_s) for row in range(3)] == [(4, None), (0, 1), (None, 2)]
    assert utterances[0].emotions is not None
    assert utterances[0].emotions.tolist() == [0, 1, 2, 3, 0.5, 3]
    assert utterances[1].emotions is None
    assert utterances[2].emotions is None
    assert source.sentiment_values is SentimentValues.INTENSITY
    assert source.notes == {
        rules.with_names(rules.ARRAY_UNREAD, ["label"]): 1,
        rules.LABEL_CLAMPED: 2,
        rules.LABEL_NOT_FINITE: 2,
        rules.EMOTIONS_IN_PART: 1,
        rules.END_NOT_AFTER_START: 1,
    }


def test_a_vector_that_is_not_finite_is_missing_and_zeros_are_data(tmp_path: Path) -> None:
    data = arrays_data()
    data["text"][1, 2] = np.nan
    data["audio"][1] = 0
    source = opened(tmp_path, data)
    utterance = by_index(videos_of(source)["a"])[1]
    assert set(utterance.features) == {Modality.ACOUSTIC, Modality.VISUAL}
    assert not utterance.features[Modality.ACOUSTIC].any()
    # the transcript "None" of the example is a word that somebody says, or a missing value
    assert source.notes == {rules.VECTOR_NOT_FINITE: 1, rules.TEXT_LIKE_MISSING: 1}


def test_rules_are_counted_only_for_rows_that_are_kept(tmp_path: Path) -> None:
    names = np.array(["v", "v", "v"])
    data = {"video_id": names, "index": np.array([0, 0, 1]), "sentiment": np.array([5.0, 5.0, 1.0])}
    assert opened(tmp_path, data).notes == {rules.LABEL_CLAMPED: 1, rules.ROW_REPEATED: 1}


def test_a_mapped_array_is_not_taken_for_another_field(tmp_path: Path) -> None:
    data = {"video_id": np.array(["v"]), "text": np.array(["hello"]), "vec": np.ones((1, 2))}
    source = opened(tmp_path, data, transcript="text", acoustic="vec")
    assert videos_of(source)["v"].utterances[0].transcript == "hello"
    assert list(source.spaces) == [Modality.ACOUSTIC]


def test_a_placeholder_is_missing_and_counted(tmp_path: Path) -> None:
    data = {"video_id": np.array(["v"] * 40), "text": np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)}
    data["text"][7, 0] = -1e38
    source = opened(tmp_path, data)
    utterances = by_index(videos_of(source)["v"])
    assert [row for row in range(40) if not utterances[row].features] == [7]
    assert source.notes == {rules.VALUE_ABSURD: 1, rules.VECTOR_NOT_FINITE: 1}


def test_arrays_that_are_not_read_are_named(tmp_path: Path) -> None:
    data = {"video_id": np.array(["v"]), "text": np.ones((1, 2)), "Visual": np.ones((1, 2)), "extra": np.ones(3)}
    assert opened(tmp_path, data).notes == {"array not read: Visual (perhaps visual), extra": 2}


def test_an_index_beyond_64_bits_names_its_array(tmp_path: Path) -> None:
    data = {"video_id": np.array(["v"]), "index": np.array([2**63], dtype=np.uint64)}
    with pytest.raises(DataError, match=r"^Expected whole numbers up to 9223372036854775807 in array 'index' of .*;"):
        opened(tmp_path, data)


def test_labels_of_the_users_own_replace_the_array_that_they_read(tmp_path: Path) -> None:
    data = {"video_id": np.arange(3), "sentiment": np.array([0, 1, np.nan]), "emotions": np.zeros((3, 6))}
    np.savez(tmp_path / "a.npz", **data)
    options = ReaderOptions(labels=parse_labels(["humor=sentiment:classes:0,1"]))
    source = open_reader("arrays", [tmp_path / "a.npz"], options)
    assert [space.name for space in source.label_spaces] == ["emotion", "humor"]
    found = [video.utterances[0].labels.get("humor") for video in source.videos]
    assert [None if each is None else each.tolist() for each in found] == [[0.0], [1.0], None]
    assert source.notes == {}


def test_bytes_are_read_as_utf8(tmp_path: Path) -> None:
    data = {"video_id": np.array(["é".encode()]), "transcript": np.array([b"a\xffb"])}
    videos = videos_of(opened(tmp_path, data))
    assert videos["é"].utterances[0].transcript == "a\ufffdb"


def changed(**changes: Any) -> dict[str, Any]:
    data = arrays_data() | changes
    return {name: values for name, values in data.items() if values is not None}


@pytest.mark.parametrize(
    ("data", "mapping", "message"),
    [
        (changed(video_id=None), {}, r"an array 'video_id' in .*but got segment, .*--map video_id=ARRAY"),
        (changed(), {"visual": "faces"}, r"an array 'faces' in .*--map visual=ARRAY"),
        (
            changed(text=np.ones((4, 2))),
            {},
            r"shape \(5, feature\) in array 'text' of .*, but got \(4, 2\); every array",
        ),
        (changed(text=np.ones(5)), {}, r"shape \(5, feature\) in array 'text' of .*, but got \(5,\)"),
        (changed(text=np.ones((5, 0))), {}, r"shape \(5, feature\) in array 'text' of .*, but got \(5, 0\)"),
        (changed(emotions=np.ones((5, 7))), {}, r"shape \(5, 6\) in array 'emotions' of .*, but got \(5, 7\)"),
        (changed(video_id=np.array([], dtype=str)), {}, r"at least one row in 'video_id' of .*, but got none"),
        (
            changed(text=np.array([["a"]] * 5)),
            {},
            r"numbers or whole numbers in array 'text' .*text; .*--map transcript=text",
        ),
        (
            changed(segment=np.ones(5) / 2),
            {},
            r"whole numbers in array 'segment' of .*\(field 'index'\), but got numbers",
        ),
        (
            changed(label=np.array([0, 1, 2, 0, 0])),
            {},
            r"only 0 and 1 in array 'label' .*got 2; .*--map sentiment=label",
        ),
        (changed(happy=np.ones(5)), {}, r"an array 'anger' in .*--map anger=ARRAY"),
        (
            changed(happy=np.ones(5), emotions=np.ones((5, 6))),
            {},
            r"one array of six emotions or six arrays .*remove one",
        ),
        (
            changed(),
            {"sentiment": "label", "sentiment_class": "label"},
            r"--map for sentiment or for sentiment_class, but got both; keep the scores",
        ),
    ],
)
def test_what_is_wrong_with_the_arrays_is_said(
    tmp_path: Path, data: dict[str, Any], mapping: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, data, **mapping)


def test_labels_of_another_kind_can_be_mapped_as_scores(tmp_path: Path) -> None:
    source = opened(tmp_path, changed(label=np.array([0, 1, 2, -3, 0])), sentiment="label")
    assert source.sentiment_values is SentimentValues.INTENSITY
    assert by_index(videos_of(source)["a"])[3].sentiment == -3


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched-by-a-pickle"),))


def test_objects_are_refused_and_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bomb = np.array([Bomb()], dtype=object)
    assert pickle.dumps(bomb)
    with pytest.raises(DataError, match=r"but got Python objects in 'transcript', .*nothing of it was executed"):
        opened(tmp_path, changed(transcript=bomb))
    assert not (tmp_path / "touched-by-a-pickle").exists()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_cut_archive_is_a_data_error(tmp_path: Path, share: float) -> None:
    np.savez(tmp_path / "a.npz", **arrays_data())
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"an \.npz archive of arrays in .*; the file was cut or altered"):
        open_reader("arrays", [tmp_path / "a.npz"])


def test_an_altered_array_is_a_data_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays_data())
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    place = whole.index(b"NUMPY", whole.index(b"audio.npy")) + 140
    whole[place] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(DataError, match=r"an \.npz archive of arrays in .*CRC.*; the file was cut or altered"):
        open_reader("arrays", [tmp_path / "a.npz"])


def test_only_one_archive_at_a_time(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, **arrays_data())
    with pytest.raises(
        DataError, match=r"one file for the reader 'arrays', but got 2 \(a\.npz, b\.npz\); import them one"
    ):
        open_reader("arrays", [tmp_path])


@pytest.mark.data
def test_mosi_needs_no_options(data_dir: Path) -> None:
    source = open_reader("arrays", [data_dir / "mosi" / "mosi_2199.npz"])
    videos = videos_of(source)
    counts = {
        split: sum(len(video.utterances) for video in videos.values() if source.splits[video.id] == split)
        for split in ("train", "test")
    }
    assert (len(videos), counts) == (93, {"train": 1_447, "test": 752})
    for video in videos.values():
        indices = [each.index for each in video.utterances]
        assert indices == sorted(indices)
        assert all(set(each.features) == set(Modality) for each in video.utterances)
    test = [each for video in videos.values() if source.splits[video.id] == "test" for each in video.utterances]
    assert sum(each.sentiment == 1.0 for each in test) == 467
    assert {space.n_features for space in source.spaces.values()} == {100, 73}
    assert source.notes == {}


def test_remedies_for_arrays_of_another_kind_work(tmp_path: Path) -> None:
    def refused(**changed: Any) -> str:
        with pytest.raises(DataError) as told:
            opened(tmp_path, arrays_data() | changed)
        return str(told.value)

    remedy = "read names of classes with --label sentiment=sentiment:classes"
    assert refused(sentiment=np.array(["-1"] * 5)).endswith(remedy)
    assert refused(segment=np.arange(5.0)).endswith("store whole numbers")
    assert refused(label=np.array([0, 1, 2, 0, 1])).endswith("if classes, with --label sentiment=label:classes")
    assert refused(text=np.array(["a"] * 5).reshape(5, 1)).endswith("--map transcript=text")
