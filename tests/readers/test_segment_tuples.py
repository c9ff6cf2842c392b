"""Lists of tuples as in MAG-BERT and MISA. The files are made up in the structure that their public loaders read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.readers.examples import N_ACOUSTIC, N_VISUAL, by_index, videos_of, write_pickle

from mien.errors import DataError
from mien.readers import open_reader, rules
from mien.readers.base import ReaderOptions, SourceDataSet
from mien.readers.label_columns import parse_labels
from mien.schema import Level, Modality

WORDS = ["good", "day", "sp", "all"]


def segments(name: str, misa: bool = False, form: str = "{name}[{number}]") -> list[Any]:
    """Two segments of one video, stored in reverse, of three and four words."""
    rng = np.random.default_rng(len(name))
    items = []
    for number, score in ((4, -1.5), (3, 2.0)):
        words = WORDS[: 7 - number]
        streams = (rng.normal(size=(len(words), N_VISUAL)), rng.normal(size=(len(words), N_ACOUSTIC)))
        parts = (np.arange(len(words)), *streams, words) if misa else (words, *streams)
        items.append((parts, np.array([[score]]), form.format(name=name, number=number)))
    return items


def mag_data(**changes: Any) -> dict[str, list[Any]]:
    return {name: segments(name) for name in ("train", "dev", "test")} | changes


def opened(tmp_path: Path, data: object, **options: Any) -> SourceDataSet:
    return open_reader("mult", [write_pickle(tmp_path / "x.pkl", data)], ReaderOptions(**options))


def test_a_dictionary_of_lists_is_read_as_in_mag_bert(tmp_path: Path) -> None:
    data = mag_data(word2id={"good": 1})
    source = opened(tmp_path, data)
    videos = videos_of(source)
    assert source.splits == {"train": "train", "dev": "dev", "test": "test"}
    first = by_index(videos["dev"])[3]
    assert (first.transcript, first.sentiment, first.emotions) == ("good day all", 2.0, None)
    assert set(source.spaces) == {Modality.ACOUSTIC, Modality.VISUAL}
    for modality, position in ((Modality.VISUAL, 1), (Modality.ACOUSTIC, 2)):
        expected = data["dev"][1][0][position]
        np.testing.assert_allclose(first.words[modality], expected, rtol=1e-6)
        np.testing.assert_allclose(first.features[modality], expected.mean(axis=0), rtol=1e-5)
        assert source.spaces[modality].level is Level.WORD
    assert source.notes == {
        "key not read: word2id": 1,
        rules.TRANSCRIPT_SHARED: 2,
    }


def test_a_list_per_file_is_read_as_in_misa(tmp_path: Path) -> None:
    paths = [write_pickle(tmp_path / f"misa_{name}.pkl", segments(name, misa=True)) for name in ("train", "dev")]
    source = open_reader("mult", paths)
    videos = videos_of(source)
    assert source.splits == {"train": "train", "dev": "dev"}
    assert [each.transcript for each in videos["train"].utterances] == ["good day all", "good day"]
    assert source.files == tuple(paths)


@pytest.mark.parametrize(
    ("form", "rule"),
    [("{name}_{number}", None), ("{name}$_${number}", None), ("{name}x{number}", rules.SEGMENT_UNREAD)],
)
def test_segments_of_other_forms(tmp_path: Path, form: str, rule: str | None) -> None:
    source = opened(tmp_path, {"train": segments("a_1", form=form)})
    videos = videos_of(source)
    assert list(videos) == (["a_1x4", "a_1x3"] if rule else ["a_1"])
    assert source.notes == ({rule: 2} if rule else {})


def test_without_segments_and_words_each_utterance_is_a_video_without_a_text(tmp_path: Path) -> None:
    items = [((item[0][:3]), item[1]) for item in segments("a", misa=True)]
    source = opened(tmp_path, {"train": items})
    assert [video.utterances[0].transcript for video in source.videos] == ["", ""]
    assert source.notes == {rules.UTTERANCE_ALONE: 2, rules.WORDS_AS_NUMBERS: 2}


def test_seven_labels_and_labels_of_the_users_own(tmp_path: Path) -> None:
    seven = [(parts, np.array([[1.0, 2, 0, 0, 0, 0, 3]]), segment) for parts, _, segment in segments("a")]
    utterance = videos_of(opened(tmp_path, {"train": seven}))["a"].utterances[0]
    assert utterance.sentiment == 1.0
    # anger, disgust, fear, happy, sad, surprise
    assert utterance.emotions is not None
    assert utterance.emotions.tolist() == [0, 0, 3, 2, 0, 0]
    binary = [(parts, np.array([[number]]), segment) for number, (parts, _, segment) in enumerate(segments("a"))]
    source = opened(tmp_path, {"train": binary}, labels=parse_labels(["humor=labels:classes:0,1"]))
    assert [space.name for space in source.label_spaces] == ["humor"]
    assert [each.labels["humor"].tolist() for each in videos_of(source)["a"].utterances] == [[1.0], [0.0]]


@pytest.mark.parametrize(("other", "message"), [([], "an empty list"), ((1, 2), "tuple"), (segments("a"), "two for")])
def test_a_file_that_is_no_list_of_another_split_is_refused(tmp_path: Path, other: object, message: str) -> None:
    paths = [write_pickle(tmp_path / "train.pkl", segments("a")), write_pickle(tmp_path / "more_train.pkl", other)]
    with pytest.raises(DataError, match=rf"^Expected .*, but got {message}"):
        open_reader("mult", paths)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (segments("a"), r"a name with train, dev or test for .*x\.pkl, .*; rename"),
        ({"a": segments("a")}, r"a dictionary with train, valid, test in .*, but got the keys a;"),
        ({"train": [(1, 2, 3)]}, r"\(\(words, visual, acoustic\), label, segment\) .* as item 0 of 'train' in"),
        (
            {"train": [((["a"], np.ones((2, 2)), np.ones((1, 3))), np.ones((1, 1)), "v[0]")]},
            r"one visual and one acoustic vector per word in item 0 of 'train' in .* at position 1; check",
        ),
        (
            {"train": [(segments("a")[0][0], np.ones((1, 2)), "v[0]")]},
            r"one sentiment score per utterance in 'labels' of 'train'",
        ),
        (
            {"train": [*segments("a")] + [((["a"], np.ones((1, 9)), np.ones((1, 3))), np.ones((1, 1)), "v[0]")] * 2},
            r"visual vectors of 2 numbers in every utterance of 'train'",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"^Expected {message}"):
        opened(tmp_path, data)


def test_a_malformed_entry_costs_only_itself(tmp_path: Path) -> None:
    def entry(number: int, n_vectors: int = 2) -> tuple[Any, ...]:
        return ((["a", "b"], np.ones((n_vectors, 4)), np.ones((2, 3))), np.ones((1, 1)), f"v[{number}]")

    source = opened(tmp_path, {"train": [*map(entry, range(10)), entry(10, 1)]})
    utterances = videos_of(source)["v"].utterances
    assert [Modality.VISUAL in each.features for each in utterances] == [True] * 10 + [False]
    assert all(Modality.ACOUSTIC in each.features for each in utterances)
    assert source.notes[rules.VECTOR_MALFORMED] == 1
    source = opened(tmp_path, {"train": [*map(entry, range(10)), None]})
    assert len(videos_of(source)["v"].utterances) == 10
    assert source.notes[rules.ENTRY_MALFORMED] == 1
