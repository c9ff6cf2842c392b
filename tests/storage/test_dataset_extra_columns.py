"""The columns `speaker` and `fold`, which a Dataset has only if its source knows them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.storage.examples import SPACES, assert_same_video, videos

from mien.errors import DamagedFileError, DataError
from mien.pretrained import sha256_of
from mien.schema import EXTRA_COLUMNS, Utterance, Video
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.split_columns import stack_videos

FACTS = DatasetFacts("told", SPACES, extra_columns=EXTRA_COLUMNS)


def told_videos():
    for number, video in enumerate(videos()):
        for index, utterance in enumerate(video.utterances):
            utterance.speaker = (None, "Zoë", "Ross")[(number + index) % 3]
        yield replace(video, fold=(None, "Ses01")[number % 2])


def rewrite(dataset, change):
    """Change the table and the card of a Dataset, as somebody else might have written them."""
    table, card = change(pq.read_table(dataset.folder / "utterances.parquet"), dataset.folder / "dataset.json")
    pq.write_table(table, dataset.folder / "utterances.parquet")
    card["sha256"]["utterances.parquet"] = sha256_of(dataset.folder / "utterances.parquet")
    (dataset.folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")


def test_speakers_and_folds_come_back(tmp_path):
    dataset = open_dataset(write_dataset(tmp_path / "data", told_videos(), FACTS).folder)
    assert dataset.facts == FACTS
    for found, expected in zip(dataset.videos(), told_videos(), strict=True):
        assert_same_video(found, expected)
        assert found.fold == expected.fold
        assert [each.speaker for each in found.utterances] == [each.speaker for each in expected.utterances]
    for split in dataset.splits:
        chosen = [video for video in told_videos() if video.split == split]
        speakers = [each.speaker for video in chosen for each in video.utterances]
        assert dataset.columns(split).speakers == speakers == stack_videos(chosen, SPACES).speakers
        assert [name for part in dataset.windows(split) for name in part.speakers] == speakers


def test_without_them_table_and_card_are_as_before(tmp_path):
    dataset = write_dataset(tmp_path / "data", videos(), DatasetFacts("told", SPACES))
    assert not set(EXTRA_COLUMNS) & set(dataset.table().column_names)
    assert "extra_columns" not in json.loads((dataset.folder / "dataset.json").read_text(encoding="utf-8"))
    assert dataset.columns("train").speakers is None
    assert stack_videos(list(videos()), SPACES).speakers is None
    assert {video.fold for video in dataset.videos()} == {None}


@pytest.mark.parametrize("name", EXTRA_COLUMNS)
def test_a_value_without_its_column_is_never_lost_silently(tmp_path, name):
    video = Video("v", [Utterance(0, speaker="Ross" if name == "speaker" else None)], "train")
    video.fold = "one" if name == "fold" else None
    others = tuple(each for each in EXTRA_COLUMNS if each != name)
    with pytest.raises(DataError, match=f"Expected no {name} in a Dataset without that column"):
        write_dataset(tmp_path / "data", [video], DatasetFacts("told", {}, extra_columns=others))


def test_a_card_that_names_other_columns_is_refused(tmp_path):
    dataset = write_dataset(tmp_path / "data", told_videos(), FACTS)

    def card_with(columns):
        return lambda table, path: (table, json.loads(path.read_text(encoding="utf-8")) | {"extra_columns": columns})

    for columns in ([], ["speaker"], ["fold", "speaker"], ["speaker", "fold", "mood"], "speaker", [1]):
        rewrite(dataset, card_with(columns))
        with pytest.raises(DamagedFileError):
            open_dataset(dataset.folder)
    rewrite(dataset, card_with(list(EXTRA_COLUMNS)))
    assert open_dataset(dataset.folder).facts == dataclasses.replace(FACTS)


def test_a_video_in_two_folds_is_refused(tmp_path):
    dataset = write_dataset(tmp_path / "data", told_videos(), FACTS)

    def two_folds(table, path):
        folds = [f"fold {row}" for row in range(len(table))]
        changed = table.set_column(table.column_names.index("fold"), "fold", pa.array(folds))
        return changed, json.loads(path.read_text(encoding="utf-8"))

    rewrite(dataset, two_folds)
    with pytest.raises(DamagedFileError, match="in two folds"):
        open_dataset(dataset.folder)
