from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import mult_data, videos_of, write_pickle

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.label_columns import parse_labels
from mien.schema import Level, Modality


def opened(tmp_path: Path, data: object, words: bool = True) -> SourceDataSet:
    return open_reader("mult", [write_pickle(tmp_path / "x.pkl", data)], ReaderOptions(words=words))


def test_utterances_are_in_start_order_and_padding_is_stripped_jointly(tmp_path: Path) -> None:
    data = mult_data()
    data["train"]["audio"][1, 1] = 0  # a word without a voice is no padding: its text is there
    source = opened(tmp_path, data)
    early, late = videos_of(source)["train_v"].utterances
    assert (early.start_s, early.end_s, early.sentiment, early.index) == (1.5, 4.0, -2.0, 1)
    assert (late.start_s, late.end_s, late.sentiment, late.index) == (7.5, 9.0, 1.0, 0)
    np.testing.assert_array_equal(early.words[Modality.ACOUSTIC], data["train"]["audio"][1, 1:])
    np.testing.assert_array_equal(late.words[Modality.TEXT], data["train"]["text"][0, 2:])
    np.testing.assert_allclose(late.features[Modality.VISUAL], data["train"]["vision"][0, 2:].mean(axis=0), rtol=1e-6)
    assert source.spaces[Modality.VISUAL].name == "mult-visual"
    assert source.notes == {rules.PADDING_GUESSED: 6}


