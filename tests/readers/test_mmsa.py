from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import N_ACOUSTIC, by_index, mmsa_data, sims_data, videos_of, write_pickle

from mien.errors import DataError
from mien.labels import PAPER_SPACES, LabelKind
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.label_columns import parse_labels
from mien.schema import Level, Modality, Video


def opened(tmp_path: Path, data: object, words: bool = True) -> SourceDataSet:
    return open_reader("mmsa", [write_pickle(tmp_path / "x.pkl", data)], ReaderOptions(words=words))


def test_clips_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = opened(tmp_path, mmsa_data())
    assert source.splits == {"-train_v": "train", "-valid_v": "valid", "-test_v": "test"}
    utterances = videos_of(source)["-train_v"].utterances
    assert [(each.index, each.transcript, each.sentiment) for each in utterances] == [
        (9, "train nine", 0.0),
        (10, "train ten", 1.5),
    ]
    assert all(each.emotions is None and each.start_s is None for each in utterances)
    assert source.notes == {}


def test_sims_has_scores_from_minus_one_to_one(tmp_path: Path) -> None:
    """The file is synthetic: made-up values in the structure of CH-SIMS."""
    source = opened(tmp_path, sims_data())
    (space,) = source.label_spaces
    assert (space.name, space.kind, space.bounds, space.neutral) == ("sentiment", LabelKind.SCORE, (-1.0, 1.0), 0.0)
    clips = by_index(videos_of(source)["-train_v"])
    assert [clips[10].sentiment, clips[9].sentiment] == pytest.approx([1.0, -0.8])
    assert source.notes == {}


@pytest.mark.parametrize("change", ["a score outside", "a key less"])
def test_other_files_keep_the_range_of_cmu_mosei(tmp_path: Path, change: str) -> None:
    data = sims_data()
    if change == "a key less":
        del data["test"]["regression_labels_A"]
    else:
        data["test"]["regression_labels"][0] = -1.2
    source = opened(tmp_path, data)
    assert source.label_spaces == PAPER_SPACES
    assert by_index(videos_of(source)["-test_v"])[10].sentiment == pytest.approx(-1.2 if change != "a key less" else -1)


def test_aligned_streams_share_the_mask_of_the_tokens(tmp_path: Path) -> None:
    data = mmsa_data()
    source = opened(tmp_path, data)
    utterance = by_index(videos_of(source)["-train_v"])[10]
    for modality, key in ((Modality.TEXT, "text"), (Modality.ACOUSTIC, "audio"), (Modality.VISUAL, "vision")):
        np.testing.assert_array_equal(utterance.words[modality], data["train"][key][0, :2])
        np.testing.assert_allclose(utterance.features[modality], data["train"][key][0, :2].mean(axis=0), rtol=1e-6)
        assert source.spaces[modality].level is Level.WORD


