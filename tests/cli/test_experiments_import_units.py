"""`mien import --unit`, and what `mien describe` says about ids of utterances."""

from __future__ import annotations

import re

import pytest
from tests.cli.calls import complaint, said

from mien.cli.guard import WRONG_USAGE


@pytest.fixture
def table(tmp_path):
    """A CSV without splits: five videos of four utterances with ids such as talk0_3."""
    rows = "".join(f"talk{video}_{number},words {video} {number}\n" for video in range(5) for number in range(4))
    path = tmp_path / "talks.csv"
    path.write_text("video_id,text\n" + rows, encoding="utf-8")
    return path


def test_ids_of_utterances_are_named_by_import_and_describe(table, tmp_path):
    roles = ("--rename-split", "none=train", "--carve", "valid=0.5")
    for text in (said("import", "table", table, "--out", tmp_path / "d", *roles), said("describe", tmp_path / "d")):
        line = " ".join(text.split())
        assert "the ids look like ids of utterances" in line
        assert re.search(r"\d videos \(talk\d, talk\d, talk\d.*\) in several splits; if they are", line)
        assert "import again with --unit video; else --unit id" in line
    for unit, text in (("video", "ids look like"), ("id", "ids look like"), ("utterance", "import again with --unit")):
        assert text not in said("import", "table", table, "--out", tmp_path / "d", *roles, "--unit", unit)


def test_a_split_by_utterance_is_described_without_a_remedy(tmp_path):
    rows = "".join(f"talk{row // 2},{row % 2},words {row},{('train', 'test')[row % 2]}\n" for row in range(10))
    (tmp_path / "talks.csv").write_text("video_id,index,text,split\n" + rows, encoding="utf-8")
    text = said("import", "table", tmp_path / "talks.csv", "--out", tmp_path / "d", "--unit", "utterance")
    line = " ".join(text.split())
    assert "5 videos (talk0, talk1, talk2, ...) in several splits" in line
    assert "import again with --unit" not in line


def test_an_unknown_unit_is_wrong_usage(table, tmp_path):
    line = complaint(WRONG_USAGE, "import", "table", table, "--out", tmp_path / "d", "--unit", "vido")
    assert line == "Expected a unit to be one of id, utterance, video, but got 'vido'; did you mean 'video'?"
