"""Control characters from names and texts never reach a terminal, a table or a caption, in the real process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from mien.printable import printable

# sets the title of a terminal, its clipboard and a link; clears the screen by C1; reverses text; ends a line
EVIL = "x\x1b]0;t\x07\x1b]52;c;eA==\x07\x1b]8;;u\x1b\\\x9b2J\x7f\u202e\u2028y"
SHOWN = printable(EVIL)
SAMPLE = Path(str(files("mien"))) / "sample" / "sample.mp4"
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def run(*arguments, **options):
    command = [sys.executable, "-P", "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, check=False, env=ENVIRONMENT, **options)


def printed(*arguments):
    """What a command writes to both streams: UTF-8 that shows the text and holds no control character."""
    done = run(*arguments, capture_output=True)
    text = (done.stderr + done.stdout).decode()
    assert printable(text) == text
    return text


def write_table(path, *, column="split", split="train", text="hello"):
    rows = "".join(f"{EVIL}{n},{n},{text},{split},1\n" for n in range(3))
    path.write_text(f"video_id,segment_id,text,{column},sentiment\n{rows}", encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["describe", EVIL],
        ["--debug", "describe", EVIL],
        ["describe", "x", EVIL],
        ["describe", f"--{EVIL}"],
        [EVIL],
        ["train", "x", "--out", "y", "--model", EVIL],
        ["train", "x", "--out", "y", "--set", f"{EVIL}=1"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(EVIL, "EVIL"),
)
def test_names_on_the_command_line(arguments):
    assert "x1b" in printed(*arguments)


def test_columns_splits_and_video_ids_of_a_table(tmp_path):
    data = tmp_path / "data"
    table = write_table(tmp_path / "a.csv", column=EVIL)
    assert SHOWN in printed("import", "table", table, "--out", data, "--map", "split=no")
    assert "x1b" in printed("import", "table", write_table(table, split=EVIL), "--out", data)
    (tmp_path / "another.wav").write_bytes(b"RIFF")
    line = printed("extract", tmp_path, "--labels", write_table(table), "--out", data, "--text", "none")
    assert SHOWN in line


def test_a_dataset_and_its_file_on_a_terminal(tmp_path):
    """The colours of a terminal are made by control sequences of mien itself, so only the name is looked for."""
    table = write_table(tmp_path / f"{EVIL}.csv", text=EVIL)
    imported = printed("import", "table", table, "--out", tmp_path / "data", "--name", EVIL, "--json")
    assert json.loads(imported[imported.index("{") :])["origin"]["files"].keys() == {f"{EVIL}.csv"}
    terminal, process_end = pty.openpty()
    run("describe", tmp_path / "data", stdout=process_end, stderr=process_end)
    os.close(process_end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert "\x1b[1m" in shown
    assert "\\x1b]0;t\\x07" in shown
    assert not any(bad in shown for bad in ("\x1b]", "\x07", "\x9b", "\x7f", "\u202e", "\u2028"))


def test_transcripts_and_the_name_of_a_recording(tmp_path):
    video = tmp_path / f"{EVIL}.mp4".replace("/", "")
    video.symlink_to(SAMPLE)
    subtitles = tmp_path / "a.srt"
    subtitles.write_text(f"1\n00:00:00,500 --> 00:00:02,400\n{EVIL}\n", encoding="utf-8")
    call = ("analyze", video, "--out", tmp_path / "out", "--subtitles", subtitles, "--no-tracks")
    assert SHOWN in printed(*call)
    for name in ("analysis.json", "utterances.csv", "captions.vtt", "report.html"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert printable(text) == text, name
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    assert facts["video"]["name"] == video.name
