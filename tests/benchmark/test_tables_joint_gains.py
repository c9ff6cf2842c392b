"""`mien benchmark tasks`: which task helps which, from real runs; repeated, nothing runs twice."""

from __future__ import annotations

import csv
import shutil

import pytest
from tests.graded import graded_videos, write_graded

from mien.benchmark.benchmark import BenchmarkRequest, benchmark
from mien.benchmark.tables import joint_gain_table, printed_joint_gains
from mien.cli.render import show_benchmark
from mien.commands.evaluate import compare
from mien.pretrained import sha256_of
from mien.storage.dataset import DatasetFacts, write_dataset
from mien.storage.runs import open_run

REQUEST = BenchmarkRequest(n_seeds=2, n_resamples=300, settings={"epochs": 2, "batch_videos": 8}, figures=False)
FILES = ("scores.csv", "scores.md", "scores.tex", "help.csv", "help.md", "help.tex")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Sentiment alone is labelled: three subsets of two tasks."""
    folder = tmp_path_factory.mktemp("tasks")

    def without_emotions():
        for video in graded_videos(40):
            for utterance in video.utterances:
                utterance.labels.pop("emotion", None)
            yield video

    spaces = write_graded(folder / "four", 5).facts.spaces
    dataset = write_dataset(folder / "data", without_emotions(), DatasetFacts("graded", spaces))
    return dataset, benchmark("tasks", dataset, folder / "out", REQUEST)


def test_each_task_is_held_against_itself_learned_alone(done):
    _, suite = done
    assert suite.failures == {}
    tests = {row["name"]: row["against_reference"] for row in suite.results["settings"]}
    assert tests["S"] == tests["SI"] == {}
    expected = {}
    for alone in ("s", "si"):
        runs = [[suite.folder / f"runs/{slug}/seed-{seed}" for seed in (0, 1)] for slug in ("ssi", alone)]
        expected |= compare(*runs, n_resamples=300).metrics
    assert set(tests["S+SI"]) == set(expected)
    for path, test in tests["S+SI"].items():
        assert test["difference"] == pytest.approx(expected[path].difference)
        assert test["p_bootstrap"] == pytest.approx(expected[path].bootstrap.p)
        p_t_test = float("nan") if test["p_t_test"] is None else test["p_t_test"]
        assert p_t_test == pytest.approx(expected[path].t_test.p, nan_ok=True)
        assert test["reference"] == ("S" if path.startswith("sentiment.") else "SI")


def test_the_table_says_what_each_task_gains_from_which(done, capsys):
    _, suite = done
    table = printed_joint_gains(suite.results)
    assert table.columns == ("acc has0", "MAE", "r")
    assert [name for name, _ in table.rows] == ["with SI", "with S"]
    tests = next(row for row in suite.results["settings"] if row["name"] == "S+SI")["against_reference"]
    with_si, with_s = (cells for _, cells in table.rows)
    assert (with_si[0].mean, with_si[1].mean) == (tests["sentiment.accuracy_has0"]["difference"], None)
    assert (with_s[0].mean, with_s[1].mean) == (None, tests["sentiment_intensity.mae"]["difference"])
    assert with_s[1].value()[0] in "+-"
    header, rows = joint_gain_table(suite.results)
    with open(suite.folder / "help.csv", encoding="utf-8", newline="") as handle:
        written = list(csv.DictReader(handle))
    assert [float(row["difference"]) for row in written] == [row[header.index("difference")] for row in rows]
    assert {(row["task"], row["together_with"]) for row in written} == {
        ("sentiment", "SI"),
        ("sentiment_intensity", "S"),
    }
    show_benchmark(suite.results, suite.folder, "clean")
    shown = capsys.readouterr().out
    assert "Which task helps which" in shown
    assert "S (reference)" in shown
    assert "SI (reference)" in shown
    assert "same task learned alone" in " ".join(shown.split())
    assert "with SI" in (suite.folder / "help.tex").read_text(encoding="utf-8")
    assert "sentiment_intensity" in suite.results["trivial"]


def test_repeated_after_a_lost_run_it_ends_in_the_same_tables(done):
    dataset, suite = done
    before = {name: sha256_of(suite.folder / name) for name in FILES}
    kept = open_run(suite.folder / "runs/ssi/seed-0").sha256
    shutil.rmtree(suite.folder / "runs/si/seed-1")
    told = []
    benchmark("tasks", dataset, suite.folder, REQUEST, report=lambda *args: told.append(args))
    assert told == [(5, 6, "5 were done before"), (6, 6, "runs/si/seed-1")]
    assert {name: sha256_of(suite.folder / name) for name in FILES} == before
    assert open_run(suite.folder / "runs/ssi/seed-0").sha256 == kept
