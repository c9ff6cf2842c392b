"""The Dataset keeps everything it is given, refuses what breaks the schema, and notices when it was altered."""

from __future__ import annotations

import json
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from tests.storage.examples import SPACES, assert_same_video, full_utterance, videos

import mien
from mien.errors import DamagedFileError, DataError
from mien.labels import paper_labels
from mien.pretrained import sha256_of
from mien.schema import EMOTIONS, FeatureSpace, Level, Modality, SentimentValues, Utterance, Video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset

FACTS = DatasetFacts(
    "Every case",
    SPACES,
    SentimentValues.HAS0_CLASS,
    origin={"source": "tests", "notes": {"rule": 3}},
    licence_note="as you like",
)


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", videos(), FACTS)


def test_everything_comes_back_in_the_order_it_was_given(dataset):
    for opened in (dataset, open_dataset(str(dataset.folder)), mien.open_dataset(dataset.folder)):
        assert opened.facts == FACTS
        for found, expected in zip(opened.videos(), videos(), strict=True):
            assert_same_video(found, expected)
    assert [video.id for video in dataset.videos("train")] == ["gaps"]
    assert dataset.splits == ["train", "valid"]
    assert dataset.counts == {
        "train": {"videos": 1, "utterances": 5, "longest": 5},
        "valid": {"videos": 1, "utterances": 3, "longest": 3},
        "none": {"videos": 1, "utterances": 2, "longest": 2},
    }


def test_word_level_or_not_the_fingerprint_of_a_space_is_kept(dataset):
    spaces = open_dataset(dataset.folder).facts.spaces
    assert spaces[Modality.TEXT].level is Level.WORD
    assert spaces[Modality.ACOUSTIC].level is Level.UTTERANCE
    assert {m: space.fingerprint for m, space in spaces.items()} == {m: s.fingerprint for m, s in SPACES.items()}


def many_videos():
    """13 videos of 997 utterances each: four groups of rows; splits alternate."""
    rng = np.random.default_rng(3)
    for number in range(13):
        utterances = []
        for index in range(997):
            utterance = Utterance(index, index * 1.0, index + 0.5, f"{number} {index}")
            if rng.random() < 0.7:
                utterance.features[Modality.ACOUSTIC] = rng.normal(size=2).astype(np.float32)
            if rng.random() < 0.7:
                utterance.labels |= paper_labels(float(rng.integers(-3, 4)))
            if rng.random() < 0.7:
                utterance.labels |= paper_labels(emotions=rng.integers(0, 4, size=6).astype(float))
            utterances.append(utterance)
        yield Video(f"v{number}", utterances, ("train", "valid", None)[number % 3])


def test_columns_agree_with_the_videos_over_several_groups_of_rows(tmp_path):
    spaces = {Modality.ACOUSTIC: SPACES[Modality.ACOUSTIC]}
    dataset = write_dataset(tmp_path / "data", many_videos(), DatasetFacts("many", spaces))
    groups = pq.ParquetFile(dataset.folder / "utterances.parquet").metadata
    assert groups.num_rows == 13 * 997
    assert groups.num_row_groups == 5
    for split in ("train", "valid"):
        columns = dataset.columns(split)
        expected = [video for video in many_videos() if video.split == split]
        assert columns.video_ids == [video.id for video in expected]
        assert columns.n_utterances == sum(len(video.utterances) for video in expected)
        assert columns.lengths.tolist() == [997] * len(expected)
        assert columns.offsets[0] == 0
        rows = [utterance for video in expected for utterance in video.utterances]
        assert columns.index.tolist() == [row.index for row in rows]
        sentiment = [np.nan if row.sentiment is None else row.sentiment for row in rows]
        np.testing.assert_array_equal(columns.sentiment, sentiment)
        emotions = [np.full(6, np.nan) if row.emotions is None else row.emotions for row in rows]
        np.testing.assert_array_equal(columns.emotions, emotions)
        present = columns.present[Modality.ACOUSTIC]
        assert present.tolist() == [Modality.ACOUSTIC in row.features for row in rows]
        features = [row.features.get(Modality.ACOUSTIC, np.zeros(2)) for row in rows]
        np.testing.assert_array_equal(columns.features[Modality.ACOUSTIC], features)
        assert columns.features[Modality.ACOUSTIC].dtype == np.float32
        for found, video in zip(dataset.videos(split), expected, strict=True):
            assert [each.transcript for each in found.utterances] == [each.transcript for each in video.utterances]