def test_unaligned_streams_have_their_own_lengths_and_no_words(tmp_path: Path) -> None:
    data = mmsa_data(aligned=False)
    source = opened(tmp_path, data)
    clips = by_index(videos_of(source)["-train_v"])
    audio = data["train"]["audio"]
    np.testing.assert_allclose(clips[10].features[Modality.ACOUSTIC], audio[0, :5].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(clips[9].features[Modality.VISUAL], data["train"]["vision"][1, 0], rtol=1e-6)
    # an audio length of 0 is a missing modality
    assert set(clips[9].features) == {Modality.TEXT, Modality.VISUAL}
    assert not clips[9].words
    assert source.spaces[Modality.ACOUSTIC].level is Level.UTTERANCE


def test_words_can_be_left_out_without_changing_the_space(tmp_path: Path) -> None:
    with_words, without = opened(tmp_path, mmsa_data()), opened(tmp_path, mmsa_data(), words=False)
    utterance = videos_of(without)["-test_v"].utterances[0]
    assert not utterance.words
    assert without.spaces[Modality.TEXT].level is Level.UTTERANCE
    assert without.spaces[Modality.TEXT].fingerprint == with_words.spaces[Modality.TEXT].fingerprint


def test_aligned_and_unaligned_features_are_different_spaces(tmp_path: Path) -> None:
    aligned, unaligned = opened(tmp_path, mmsa_data()), opened(tmp_path, mmsa_data(aligned=False))
    assert aligned.spaces[Modality.ACOUSTIC].name == unaligned.spaces[Modality.ACOUSTIC].name == "mmsa-acoustic"
    assert aligned.spaces[Modality.ACOUSTIC].fingerprint != unaligned.spaces[Modality.ACOUSTIC].fingerprint


def test_values_that_are_not_finite_are_left_out_of_the_mean(tmp_path: Path) -> None:
    data = mmsa_data()
    data["train"]["audio"][0, 1, 2] = -np.inf
    data["train"]["audio"][0, 3, 0] = np.nan  # padding: not looked at
    source = opened(tmp_path, data)
    utterance = by_index(videos_of(source)["-train_v"])[10]
    assert utterance.features[Modality.ACOUSTIC][2] == data["train"]["audio"][0, 0, 2]
    assert utterance.word_present[Modality.ACOUSTIC].tolist() == [True, False]
    assert source.notes == {rules.VALUE_NOT_FINITE: 1, rules.WORD_NOT_FINITE: 1}


def test_without_any_lengths_zero_ends_are_padding_and_counted(tmp_path: Path) -> None:
    data = mmsa_data()
    for split in data.values():
        del split["text_bert"]
        for key in ("text", "audio", "vision"):
            split[key][0, 3:] = 0
    source = opened(tmp_path, data)
    clips = by_index(videos_of(source)["-train_v"])
    assert [len(clips[number].words[Modality.TEXT]) for number in (9, 10)] == [4, 3]
    assert source.notes == {rules.PADDING_GUESSED: 3}


def test_lists_and_missing_texts_are_fine(tmp_path: Path) -> None:
    data = mmsa_data()
    for split in data.values():
        del split["raw_text"]
        split["id"] = split["id"].tolist()
    assert videos_of(opened(tmp_path, data))["-train_v"].utterances[0].transcript == ""


def test_a_missing_text_is_empty(tmp_path: Path) -> None:
    data = mmsa_data()
    data["train"]["raw_text"] = np.array([None, float("nan")], dtype=object)
    data["test"]["raw_text"] = [b"caf\xc3\xa9", 7]
    videos = videos_of(opened(tmp_path, data))
    assert [each.transcript for each in videos["-train_v"].utterances] == ["", ""]
    assert [each.transcript for each in videos["-test_v"].utterances] == ["7", "café"]


def test_the_missing_value_of_pandas_is_an_empty_text(tmp_path: Path) -> None:
    data = mmsa_data()
    data["train"]["raw_text"] = ["PANDAS_NA", "nan"]
    content = pickle.dumps(data, protocol=2)
    text, missing = b"X\x09\x00\x00\x00PANDAS_NA", b"cpandas._libs.missing\nNA\n"
    assert content.count(text) == 1
    (tmp_path / "x.pkl").write_bytes(content.replace(text, missing))
    source = open_reader("mmsa", [tmp_path / "x.pkl"])
    assert [each.transcript for each in videos_of(source)["-train_v"].utterances] == ["nan", ""]
    # somebody may have said "nan"
    assert source.notes == {rules.TEXT_LIKE_MISSING: 1}


def test_infinity_in_half_precision_is_left_out_of_the_mean(tmp_path: Path) -> None:
    data = mmsa_data()
    for split in data.values():
        split["audio"] = split["audio"].astype(np.float16)
    data["train"]["audio"][0, 1, 2] = np.inf
    source = opened(tmp_path, data)
    utterance = by_index(videos_of(source)["-train_v"])[10]
    assert utterance.features[Modality.ACOUSTIC][2] == data["train"]["audio"][0, 0, 2]
    assert source.notes == {rules.VALUE_NOT_FINITE: 1, rules.WORD_NOT_FINITE: 1}


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    data = mmsa_data()
    del data["valid"]
    assert set(opened(tmp_path, data).splits.values()) == {"train", "test"}


def padded(data: dict[str, Any], key: str, lengths: Sequence[int], in_front: bool) -> None:
    """Set the rows of a stream that are padding to zero, in every split."""
    for split in data.values():
        for rows, length in zip(split[key], lengths, strict=True):
            rows[: len(rows) - length if in_front else 0] = 0
            rows[len(rows) if in_front else length :] = 0


@pytest.mark.parametrize("in_front", [True, False])
def test_padding_in_front_is_found_where_lengths_are_stored(tmp_path: Path, in_front: bool) -> None:
    data = mmsa_data(aligned=False)
    for split in data.values():
        split |= {"audio_lengths": [5, 2], "vision_lengths": [6, 1]}
    for key, lengths in (("audio", [5, 2]), ("vision", [6, 1])):
        padded(data, key, lengths, in_front)
    source = opened(tmp_path, data)
    clips = by_index(videos_of(source)["-train_v"])
    for number, row in ((10, 0), (9, 1)):
        for modality, key in ((Modality.ACOUSTIC, "audio"), (Modality.VISUAL, "vision")):
            rows = data["train"][key][row]
            expected = rows[rows.any(axis=1)].mean(axis=0)
            np.testing.assert_allclose(clips[number].features[modality], expected, rtol=1e-5)
    # of the lengths 5, 2 of 6 and 6, 1 of 6, three are padded, in each of three splits
    assert source.notes == ({rules.PADDING_IN_FRONT: 9} if in_front else {})


def test_lengths_that_fit_neither_side_are_refused(tmp_path: Path) -> None:
    data = mmsa_data(aligned=False)
    for split in data.values():
        split["audio_lengths"] = [2, 2]
        split["audio"][:, [0, 1, 4, 5]] = 0
    with pytest.raises(DataError, match=r"^Expected 'audio_lengths' of .* to cover the rows that are not all zero"):
        opened(tmp_path, data)


@pytest.mark.parametrize("n_tokens", [3, 4, 6])
def test_a_mask_of_another_tokeniser_is_not_used(tmp_path: Path, n_tokens: int) -> None:
    data = mmsa_data(aligned=False)
    padded(data, "text", [2, 3], in_front=False)
    for split in data.values():
        mask = np.ones((2, n_tokens), dtype=int)
        split["text_bert"] = np.stack([mask, mask, mask], axis=1)
    source = opened(tmp_path, data)
    clips = by_index(videos_of(source)["-train_v"])
    expected = data["train"]["text"][0, :2].mean(axis=0)
    np.testing.assert_allclose(clips[10].features[Modality.TEXT], expected, rtol=1e-6)
    assert source.notes == {rules.MASK_FOREIGN: 6, rules.PADDING_GUESSED: 6}


def test_splits_under_other_names_are_read_and_other_keys_are_named(tmp_path: Path) -> None:
    data = mmsa_data()
    data["Dev"] = data.pop("valid")
    data["Dev"]["Raw_Text"] = ["a", "b"]
    data["config"] = {"tool": "x"}
    source = opened(tmp_path, data)
    assert set(source.splits.values()) == {"train", "Dev", "test"}
    assert source.notes == {"key not read: config, Raw_Text (perhaps raw_text)": 2}


def test_two_other_names_of_one_split_are_refused(tmp_path: Path) -> None:
    data = mmsa_data()
    data["dev"] = data["val"] = data.pop("valid")
    with pytest.raises(DataError, match=r"^Expected one key for 'valid' in .*, but got dev, val; "):
        opened(tmp_path, data)
    data["valid"] = data["dev"]
    assert opened(tmp_path, data).notes[f"{rules.SPLIT_UNREAD}: dev, val"] == 2


def test_a_scale_can_be_stated(tmp_path: Path) -> None:
    data = mmsa_data()
    for split in data.values():
        split["regression_labels"] = np.array([0.5, -1.0])
    path = write_pickle(tmp_path / "x.pkl", data)
    labels = ["sentiment=regression_labels:score:-1..0..1", "polarity=annotations:classes"]
    source = open_reader("mmsa", [path], ReaderOptions(labels=parse_labels(labels)))
    sentiment, polarity = source.label_spaces
    assert source.mapping["sentiment"] == "regression_labels"
    assert source.mapping["polarity"] == "annotations"
    assert (sentiment.bounds, sentiment.neutral, polarity.names) == ((-1.0, 1.0), 0.0, ("Neutral", "Positive"))
    found = by_index(videos_of(source)["-train_v"])[9].labels
    assert {name: values.tolist() for name, values in found.items()} == {"sentiment": [-1.0], "polarity": [0.0]}


def test_a_placeholder_is_left_out_of_the_mean(tmp_path: Path) -> None:
    data = mmsa_data()
    data["train"]["audio"][0, 1, 2] = -1e38
    source = opened(tmp_path, data)
    utterance = by_index(videos_of(source)["-train_v"])[10]
    assert utterance.features[Modality.ACOUSTIC][2] == data["train"]["audio"][0, 0, 2]
    assert source.notes == {rules.VALUE_ABSURD: 1, rules.VALUE_NOT_FINITE: 1, rules.WORD_NOT_FINITE: 1}


def altered(change: Any, aligned: bool = True) -> dict[str, Any]:
    data = mmsa_data(aligned)
    change(data["train"])
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": 1}, r"a dictionary with train, valid, test in .*, but got the keys a; check"),
        ([1], r"a dictionary with train, valid, test in .*, but got list; check"),
        (
            altered(lambda split: split.pop("regression_labels")),
            r"'regression_labels' in 'train' of .*, but got raw_text, ",
        ),
        (altered(lambda split: split.pop("id")), r"'id' in 'train' of .*, but got raw_text, "),
        (
            altered(lambda split: split.update(id=["a_1", "a_2"])),
            r"an id like video\$_\$3 in row 0 of 'train' .*got 'a_1'",
        ),
        (altered(lambda split: split.update(id=["a$_$x", "b$_$1"])), r"an id like .* but got 'a\$_\$x'; the number"),
        (altered(lambda split: split.update(id=["a$_$1"])), r"2 rows in 'id' of 'train' in .*, but got shape \(1,\)"),
        (altered(lambda split: split.update(id=["a$_$1", "a$_$1"])), r"one utterance 1 in video 'a', but got two"),
        (altered(lambda split: split.update(id=["-test_v$_$1", "b$_$1"])), r"every video in one split, .*'-test_v'"),
        (altered(lambda split: split.update(text=[[1], [1, 2]])), r"one array in 'text' of 'train' .*different shapes"),
        (
            altered(lambda split: split.update(text=np.ones((2, 4)))),
            r"numbers of shape \(2, row, feature\) in 'text' .*\(2, 4\)",
        ),
        (
            altered(lambda split: split.update(audio=np.ones((2, 4, 9)))),
            r"'audio' of 'valid' .* to be as wide as in 'train'",
        ),
        (
            altered(lambda split: split.update(text_bert=np.ones((2, 4)))),
            r"token ids, mask and segments of shape \(2, 3, row\)",
        ),
        (
            altered(lambda split: split.update(regression_labels=["a", "b"])),
            r"one score per utterance in 'regression_labels'",
        ),
        (
            altered(lambda split: split.update(audio_lengths=[7, 0]), aligned=False),
            r"one whole number from 0 to 6 per utterance in 'audio_lengths' of 'train' .*up to 7; download",
        ),
        (
            altered(lambda split: split.update(audio_lengths=[None, 2]), aligned=False),
            r"one whole number from 0 to 6 .* 'audio_lengths' of 'train' in .*, but got object of \(2,\); download",
        ),
        (
            altered(lambda split: split.update(audio_lengths=[True, False]), aligned=False),
            r"one whole number .* got bool of \(2,\); download",
        ),
        (
            altered(lambda split: split.update(vision_lengths=[-1, 2**70]), aligned=False),
            r"one whole number .* got object of \(2,\); download",
        ),
        (
            altered(lambda split: split.update(vision_lengths=[-1, 2]), aligned=False),
            r"one whole number .* got int64 of \(2,\) up to 2; download",
        ),
        (
            altered(lambda split: split.update(id=np.array([["a$_$1", "x"]] * 2))),
            r"one text per utterance in 'id' of 'train' in .*, but got shape \(2, 2\); check",
        ),
        (
            altered(lambda split: split.update(id=["a$_$" + "9" * 5000, "b$_$1"])),
            r"an id like .* but got 'a\$_\$9{76}'; the number",
        ),
        (altered(lambda split: split.update(id=[None, "b$_$1"])), r"an id like .* but got ''; the number"),
        (
            altered(lambda split: split.update(id=[{}, "b$_$1"])),
            r"texts or numbers below 2 \*\* 64 in 'id' of 'train' in .*, but got dict; check",
        ),
        (
            altered(lambda split: split.update(raw_text=[10**30, "a"])),
            r"texts or numbers .* 'raw_text' .* got int; check",
        ),
        (altered(lambda split: split.update(raw_text=[["a"], ["a", "b"]])), r"texts .* 'raw_text' .* got list; check"),
        (altered(lambda split: split.update(raw_text="ab")), r"2 rows in 'raw_text' of 'train' in .*got shape \(\);"),
        (
            altered(lambda split: split.update(regression_labels=[10**400, 1])),
            r"one score per utterance in 'regression_labels' of 'train' in .*, but got object of \(2,\); check",
        ),
        (
            altered(lambda split: [split.pop("id"), split.update({"\x1b[2J" + "x" * 200: 1})]),
            r"'id' in 'train' of .*, but got raw_text, .*, \\x1b\[2Jx{76}; check",
        ),
        (
            altered(lambda split: [split.pop(key) for key in ("text", "audio", "vision")]),
            r"'text' or 'audio' or 'vision' in",
        ),
    ],
)
def test_what_is_wrong_with_the_pickle_is_said(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, data)


