"""`mien import --unit`, and what `mien describe` says about ids of utterances."""

from __future__ import annotations

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
        assert "The ids look like ids of utterances" in text
        assert "videos (talk0, talk1, talk2, ...) are in several splits." in text
        assert "import again with --unit video; else --unit id." in text
    for unit, shown in (("video", False), ("id", False), ("utterance", True)):
        text = said("import", "table", table, "--out", tmp_path / "d", *roles, "--unit", unit)
        assert ("The ids look like" in text) == shown
        assert "import again with --unit" not in text


def test_an_unknown_unit_is_wrong_usage(table, tmp_path):
    line = complaint(WRONG_USAGE, "import", "table", table, "--out", tmp_path / "d", "--unit", "vido")
    assert line == "Expected a unit to be one of id, utterance, video, but got 'vido'; did you mean 'video'?"