def test_columns_of_a_split_show_what_is_missing(dataset):
    columns = dataset.columns("train")
    assert columns.present[Modality.ACOUSTIC].tolist() == [False, True, True, True, False]
    assert columns.present[Modality.TEXT].tolist() == [True, True, True, True, False]
    assert not columns.features[Modality.ACOUSTIC][0].any()
    assert np.isnan(columns.sentiment).tolist() == [False, True, False, False, False]
    assert np.isnan(columns.emotions).all(axis=1).tolist() == [False, True, False, False, False]
    assert columns.emotions[0].tolist() == [0, 0.5, 1, 1.5, 2, 3]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=7)
numbers = st.floats(-(2.0**97), 2.0**97, width=32)


@st.composite
def any_video(draw, name):
    rows = draw(st.lists(st.tuples(names, st.none() | st.floats(-3, 3), st.none() | st.tuples(numbers, numbers))))
    utterances = []
    for number, (text, sentiment, vector) in enumerate(rows):
        utterance = Utterance(number, transcript=text, labels=paper_labels(sentiment))
        if vector is not None:
            utterance.features[Modality.ACOUSTIC] = np.array(vector, dtype=np.float32)
        utterances.append(utterance)
    return Video(name, utterances, draw(st.sampled_from(["train", "valid", "test", None])))


@settings(max_examples=30, deadline=None)
@given(st.lists(names, min_size=1, max_size=5, unique=True).flatmap(lambda ids: st.tuples(*map(any_video, ids))))
def test_any_videos_come_back(tmp_path_factory, given_videos):
    spaces = {Modality.ACOUSTIC: SPACES[Modality.ACOUSTIC]}
    folder = tmp_path_factory.mktemp("any") / "data"
    expected = [video for video in given_videos if video.utterances]
    if not expected:
        with pytest.raises(DataError, match="Expected at least one utterance, but got none"):
            write_dataset(folder, given_videos, DatasetFacts("any", spaces))
        return
    dataset = write_dataset(folder, given_videos, DatasetFacts("any", spaces))
    for found, video in zip(dataset.videos(), expected, strict=True):
        assert_same_video(found, video)


def test_plain_pandas_and_pyarrow_read_it(dataset):
    frame = pd.read_parquet(dataset.folder / "utterances.parquet")
    assert frame["video_id"].tolist() == ["Ünï/код 你好 🎬"] * 3 + ["gaps"] * 5 + ["-1"] * 2
    assert frame["anger"].isna().tolist() == [False] * 4 + [True] + [False] * 3 + [True] * 2
    assert set(EMOTIONS) < set(frame.columns)
    np.testing.assert_array_equal(frame["acoustic"][0], videos()[0].utterances[0].features[Modality.ACOUSTIC])
    assert frame["acoustic"].isna().tolist() == [False] * 3 + [True] + [False] * 3 + [True] * 3
    table = pq.read_table(dataset.folder / "utterances.parquet", columns=["split", "text_words"])
    assert table["split"].to_pylist()[-1] is None
    assert len(table["text_words"].to_pylist()[0]) == 2
    assert dataset.to_pandas().equals(frame)
    assert json.loads((dataset.folder / "dataset.json").read_text())["licence_note"] == "as you like"


def test_it_shows_itself_in_a_notebook(dataset):
    html = dataset._repr_html_()
    assert "<td>train</td><td>1</td><td>5</td>" in html
    assert "words-3d (3 features" in html


def one_video(split="train", **changes):
    utterance = full_utterance(np.random.default_rng(0), 17, 0.0)
    for name, value in changes.items():
        setattr(utterance, name, value)
    return Video("v", [utterance], split)