def test_padding_may_be_on_either_side(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        for key in ("text", "audio", "vision"):
            split[key] = split[key][:, ::-1].copy()
    late = videos_of(opened(tmp_path, data))["test_v"].utterances[1]
    np.testing.assert_array_equal(late.words[Modality.TEXT], data["test"]["text"][0, :2])


def test_unaligned_streams_are_stripped_one_by_one_and_have_no_words(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        split["audio"] = np.concatenate([np.zeros_like(split["audio"]), split["audio"]], axis=1)
    source = opened(tmp_path, data)
    late = videos_of(source)["train_v"].utterances[1]
    np.testing.assert_allclose(late.features[Modality.ACOUSTIC], data["train"]["audio"][0, 6:].mean(axis=0), rtol=1e-6)
    assert not late.words
    assert source.spaces[Modality.TEXT].level is Level.UTTERANCE


def test_an_utterance_of_zeros_alone_has_no_modality(tmp_path: Path) -> None:
    data = mult_data()
    for key in ("text", "audio", "vision"):
        data["train"][key][0] = 0
    late = videos_of(opened(tmp_path, data))["train_v"].utterances[1]
    assert (late.features, late.words, late.sentiment) == ({}, {}, 1.0)


def test_ids_may_be_bytes(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        split["id"] = np.array([[part.encode() for part in row] for row in split["id"].tolist()])
    assert list(opened(tmp_path, data).splits) == ["train_v", "valid_v", "test_v"]


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_ids_may_be_names_with_a_segment(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = mult_data()
    for name, split in data.items():
        split["id"] = np.array([f"-{name}[x][10]", f"-{name}[x][2]"]).reshape(shape)
    videos = videos_of(opened(tmp_path, data))
    assert [each.index for each in videos["-train[x]"].utterances] == [2, 10]
    assert videos["-train[x]"].utterances[0].start_s is None


def test_without_ids_every_utterance_stands_alone(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        del split["id"]
    source = opened(tmp_path, data)
    videos = videos_of(source)
    assert list(videos) == [f"{split}-0000{row}" for split in ("train", "valid", "test") for row in (0, 1)]
    assert all(len(video.utterances) == 1 for video in videos.values())
    assert source.notes[rules.UTTERANCE_ALONE] == 6


def test_a_reversed_time_loses_its_end(tmp_path: Path) -> None:
    data = mult_data()
    data["train"]["id"][0, 2] = "7"
    source = opened(tmp_path, data)
    assert videos_of(source)["train_v"].utterances[1].end_s is None
    assert source.notes[rules.END_NOT_AFTER_START] == 1


def test_words_can_be_left_out(tmp_path: Path) -> None:
    source = opened(tmp_path, mult_data(), words=False)
    assert not any(each.words for video in videos_of(source).values() for each in video.utterances)
    assert source.spaces[Modality.TEXT].level is Level.UTTERANCE


def test_splits_under_other_names_and_other_keys_are_told(tmp_path: Path) -> None:
    data = mult_data()
    data["VAL"] = data.pop("valid")
    data["train"]["extra"] = np.ones(9)
    source = opened(tmp_path, data)
    assert source.splits == {"train_v": "train", "valid_v": "VAL", "test_v": "test"}
    videos_of(source)
    assert source.notes["key not read: extra"] == 1


@pytest.mark.parametrize("shape", [(2, 1, 7), (2, 7)])
def test_seven_labels_are_sentiment_and_six_emotions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = mult_data()
    for split in data.values():
        split["labels"] = np.array([[-1, 1, 2, 3, 0, 0.5, 1.5], [4, 0, 0, 0, 0, 0, np.nan]]).reshape(shape)
    source = opened(tmp_path, data)
    early, late = videos_of(source)["train_v"].utterances
    # sentiment, happy, sad, anger, surprise, disgust, fear -> anger, disgust, fear, happy, sad, surprise
    assert (late.sentiment, early.sentiment, early.emotions) == (-1.0, 3.0, None)
    assert late.emotions is not None
    assert late.emotions.tolist() == [3, 0.5, 1.5, 1, 2, 0]
    assert source.notes[rules.LABEL_CLAMPED] == source.notes[rules.EMOTIONS_IN_PART] == 3
    assert source.mapping["sentiment"] == source.mapping["emotions"] == "labels"


def test_six_labels_are_the_emotions_alone(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        split["labels"] = np.array([[1, 2, 3, 0, 0.5, 1.5], [0] * 6])
    source = opened(tmp_path, data)
    early, late = videos_of(source)["train_v"].utterances
    assert (late.sentiment, early.sentiment) == (None, None)
    assert late.emotions is not None
    assert late.emotions.tolist() == [3, 0.5, 1.5, 1, 2, 0]
    assert set(source.notes) == {rules.PADDING_GUESSED}


def test_labels_zero_and_one_can_be_stated_as_classes(tmp_path: Path) -> None:
    data = mult_data()
    for split in data.values():
        for key in ("text", "audio", "vision", "id"):
            split[key] = np.repeat(split[key], 2, axis=0)
        split["id"] = [f"{split['id'][0, 0]}[{number}]" for number in range(4)]
        split["labels"] = np.array([[0], [1], [1], [0]])
    opened(tmp_path, data)
    options = ReaderOptions(labels=parse_labels(["humor=labels:classes:0,1"]))
    source = open_reader("mult", [tmp_path / "x.pkl"], options)
    (space,) = source.label_spaces
    assert space.names == ("0", "1")
    found = [each.labels["humor"].item() for each in videos_of(source)["train_v"].utterances]
    assert found == [0.0, 1.0, 1.0, 0.0]


def altered(**changes: Any) -> dict[str, Any]:
    data = mult_data()
    data["train"] |= changes
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            altered(labels=np.ones((2, 4, 2))),
            r"one sentiment score per utterance in 'labels' .*\(2, 4, 2\); files with other",
        ),
        (altered(labels=np.array([["a"], ["b"]])), r"one sentiment score per utterance in 'labels' "),
        (
            altered(id=np.array([["v", "x", "2"]] * 2)),
            r"video id, start and end .* in row 0 of 'train' .*\['v', 'x', '2'\]",
        ),
        (altered(id=np.array([["v", "nan", "2"]] * 2)), r"video id, start and end .*; remove the key 'id'"),
        (altered(id=np.array(["v", "w"])), r"video id, start and end \(or video\[3\]\) as 'id' in row 0"),
        (altered(id=[["v", "1"], ["v", "2"]]), r"video id, start and end .* in row 0 of 'train' .*\['v', '1'\]"),
        (altered(id=[["v"], ["v", "2"]]), r"texts or numbers below 2 \*\* 64 in 'id' of 'train' in .*, but got list"),
        (altered(id=np.zeros((2, 0))), r"video id, start and end .* in row 0 of 'train' in .*, but got \[\]; remove"),
        (
            altered(id=[f"v[{10**20}]", "v[1]"]),
            r"video id, start and end .* in row 0 .*, but got \['v\[10+\]'\]; remove",
        ),
        (altered(id=[[None, 0, 1]] * 2), r"video id, start and end .* in row 0 .*, but got \['', '0', '1'\]; remove"),
        (altered(id=[["v", "1e999", 1]] * 2), r"video id, start and end .* in row 0 .*, but got \['v', '1e999', '1'\]"),
        (altered(labels=[None, 1.5]), r"one sentiment score per utterance in 'labels' .*, but got object of \(2,\)"),
        (
            altered(id=np.array([["test_v", "0", "1"]] * 2)),
            r"every video in one split, but got video 'test_v' in 'train' and",
        ),
        ({"train": {"labels": np.ones(2)}}, r"'text' or 'audio' or 'vision' in 'train' of .*, but got labels; check"),
    ],
)
def test_what_is_wrong_with_the_pickle_is_said(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, data)


@pytest.mark.data
def test_a_file_in_the_layout_of_mult(data_dir: Path) -> None:
    source = open_reader("mult", [data_dir / "mult_format" / "mosei_senti_data.pkl"])
    videos = videos_of(source)
    counts = dict.fromkeys(("train", "valid", "test"), 0)
    for video in videos.values():
        counts[str(source.splits[video.id])] += len(video.utterances)
        starts = [each.start_s for each in video.utterances]
        assert None not in starts
        assert starts == sorted(starts, key=float)  # type: ignore[arg-type]
        assert all(set(each.features) == set(Modality) for each in video.utterances)
    assert counts == {"train": 10, "valid": 4, "test": 4}
    # audio[0, 49, 3] of train is -inf
    assert source.notes == {rules.PADDING_GUESSED: 18, rules.VALUE_NOT_FINITE: 1, rules.WORD_NOT_FINITE: 1}


def test_a_split_with_an_unknown_name_can_be_renamed_and_is_named_if_there_are_all_three(tmp_path: Path) -> None:
    data = mult_data()
    data["eval"] = data.pop("valid")
    source = open_reader("mult", [write_pickle(tmp_path / "x.pkl", data)])
    assert source.splits == {"train_v": "train", "test_v": "test", "valid_v": "eval"}
    data["valid"] = data["eval"]
    data["config"] = {"text": {"model": "glove"}, "audio": "covarep"}  # of MMSA-FET, no split
    source = open_reader("mult", [write_pickle(tmp_path / "y.pkl", data)])
    assert source.notes[f"{rules.SPLIT_UNREAD}: eval"] == 1
    assert source.notes["key not read: config"] == 1


def test_the_lists_of_conv_emotion_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have the readers iemocap .* and meld-features"):
        open_reader("mult", [write_pickle(tmp_path / "x.pkl", [{"a": [1]}, {"a": [2]}, ["a"]])])
