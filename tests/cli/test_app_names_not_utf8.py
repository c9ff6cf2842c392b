"""Files and folders whose names are not UTF-8, through every command that takes a path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from tests.cli.calls import QUICK, said

from mien.storage.dataset import open_dataset
from mien.video.outputs import OUTPUTS, read_analysis_json

# é in Latin-1, and its visible form
BYTE, SHOWN = os.fsdecode(b"\xe9"), "\\xe9"
SAMPLE = Path(str(files("mien"))) / "sample" / "sample.mp4"
SETTING = '[[setting]]\nname = "=a\\u001b[31m"\nmodel = "majority"\ninputs = ["text"]\ntasks = ["sentiment"]\n'


def done(*arguments):
    """Standard output of a command that must succeed; both streams are UTF-8."""
    command = [sys.executable, "-P", "-m", "mien", *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.returncode == 0, process.stderr.decode()
    process.stderr.decode()
    return process.stdout.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / BYTE
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def data(folder):
    splits = ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    rows = [f"v{n},{k},It was a good day.,{split},{k - 1}\n" for n, split in enumerate(splits) for k in range(3)]
    table = folder / f"{BYTE}.csv"
    table.write_text("video_id,segment_id,text,split,sentiment\n" + "".join(rows), encoding="utf-8")
    printed = done("import", "table", table, "--out", folder / f"data{BYTE}", "--text", "glove-6b-50d", "--json")
    assert json.loads(printed)["name"] == f"data{SHOWN}"
    return folder / f"data{BYTE}"


@pytest.fixture(scope="module")
def run(data, folder):
    done("train", data, "--out", folder / f"run{BYTE}", *QUICK)
    return folder / f"run{BYTE}"


def test_a_dataset_and_a_run(data, run, folder):
    assert f"data{SHOWN}" in done("describe", data)
    # the card names the folder of the Dataset so that it is found again
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["dataset"]["path"] == str(data)
    scores = json.loads(done("evaluate", run, "--bootstrap", 5, "--json"))
    assert scores["runs"][0]["dataset"].startswith(f"data{SHOWN}")
    said("predict", run, "--dataset", data, "--out", folder / f"{BYTE}.parquet")
    said("export", run, "--onnx", "--out", folder / f"{BYTE}.onnx")
    said("diagnose", run, "--out", folder / f"diagnosis{BYTE}", "--bootstrap", 5)
    assert SHOWN in (folder / f"diagnosis{BYTE}" / "diagnosis.md").read_text(encoding="utf-8")


def test_a_benchmark_whose_setting_has_an_evil_name(data, folder):
    suite, out = folder / f"suite{BYTE}.toml", folder / f"benchmark{BYTE}"
    suite.write_text(SETTING, encoding="utf-8")
    printed = done("benchmark", suite, data, "--out", out, "--seeds", 1, "--bootstrap", 5)
    assert "=a\\x1b[31m" in printed
    assert "\x1b" not in printed
    for name in ("scores.csv", "scores.md", "scores.tex", "costs.csv", "results.json", "figures/README.md"):
        assert "\x1b" not in (out / name).read_text(encoding="utf-8"), name
    assert "\n'=a\\x1b[31m," in (out / "scores.csv").read_text(encoding="utf-8")


def test_a_recording_and_its_subtitles(folder):
    video, subtitles, out = folder / f"v{BYTE}.mp4", folder / f"{BYTE}.srt", folder / f"out{BYTE}"
    shutil.copy(SAMPLE, video)
    subtitles.write_text("1\n00:00:00,500 --> 00:00:02,400\nI got the job today,\n", encoding="utf-8")
    printed = done("analyze", video, "--out", out, "--subtitles", subtitles, "--no-tracks")
    assert f"v{SHOWN}.mp4" in printed
    assert {path.name for path in out.iterdir()} == set(OUTPUTS)
    facts = read_analysis_json(out / "analysis.json").video
    assert (facts.name, facts.path) == (f"v{SHOWN}.mp4", video)
    assert 'src="./../v%E9.mp4#t=' in (out / "report.html").read_text(encoding="utf-8")
    assert f"v{SHOWN}.mp4" in (out / "captions.vtt").read_text(encoding="utf-8")


def test_labels_name_such_a_recording_by_its_visible_form(folder):
    videos, labels = folder / f"videos{BYTE}", folder / f"labels{BYTE}.csv"
    videos.mkdir()
    shutil.copy(SAMPLE, videos / f"v{BYTE}.mp4")
    labels.write_text(f"video_id,split,start,end,text\nv{SHOWN},train,0.5,2.4,I got the job\n", encoding="utf-8")
    extractors = ("--text", "glove-6b-50d", "--acoustic", "none", "--visual", "none")
    done("extract", videos, "--labels", labels, "--out", folder / f"extracted{BYTE}", *extractors)
    assert [video.id for video in open_dataset(folder / f"extracted{BYTE}").videos()] == [f"v{SHOWN}"]
