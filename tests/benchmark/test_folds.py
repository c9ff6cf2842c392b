"""Leave one group out: every utterance is scored once per seed, and nothing of its group is trained on."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from tests.planted import planted_spaces, planted_videos

import mien
from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.benchmark.folds import FoldRequest, write_folds
from mien.cli.app import main
from mien.errors import DataError, TrainingError, UsageError
from mien.evaluation.decisions import Decisions
from mien.pretrained import sha256_of
from mien.schema import EMOTION, SENTIMENT
from mien.storage.dataset import DatasetFacts, open_dataset, write_dataset
from mien.storage.files import read_json
from mien.storage.predictions import read_predictions
from mien.storage.runs import open_run
from mien.tasks import PAPER_TASKS

SUITE = """
    settings = {epochs = 2, batch_videos = 8, patience = "none", keep_epochs = false}
    reference = "majority"
    [[setting]]
    model = "majority"
    [[setting]]
    name = "small"
    inputs = ["text", "acoustic"]
    settings = {gru_size = 5, dense_size = 3}
"""
N_VIDEOS = 24
FOLDS = FoldRequest("fold", 0.25)
REQUEST = BenchmarkRequest(n_seeds=2, n_resamples=100, folds=FOLDS, figures=False)
TABLES = ("scores.csv", "scores.md", "scores.tex")


def write_grouped(folder, groups=("one", "two", "three"), *, split="train", n_videos=N_VIDEOS):
    """Planted videos in groups of equal size; every utterance of a group has the same speaker."""

    def videos():
        for number, video in enumerate(planted_videos(n_videos)):
            video.split, video.fold = split, groups[number % len(groups)]
            for utterance in video.utterances:
                utterance.speaker = video.fold
            yield video

    return write_dataset(folder, videos(), DatasetFacts("grouped", planted_spaces(), extra_columns=("speaker", "fold")))


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    return write_grouped(tmp_path_factory.mktemp("grouped") / "data")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(grouped, suite, tmp_path_factory):
    return benchmark(
        suite, grouped, tmp_path_factory.mktemp("folds") / "out", dataclasses.replace(REQUEST, figures=True)
    )


def test_each_group_is_test_once_and_whole_videos_of_the_others_are_valid(grouped, tmp_path):
    folds = write_folds(grouped, FOLDS, tmp_path)
    assert [(fold.slug, fold.name) for fold in folds] == [("fold-1", "one"), ("fold-2", "three"), ("fold-3", "two")]
    for fold in folds:
        split_of = {video.id: video.split for video in fold.dataset.videos()}
        group_of = {video.id: video.fold for video in fold.dataset.videos()}
        assert {video for video, split in split_of.items() if split == "test"} == {
            video for video, group in group_of.items() if group == fold.name
        }
        assert {name: count["videos"] for name, count in fold.dataset.counts.items()} == {
            "train": 12,
            "valid": 4,
            "test": 8,
        }
        assert fold.dataset.facts.name == f"grouped, fold {fold.name}"
    stamp = (folds[0].dataset.folder / "utterances.parquet").stat().st_mtime_ns
    again = write_folds(open_dataset(grouped.folder), FOLDS, tmp_path)
    assert (again[0].dataset.folder / "utterances.parquet").stat().st_mtime_ns == stamp
    other = write_folds(grouped, FoldRequest("fold", 0.5), tmp_path)
    assert other[0].dataset.counts["valid"]["videos"] == 8
    by_speaker = write_folds(grouped, FoldRequest("speaker", 0.25), tmp_path)
    assert [each.dataset.counts for each in by_speaker] == [each.dataset.counts for each in folds]


def test_videos_without_a_group_take_no_part(tmp_path):
    dataset = write_grouped(tmp_path / "data", ("a", "b", None))
    folds = write_folds(dataset, FOLDS, tmp_path)
    assert [fold.name for fold in folds] == ["a", "b"]
    assert all(fold.dataset.counts["none"]["videos"] == 8 for fold in folds)


def test_every_utterance_is_scored_once_per_seed_at_the_thresholds_of_its_fold(done, grouped):
    rows = {row["name"]: row for row in done.results["settings"]}
    n_utterances = sum(count["utterances"] for count in grouped.counts.values())
    assert done.failures == {}
    assert list(rows["small"]["protocols"]) == ["clean", "fixed"]
    for seed, result in enumerate(rows["small"]["protocols"]["clean"]["runs"]):
        assert (result["seed"], result["n_videos"], result["n_utterances"]) == (seed, N_VIDEOS, n_utterances)
        assert result["split"] == "3 folds by fold"
        folders = [done.folder / f"runs/small/fold-{number}/seed-{seed}" for number in (1, 2, 3)]
        parts = [read_predictions(folder / "predictions/test.parquet") for folder in folders]
        decisions = [Decisions.from_json(read_json(folder / "decisions.json", "")) for folder in folders]
        keys = [(v, i) for part in parts for v, i in zip(part.video_id, part.index, strict=True)]
        assert len(set(keys)) == len(keys) == n_utterances
        right = np.concatenate([(p.outputs[SENTIMENT][:, 0] >= 0.5) == (p.sentiment >= 0) for p in parts])
        assert result[SENTIMENT]["accuracy_has0"] == pytest.approx(right.mean(), abs=1e-12)
        gold = np.concatenate([part.emotions[:, 2] > 0 for part in parts])
        fear = np.concatenate(
            [p.outputs[EMOTION][:, 2] >= d.at(PAPER_TASKS[EMOTION])[2] for p, d in zip(parts, decisions, strict=True)]
        )
        expected = (fear[gold].mean() + (~fear[~gold]).mean()) / 2
        assert result[EMOTION]["per_emotion"]["fear"]["weighted_accuracy"] == pytest.approx(expected, abs=1e-12)
    assert rows["small"]["train_seconds"]["mean"] > 0
    assert set(rows["small"]["against_reference"]) >= {"sentiment.accuracy_has0", "emotion.weighted_f1_mean6"}


def test_the_runs_of_a_fold_know_nothing_of_its_videos(done):
    for number in (1, 2, 3):
        run = open_run(done.folder / f"runs/small/fold-{number}/seed-1")
        used = {split: set(ids) for split, ids in run.outcome["videos"].items()}
        assert (len(used["train"]), len(used["valid"]), len(used["train"] & used["valid"])) == (12, 4, 0)
        (result,) = mien.evaluate([run.folder], n_resamples=0).results
        assert result.n_videos == 8
        assert not any("NOT A TEST" in note for note in result.notes)


def test_titles_name_the_folds_and_figures_are_drawn(done):
    assert "3 folds by fold, protocol clean, 2 seeds" in (done.folder / "scores.md").read_text(encoding="utf-8")
    assert "3 folds by fold" in (done.folder / "figures/README.md").read_text(encoding="utf-8")
    assert (done.folder / "figures/figure3-attention.svg").exists()
    plan = read_json(done.folder / "plan.json", "")
    assert {slug: each["name"] for slug, each in plan["folds"]["datasets"].items()} == {
        "fold-1": "one",
        "fold-2": "three",
        "fold-3": "two",
    }
    assert (plan["folds"]["column"], plan["folds"]["valid_share"]) == ("fold", 0.25)


def test_a_repeated_command_runs_only_what_is_missing(done, grouped, suite, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    shutil.rmtree(out / "runs/small/fold-2/seed-1")
    shutil.rmtree(out / "folds/fold-2")
    kept = out / "runs/small/fold-3/seed-0/model.safetensors"
    before = kept.stat().st_mtime_ns
    told = []
    benchmark(suite, grouped, out, REQUEST, report=lambda *args: told.append(args))
    assert told == [(11, 12, "11 were done before"), (12, 12, "runs/small/fold-2/seed-1")]
    assert kept.stat().st_mtime_ns == before
    assert [(out / name).read_bytes() for name in TABLES] == [(done.folder / name).read_bytes() for name in TABLES]
    first, second = (sha256_of(each / "folds/fold-2/utterances.parquet") for each in (out, done.folder))
    assert first == second


def test_another_share_or_no_folds_is_another_plan(done, grouped, suite, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    with pytest.raises(TrainingError, match=r"folds: .*valid_share 0.25.* there and .*valid_share 0.5.* here"):
        benchmark(suite, grouped, out, dataclasses.replace(REQUEST, folds=FoldRequest("fold", 0.5)))


def test_a_failed_fold_leaves_its_seed_out(done, grouped, suite, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done.folder, out)
    shutil.rmtree(out / "runs/small/fold-2/seed-1")
    (out / "runs/small/fold-2/seed-1").mkdir()
    (out / "runs/small/fold-2/seed-1/notes.txt").write_text("mine", encoding="utf-8")
    again = benchmark(suite, grouped, out, REQUEST)
    assert list(again.failures) == ["runs/small/fold-2/seed-1"]
    rows = {row["name"]: row["seeds"] for row in again.results["settings"]}
    assert rows == {"majority": [0, 1], "small": [0]}


def test_what_cannot_be_divided_is_refused(grouped, suite, planted, tmp_path):
    def refused(dataset, column, told, error=DataError):
        with pytest.raises(error, match=told):
            benchmark(suite, dataset, tmp_path / "out", dataclasses.replace(REQUEST, folds=FoldRequest(column)))
        assert not (tmp_path / "out/plan.json").exists()

    refused(planted, "fold", "Expected a column 'fold' with the groups .* but got none; .* --folds fold")
    refused(grouped, "session", "Expected a column 'session' .* but got speaker, fold")
    same = write_grouped(tmp_path / "same", ("a",))
    refused(same, "fold", "Expected at least two groups in the column fold of .*, but got a; import again")

    def two_speakers():
        for video in grouped.videos():
            video.utterances[0].speaker = "another"
            yield video

    mixed = write_dataset(tmp_path / "mixed", two_speakers(), grouped.facts)
    refused(mixed, "speaker", "Expected one speaker per video, .* 'another' and 'one' in 'planted-0000'")
    two = write_grouped(tmp_path / "two", ("a", "b"), n_videos=2)
    refused(two, "fold", "Expected at least two train videos to carve valid from, but got 1")
    with pytest.raises(UsageError, match="Expected a share between 0 and 1 for valid, but got 1.5; change --carve"):
        FoldRequest("fold", 1.5)
    own = tmp_path / "own.toml"
    whole = write_folds(grouped, FOLDS, tmp_path)[0].dataset
    own.write_text(f'{SUITE}\n    dataset = "{whole.folder}"', encoding="utf-8")
    with pytest.raises(UsageError, match="without a Dataset of their own with --folds, but got one in small"):
        benchmark(own, grouped, tmp_path / "out", REQUEST)


def test_the_command_scores_folds(grouped, tmp_path, monkeypatch, capsys):
    only_majority = tmp_path / "majority.toml"
    only_majority.write_text('reference = "majority"\n[[setting]]\nmodel = "majority"', encoding="utf-8")
    arguments = [only_majority, grouped.folder, "--out", tmp_path / "out", "--seeds", 1, "--bootstrap", 10]
    command = [
        "mien",
        "benchmark",
        *map(str, arguments),
        "--folds",
        "fold",
        "--carve",
        "0.5",
        "--workers",
        "1",
        "--no-figures",
    ]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (None, 0)
    assert "3 folds by fold" in " ".join(capsys.readouterr().out.split())
    assert open_dataset(tmp_path / "out/folds/fold-1").counts["valid"]["videos"] == 8
