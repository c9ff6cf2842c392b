"""`--language` from the command line to the outputs: of an import, a training and an analysis."""

from __future__ import annotations

import csv

import pytest
from tests.cli.calls import mien
from tests.cli.test_video_commands import SAID, SAMPLE, piece_of, write_srt

from mien.commands.import_ import ImportOptions, import_dataset
from mien.commands.train import train
from mien.commands.train_plan import TrainRequest
from mien.errors import UsageError
from mien.video.languages import known_languages

PLANTED = {"rule": "text", "videos": "12"}


def test_a_run_knows_the_language_that_its_import_states(tmp_path):
    dataset = import_dataset("planted", [], tmp_path / "data", ImportOptions(mapping=PLANTED, language="FR-ca"))
    settings = {"epochs": 1, "gru_size": 4, "dense_size": 4, "threads": 1, "keep_epochs": False}
    assert known_languages(train(dataset, tmp_path / "run", TrainRequest(settings=settings))) == ("fr",)


def test_an_import_refuses_what_is_no_language(tmp_path):
    with pytest.raises(UsageError, match="did you mean fr"):
        import_dataset("planted", [], tmp_path / "data", ImportOptions(mapping=PLANTED, language="french"))


def test_an_analysis_in_a_given_language_that_the_model_does_not_know_predicts_nothing(tmp_path):
    talk = piece_of(SAMPLE, tmp_path / "talk.mp4")
    subtitles = write_srt(tmp_path / "talk.srt", SAID)
    assert mien("analyze", talk, "--subtitles", subtitles, "--language", "fr", "--out", tmp_path / "out").exit_code == 0
    with open(tmp_path / "out" / "utterances.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["transcript"] for row in rows] == [text for _, _, text in SAID]
    assert {(row["language"], row["not_judged"]) for row in rows} == {("fr", "French; mosei-text knows English")}
    assert {row["sentiment"] for row in rows} == {""}
