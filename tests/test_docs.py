"""README.md and docs/: prose lines are short, links have targets, and the code of the README runs."""

from __future__ import annotations

import ast
import csv
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mien.schema import EMOTIONS
from mien.video.demo import sample_clip

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")
MAX_PROSE_CHARACTERS = 120
MAX_LINES = {"docs/architecture.md": 150, "docs/benchmarks.md": 200}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def outside_code(text):
    """Yield number and text of the lines outside of code blocks."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, line


def anchors(path):
    """Return the anchors of a page's headings, formed as on GitHub."""
    headings = [line.lstrip("#").strip() for _, line in outside_code(path.read_text("utf-8")) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_examples_import_names_that_exist(path):
    for block in code_blocks("python", path.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mien"):
                module = importlib.import_module(str(node.module))
                assert not [name.name for name in node.names if not hasattr(module, name.name)], node.module


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_ends_before_column_120_and_pages_keep_their_length(path):
    text = path.read_text(encoding="utf-8")
    too_long = [n for n, line in outside_code(text) if len(line) > MAX_PROSE_CHARACTERS and not line.startswith("|")]
    assert not too_long, f"lines {too_long} of {path.name}"
    assert len(text.splitlines()) <= MAX_LINES.get(str(path.relative_to(ROOT)), len(text.splitlines()))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_a_page_and_a_heading(path):
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{path.name} links to {link}"


@pytest.fixture
def workplace(tmp_path):
    """A folder with the files that the README uses: train.csv, valid.csv and talk.mp4."""
    folder = tmp_path
    sentences = ("I love this film.", "This was a terrible day.", "We went home.", "They were surprised and happy.")
    for name, n_videos in (("train", 12), ("valid", 4)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "start", "end", "text", "split", "sentiment", *EMOTIONS])
            for video in range(n_videos):
                for index, sentence in enumerate(sentences):
                    degrees = [(video + index + column) % 3 for column in range(len(EMOTIONS))]
                    times = (3.0 * index, 3.0 * index + 2)
                    writer.writerow([f"{name}-{video}", *times, sentence, name, (2, -2, 0, 1)[index], *degrees])
    shutil.copy(sample_clip(), folder / "talk.mp4")
    return folder


def run_in(folder, command):
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shell_blocks():
    """Return the shell commands in the order of the page, without the installation."""
    return [block for block in code_blocks("sh") if "make setup" not in block]


def run_shell(folder, block):
    return run_in(folder, ["bash", "-e", "-c", block])


@pytest.mark.slow
def test_the_commands_and_the_python_of_the_readme_run(workplace):
    three_commands, _benchmark, analyze, trained = shell_blocks()
    (python,) = code_blocks("python")
    assert "trivial: majority of train" in run_shell(workplace, three_commands)
    shutil.rmtree(workplace / "data")
    shutil.rmtree(workplace / "runs" / "mosei-0")
    run_in(workplace, [sys.executable, "-c", python])
    run_shell(workplace, analyze)
    assert (workplace / "report" / "report.html").exists()
    shutil.copytree(workplace / "data" / "mosei", workplace / "data" / "corpus")
    run_shell(workplace, trained)
    assert (workplace / "corpus.parquet").exists()


@pytest.mark.exhaustive
def test_the_benchmark_of_the_readme_runs(workplace):
    """With one short run per system instead of five full ones."""
    three_commands, benchmark, *_ = shell_blocks()
    run_shell(workplace, three_commands.splitlines()[0])
    quick = benchmark.replace(" --out ", " --seeds 1 --set epochs=1 --bootstrap 50 --out ")
    assert "trivial" in run_shell(workplace, quick)