def means(videos: dict[str, Video]) -> dict[tuple[str, int], np.ndarray]:
    return {(v.id, each.index): each.features[Modality.ACOUSTIC] for v in videos.values() for each in v.utterances}


@pytest.mark.data
@pytest.mark.parametrize("name", ["aligned_50.pkl", "unaligned_50.pkl"])
def test_files_in_the_layout_of_mmsa(data_dir: Path, name: str) -> None:
    source = open_reader("mmsa", [data_dir / "mmsa_format" / name])
    videos = videos_of(source)
    counts = dict.fromkeys(("train", "valid", "test"), 0)
    for video in videos.values():
        counts[str(source.splits[video.id])] += len(video.utterances)
    assert counts == {"train": 4, "valid": 2, "test": 2}
    assert {modality.value: space.n_features for modality, space in source.spaces.items()} == {
        "text": 768,
        "acoustic": 74,
        "visual": 35,
    }
    every = [each for video in videos.values() for each in video.utterances]
    assert all(set(each.features) == set(Modality) for each in every)
    if name.startswith("aligned"):
        assert all(len({len(rows) for rows in each.words.values()}) == 1 and len(each.words) == 3 for each in every)
        assert source.notes == {}
    else:
        assert not any(each.words for each in every)
        assert source.notes == {rules.VALUE_NOT_FINITE: 1}
    assert all(vector.shape == (74,) and np.isfinite(vector).all() for vector in means(videos).values())
    assert N_ACOUSTIC != 74