def features_with(modality, values):
    good = full_utterance(np.random.default_rng(0), 17, 0.0).features
    return good | {modality: np.array(values, dtype=np.float32)}


@pytest.mark.parametrize(
    ("video", "message"),
    [
        pytest.param(
            one_video("dev"),
            "Expected the split of video 'v' to be one of train, valid, test, but got 'dev'; "
            "give it the role that it has with --rename-split dev=ROLE (=none leaves it out)",
            id="split",
        ),
        pytest.param(
            one_video(features=features_with(Modality.ACOUSTIC, [1, 2, 3])),
            "Expected 2 acoustic features in utterance 17 of video 'v', but got 3; "
            "all rows of a modality must come from one extractor",
            id="width",
        ),
        pytest.param(
            one_video(features=features_with(Modality.ACOUSTIC, [1, np.nan])),
            "Expected finite acoustic features in utterance 17 of video 'v', but got NaN or infinity; "
            "leave the modality out of that utterance to mark it missing",
            id="nan",
        ),
        pytest.param(
            one_video(words={Modality.TEXT: np.full((2, 3), -np.inf)}),
            "Expected finite text features in utterance 17 of video 'v', but got NaN or infinity; "
            "leave the modality out of that utterance to mark it missing",
            id="infinite-word",
        ),
        pytest.param(
            one_video(labels=paper_labels(3.5)),
            "Expected sentiment of utterance 17 of video 'v' in [-3, 3], but got 3.5",
            id="sentiment",
        ),
        pytest.param(
            one_video(labels=paper_labels(float("nan"))),
            "Expected sentiment of utterance 17 of video 'v' in [-3, 3], but got nan",
            id="sentiment-nan",
        ),
        pytest.param(
            one_video(labels=paper_labels(emotions=np.array([0, 0, -0.5, 0, 0, 0]))),
            "Expected 6 numbers for emotion of utterance 17 of video 'v' in [0, 3], but got "
            "[0.0, 0.0, -0.5, 0.0, 0.0, 0.0]",
            id="emotions",
        ),
        pytest.param(
            Video("v", [Utterance(3), Utterance(5), Utterance(3)]),
            "Expected unique utterance numbers in video 'v', but got 3 twice",
            id="index",
        ),
    ],
)
def test_a_video_that_breaks_the_schema_is_refused_by_name(tmp_path, video, message):
    with pytest.raises(DataError) as caught:
        write_dataset(tmp_path / "data", [*videos(), video], FACTS)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_features_of_a_modality_that_was_not_announced_are_refused(tmp_path):
    spaces = {Modality.ACOUSTIC: SPACES[Modality.ACOUSTIC]}
    with pytest.raises(DataError, match="to have only acoustic features, but got .* features too"):
        write_dataset(tmp_path / "data", videos(), DatasetFacts("x", spaces))


def test_a_video_twice_and_no_utterance_at_all_are_refused(tmp_path):
    with pytest.raises(DataError, match="Expected every video once, but got 'gaps' twice; merge its rows"):
        write_dataset(tmp_path / "data", [*videos(), videos()[1]], FACTS)
    for nothing in ([], [Video("empty", [], "train")]):
        with pytest.raises(DataError, match="Expected at least one utterance, but got none; check the source files"):
            write_dataset(tmp_path / "data", nothing, FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["tests", "test", "none", ""])
def test_a_split_that_is_not_there_is_named_beside_those_that_are(dataset, split):
    message = (
        f"Expected a split named {split!r} with utterances in {dataset.folder}, but got train, valid; "
        "name one of these, or import again with --rename-split or --carve"
    )
    with pytest.raises(DataError) as caught:
        dataset.columns(split)
    assert str(caught.value) == message
    with pytest.raises(DataError, match="name one of these"):
        list(dataset.videos(split))


