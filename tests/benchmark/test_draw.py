"""Figures and cases of a benchmark folder made of real runs on the planted set."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from tests.benchmark.benchmarks import make_benchmark, setting
from tests.planted import write_planted

from mien.benchmark.cases import write_benchmark_cases
from mien.benchmark.draw import FIGURES, median_video, video_attention, write_attention_figure, write_benchmark_figures
from mien.benchmark.view import OmittedFigure
from mien.errors import DamagedFileError, DataError, UnknownNameError
from mien.schema import Modality, Video
from mien.storage.dataset import write_dataset
from mien.storage.runs import open_run
from mien.training.predictor import load_predictor

THREE = tuple(Modality)


@pytest.fixture(scope="module")
def benchmark(planted, tmp_path_factory):
    """Joint and single on three inputs, joint alone on one."""
    settings = [setting(THREE, arm) for arm in ("joint", "sentiment", "emotion")] + [setting(("text",), "joint")]
    return make_benchmark(tmp_path_factory.mktemp("benchmark"), planted, settings)


def test_every_figure_is_written_in_every_format_and_explained(benchmark):
    written = write_benchmark_figures(benchmark)
    assert list(written) == list(FIGURES)
    for name, paths in written.items():
        assert [path.name for path in paths] == [f"{name}.svg", f"{name}.pdf", f"{name}.png"]
        assert paths[0].read_bytes().startswith(b"<?xml")
        assert paths[1].read_bytes().startswith(b"%PDF")
        assert paths[2].read_bytes().startswith(b"\x89PNG")
    readme = (benchmark / "figures" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in FIGURES)
    assert "Left out" not in readme
    before = {path: path.read_bytes() for path in (benchmark / "figures").iterdir()}
    write_benchmark_figures(benchmark)
    assert {path: path.read_bytes() for path in (benchmark / "figures").iterdir()} == before


def test_one_task_and_one_protocol_leave_figures_out_with_their_reasons(planted, tmp_path):
    folder = make_benchmark(tmp_path, planted, [setting(THREE, "sentiment")], seeds=(0,), protocols=("clean",))
    stale = folder / "figures" / "per-emotion.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an older benchmark")
    written = write_benchmark_figures(folder)
    assert set(written) == {"figure3-attention", "reliability", "seed-spread"}
    assert not stale.exists()
    left_out = (folder / "figures" / "README.md").read_text().split("Left out:")[1]
    for name in set(FIGURES) - set(written):
        assert f"`{name}`: " in left_out
    assert write_benchmark_cases(folder) == (
        [],
        "no system was trained both for the two tasks together and for one of them alone",
    )


def test_the_heat_maps_are_the_weights_of_the_chosen_video(benchmark, planted):
    run = benchmark / "runs" / setting(THREE, "joint")["slug"] / "seed-0"
    columns = planted.columns("test")
    other = next(name for name in columns.video_ids if name != median_video(columns))
    expected = load_predictor(open_run(run)).attention(columns)
    for video, chosen in ((None, median_video(columns)), (other, other)):
        attention = video_attention(run, planted, "test", video)
        assert attention.video_id == chosen
        assert bool(attention.chosen_by) == (video is None)
        assert set(attention.maps) == set(expected[chosen])
        for name, weights in expected[chosen].items():
            np.testing.assert_array_equal(attention.maps[name], weights)
        assert len(attention.utterances) == weights.shape[0]


def test_the_video_of_median_length_is_chosen_whatever_their_order(planted):
    columns = planted.columns("test")
    lengths = dict(zip(columns.video_ids, columns.lengths.tolist(), strict=True))
    chosen = median_video(columns)
    shorter = sum(length < lengths[chosen] for length in lengths.values())
    longer = sum(length > lengths[chosen] for length in lengths.values())
    assert shorter <= (len(lengths) - 1) / 2
    assert longer <= len(lengths) / 2


def test_a_video_can_be_named_and_a_wrong_name_is_refused(benchmark, planted, tmp_path):
    run = benchmark / "runs" / setting(("text",), "joint")["slug"] / "seed-1"
    video = planted.columns("valid").video_ids[0]
    paths = write_attention_figure(run, tmp_path, video=video, split="valid")
    assert [path.suffix for path in paths] == [".svg", ".pdf", ".png"]
    with pytest.raises(UnknownNameError, match="video of the split test"):
        write_benchmark_figures(benchmark, video="nobody")


def test_single_utterances_have_no_attention_to_show(tmp_path):
    whole = write_planted(tmp_path / "whole", 12)
    videos = [
        Video(f"{video.id}-{utterance.index}", [utterance], video.split)
        for video in whole.videos()
        for utterance in video.utterances
    ]
    alone = write_dataset(tmp_path / "data", videos, whole.facts)
    folder = make_benchmark(tmp_path / "b", alone, [setting(("text",), "sentiment")], seeds=(0,), protocols=("clean",))
    run = folder / "runs" / setting(("text",), "sentiment")["slug"] / "seed-0"
    found = video_attention(run, alone)
    assert isinstance(found, OmittedFigure)
    with pytest.raises(DataError, match="one utterance"):
        write_attention_figure(run, tmp_path / "figures")
    assert "figure3-attention" not in write_benchmark_figures(folder)


def test_cases_stand_with_the_words_that_were_said(benchmark, planted):
    paths, reason = write_benchmark_cases(benchmark, k=3)
    assert reason == ""
    assert [path.name for path in paths] == ["cases.csv", "cases.md"]
    with open(paths[0], encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    rows_of = planted.table(["video_id", "index", "split", "transcript"]).to_pylist()
    said = {(row["video_id"], row["index"]): row for row in rows_of}
    assert 0 < len(rows) <= 6
    for row in rows:
        found = said[row["video_id"], int(row["index"])]
        assert found["split"] == "test"
        assert row["transcript"] == found["transcript"]
        assert (float(row["gain"]) > 0) == (row["which"] == "joint better")


def test_a_run_that_failed_costs_its_seed_alone(benchmark, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(benchmark, folder)
    shutil.rmtree(folder / "runs" / setting(THREE, "emotion")["slug"] / "seed-1")
    paths, _ = write_benchmark_cases(folder)
    assert "seeds 0. Of" in paths[1].read_text()


def test_another_data_set_and_a_cut_file_are_refused(benchmark, tmp_path):
    write_planted(tmp_path / "other", 12)
    with pytest.raises(DataError, match="was made with"):
        write_benchmark_cases(benchmark, dataset=tmp_path / "other")
    with pytest.raises(DataError, match=r"plan\.json"):
        write_benchmark_figures(tmp_path)
    folder = tmp_path / "copy"
    shutil.copytree(benchmark, folder)
    plan = json.loads((folder / "plan.json").read_text())
    del plan["split"]
    (folder / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(DamagedFileError, match="split"):
        write_benchmark_figures(folder)


def test_where_the_data_set_is_gone_only_the_attention_is_left_out(benchmark, planted, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(benchmark, folder)
    plan = json.loads((folder / "plan.json").read_text())
    plan["dataset"]["path"] = str(tmp_path / "gone")
    (folder / "plan.json").write_text(json.dumps(plan))
    assert set(write_benchmark_figures(folder)) == set(FIGURES) - {"figure3-attention"}
    assert "got nothing there" in (folder / "figures" / "README.md").read_text()
    with pytest.raises(DataError, match="got nothing there"):
        write_benchmark_cases(folder)
    assert write_benchmark_cases(folder, dataset=planted.folder)[1] == ""


def test_systems_with_data_sets_of_their_own_are_no_family(benchmark, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(benchmark, folder)
    plan = json.loads((folder / "plan.json").read_text())
    for each in plan["settings"][1:3]:
        each["dataset"] = plan["dataset"] | {"fingerprint": "another"}
    (folder / "plan.json").write_text(json.dumps(plan))
    assert write_benchmark_cases(folder)[0] == []