def test_what_is_no_dataset_says_so(tmp_path, dataset):
    with pytest.raises(DataError, match=r"Expected a Dataset with the file .*nowhere/dataset.json, but got nothing"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="Expected a Dataset with the file .* but got nothing there; check the path"):
        open_dataset(dataset.folder / "utterances.parquet")
    card = dataset.folder / "dataset.json"
    card.write_text(json.dumps({"format": "mien-run", "format_version": 1}))
    with pytest.raises(DamagedFileError, match="to be a mien-dataset of version 1, but got 'mien-run' version 1"):
        open_dataset(dataset.folder)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_cut_or_altered_table_is_refused(dataset, damage):
    damage(dataset.folder / "utterances.parquet")
    with pytest.raises(DamagedFileError) as caught:
        open_dataset(dataset.folder)
    found = sha256_of(dataset.folder / "utterances.parquet")
    assert str(caught.value) == (
        f"Expected {dataset.folder}/utterances.parquet to have sha256 {dataset.fingerprint[:16]}..., but got "
        f"{found[:16]}...; it was cut or altered since it was written: make the Dataset again"
    )


def test_a_table_that_is_gone_is_noticed(dataset):
    (dataset.folder / "utterances.parquet").unlink()
    with pytest.raises(DamagedFileError, match="utterances.parquet in the Dataset, but got no such file"):
        open_dataset(dataset.folder)


def test_a_cut_card_is_refused(dataset):
    cut(dataset.folder / "dataset.json")
    with pytest.raises(DamagedFileError, match=r"Expected JSON in .*dataset.json, but got .*: make a Dataset again"):
        open_dataset(dataset.folder)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sha256",), {}),
        (("counts",), None),
        (("feature_spaces", "text", "recipe"), None),
        (("feature_spaces", "text", "level"), "syllable"),
        (("feature_spaces",), []),
        (("sentiment_values",), "percent"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_an_altered_card_is_refused(dataset, path, value):
    card = json.loads((dataset.folder / "dataset.json").read_text())
    part = card
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    (dataset.folder / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(
        DamagedFileError, match=r"Expected complete facts in .*dataset.json, but got .*make the Dataset"
    ):
        open_dataset(dataset.folder)


def test_a_card_that_tells_of_other_columns_than_the_table_has_is_refused(dataset):
    card = json.loads((dataset.folder / "dataset.json").read_text())
    card["feature_spaces"]["acoustic"]["n_features"] = 3
    (dataset.folder / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(DamagedFileError, match="but got other columns than its card names"):
        open_dataset(dataset.folder)


def test_the_fingerprint_follows_the_rows_and_not_the_name(tmp_path, dataset):
    renamed = write_dataset(tmp_path / "other", videos(), replace(FACTS, name="other"))
    assert renamed.fingerprint == dataset.fingerprint
    changed = videos()
    changed[0].utterances[0].labels |= paper_labels(1.0)
    assert write_dataset(tmp_path / "changed", changed, FACTS).fingerprint != dataset.fingerprint


def test_a_folder_name_that_looks_like_a_partition_adds_no_column(tmp_path):
    dataset = write_dataset(tmp_path / "split=test" / "sentiment=3", videos(), FACTS)
    assert dataset.columns("train").n_utterances == 5
    assert dataset.table().column_names.count("split") == 1


def test_no_features_at_all_is_a_dataset_too(tmp_path):
    plain = Video("v", [Utterance(0, transcript="text only", labels=paper_labels(1.0))], "test")
    dataset = write_dataset(tmp_path / "data", [plain], DatasetFacts("plain", {}))
    assert dataset.columns("test").features == {}
    assert_same_video(next(dataset.videos()), plain)


def test_a_space_of_one_feature(tmp_path):
    space = FeatureSpace(Modality.VISUAL, "one", 1)
    plain = Video("v", [Utterance(0, features={Modality.VISUAL: np.array([7.5], np.float32)}), Utterance(1)], "test")
    dataset = write_dataset(tmp_path / "data", [plain], DatasetFacts("plain", {Modality.VISUAL: space}))
    assert dataset.columns("test").features[Modality.VISUAL].tolist() == [[7.5], [0.0]]
