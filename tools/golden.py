"""Checks that a source tree gives the same results as an older commit, for small fixed inputs.

    MIEN_DATA=DATA .venv/bin/python tools/golden.py --against COMMIT [--tree DIR] [--only NAME...] [--keep DIR]

Takes the `src` of COMMIT (old) and a copy of the `src` in DIR (new), runs every item of `ITEMS` with both, and compares
all files that they write: Datasets byte for byte, files with probabilities to 1e-5, all other numbers to 1e-9, words
exactly. Then the new tree reads the files of the old one ("old files"): it describes the Datasets, resumes, scores and
exports the runs, repeats the benchmarks, and must print the same. Exits with 0 only if everything agrees.

It uses only the command line and the public names of `mien`, so internal changes do not affect it. Items whose data is
not in MIEN_DATA, or whose packages are not installed, are left out, with the reason. Each item is a process per tree,
forked from one that has loaded `PRELOADED`, because loading libraries takes most of a short command's time.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import multiprocessing
import os
import random
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pyarrow import parquet

PRELOADED = ["lightning_fabric", "pandas", "pyarrow.dataset", "pyarrow.parquet", "sklearn.metrics", "torch", "typer"]
BYTES, PROBABILITIES, OTHERS = "Datasets by byte", "probabilities 1e-5", "scores 1e-9"
TOLERANCE = {BYTES: 0.0, PROBABILITIES: 1e-5, OTHERS: 1e-9}
LOOSE = ("*.parquet", "analysis.json", "utterances.csv", "captions.vtt", "*-analyze.json", "*-answer*.json")

# Permitted differences are listed only here. JSON keys, at any depth, that are not compared:
MASKED = {
    *("mien_version", "mien.version", "versions"),
    *("seconds_per_epoch", "train_seconds", "peak_memory_mib", "disk_mib"),
    *("sha256", "of", "mien.weights_sha256"),  # of files of a run, which contain the above
}
# JSON keys of messages: their numbers are compared, their words are not. Nor are the words of Markdown outside of
# tables and headings.
MESSAGES = {"absent", "caveats", "citation", "description", "failures", "left_out", "needs", "note", "notes", "reason"}
# Files that both trees must write but that are not compared: times, or other forms of compared files. Hidden files
# (locks, caches) are ignored, and the folders of a tree become ".".
LEFT_OUT = ("*.safetensors", "*.onnx", "*.html", "*.svg", "*.pdf", "*.png", "costs.*")

# NAME: required DATA and +PACKAGES | commands of `mien`, to which --json is added. "!": must fail. ">": the new tree
# also runs it on old files; so it does, without a mark, `describe` of every Dataset and repeated `train` and
# `benchmark` commands. `judge RUNS on DATASET under PROTOCOLS`: see `read_items`; `answer`: see `CALLS`.
ITEMS = """
analyze: +av +faster_whisper +ai_edge_litert +cv2 | analyze IN/videos/sample.mp4 --out heard
    analyze IN/videos/sample.mp4 --out read --subtitles IN/videos/sample.srt --no-tracks
benchmark: | import planted --out planted --map rule=fusion --map videos=30
    benchmark IN/suite.toml planted --out suite --seeds 2 --set epochs=1 --bootstrap 200 --workers 1
benchmark-tasks: | import table IN/scores.csv --out talks --text glove-6b-50d
    benchmark tasks talks --out tasks --seeds 1 --set epochs=1 --bootstrap 200 --workers 1
tuned: | import table IN/talks.csv --out talks
    train talks --out tuned --model cim-tuned FOUR --set epochs=1 --set threads=1
    > judge tuned on talks under clean fixed released | > judge mosei-text on talks under clean fixed
    > evaluate mosei-text --dataset talks --split valid --bootstrap 0
extract: +av +afx_audio +ai_edge_litert +cv2 | extract IN/videos --labels IN/labels.csv --out extracted
cim: | import planted --out planted --map rule=fusion --map videos=40
    train planted --out cim-0 --set epochs=2 | train planted --out cim-1 --set epochs=2 --seed 1
    train planted --out released --set epochs=2 --model cim-released --set gru_size=30
    > judge cim-0 cim-1 on planted under clean fixed released | > judge released on planted under clean fixed released
    > compare cim-0 --with released --bootstrap 100 | > answer cim-0 planted
four-tasks: | import table IN/talks.csv --out talks --text glove-6b-50d
    train talks --out four FOUR --set epochs=2
    train talks --out weighed FOUR --set epochs=2 --set task_weighting=uncertainty --set select_by=loss
    > judge four on talks under clean fixed released
    > judge weighed on talks under clean fixed | > compare four --with weighed --bootstrap 100
words: | import planted --out planted --map rule=fusion --map videos=40
    train planted --out mfn --model mfn --set epochs=2 | train planted --out mm-dictionary --model mm-dictionary
    > judge mfn on planted under clean fixed released | > judge mm-dictionary on planted under clean fixed
classical: | import table IN/talks.csv --out talks --text glove-6b-50d --words
    train talks --out mkl-svm --model mkl-svm | train talks --out majority --model majority FOUR
    > judge mkl-svm on talks under clean fixed | > judge majority on talks under clean
onnx: +onnx +onnxruntime | import planted --out planted --map rule=fusion --map videos=20
    train planted --out run --set epochs=1 | > export run --onnx --out run.onnx | > answer-onnx run.onnx planted
table: mosei | import table IN/mosei --out plain --name other
    import table IN/mosei --out sentences --text minilm --rename-split valid=test --carve valid=0.2
    import table IN/mosei/train.csv --out words --text glove-6b-50d --words --carve valid=0.2 --carve-seed 3
mapped: | import table IN/mapped.csv --out mapped --map text=said --map sentiment=score --map index=nr
    ! import table IN/talks.csv --out none --map text=nothing
planted: | import planted --out text --map rule=text --map videos=30 --map seed=2
    import planted --out context --map rule=context-fusion | import planted --out alignment --map rule=alignment
csd: csd_by_sdk | import csd DATA/csd_by_sdk --out csd
    import csd DATA/csd_by_sdk --out two --workers 2 --no-words --map visual=FACET_4.2
mmsa: mmsa_format hostile_pickles | ! import mmsa DATA/hostile_pickles/os_system.pkl --out refused
    import mmsa DATA/mmsa_format/aligned_50.pkl --out one | import mmsa DATA/mmsa_format/unaligned_50.pkl --out two
arrays: mosi | import arrays DATA/mosi/mosi_2199.npz --out mosi --carve valid=0.2
npz: npz_authors_format | import npz DATA/npz_authors_format --out npz
mult: mult_format | import mult DATA/mult_format --out mult
meld: meld | import meld IN/meld --out meld --carve test=0.1
listing: | models | extractors
"""
FOUR = "--tasks sentiment,emotion,sentiment_intensity,emotion_intensity"
SUITE = '[[setting]]\nname="cim"\n[[setting]]\nname="words"\nmodel="mfn"\n[[setting]]\nmodel="majority"\n'
SUBSETS = {"mosei/train.csv": 80, "mosei/valid.csv": 40, "meld/train_sent_emo.csv": 300, "meld/dev_sent_emo.csv": 80}
EMOTIONS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
MOODS = ("awful", "bad", "dull", "plain", "good", "lovely")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Item(NamedTuple):
    """Commands that write files (`make`) and that read them (`use`); the new tree also runs `use` on old files."""

    name: str
    needs: list[str]
    make: list[str]
    use: list[str]


def read_items(data: Path) -> Iterator[Item]:
    """Parse `ITEMS`."""
    text = ITEMS.strip().replace(" IN/", " ../../inputs/").replace("DATA/", f"{data}/").replace("FOUR", FOUR)
    for block in re.split(r"\n(?=\S)", text):
        head, *steps = re.split(r" \| |\n +", block)
        make = [step for step in steps if step[0] != ">"]
        again = [re.sub(r"^(import|extract) .*--out (\S+).*", r"describe \2", step) for step in make]
        again = [step for step in again if step.startswith(("describe", "train", "benchmark"))]
        use = [re.sub(r"^train .*", r"\g<0> --resume", step) for step in again]
        for step in (step[2:] for step in steps if step[0] == ">"):
            if not step.startswith("judge"):
                use.append(step)
                continue
            runs, dataset, protocols = re.split(" on | under ", step.removeprefix("judge "))
            on = f"{runs} --dataset {dataset} --bootstrap 100"
            use += [*(f"evaluate {on} --protocol {name}" for name in protocols.split()), f"diagnose {on}"]
            use += [f"predict {run} --dataset {dataset} --out {run}.parquet" for run in runs.split()]
        yield Item(head.split(":")[0], head.split()[1:], make, use)


def work(scratch: Path, tree: str, item: Item) -> None:
    """Run an item in this process, or exit with a message; the output of commands is written to the folder `said`.

    In the tree `mixed` the new code uses the files of the old one.
    """
    with open(scratch / tree / f"{item.name}.log", "w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 2)
    source = scratch / "trees" / tree.replace("mixed", "new") / "src"
    os.chdir(scratch / tree / item.name)
    os.environ["PYTHONPATH"] = sys.path[0] = str(source)  # instead of the folder of this file
    spec = find_spec("mien")
    if spec is None or not str(spec.origin).startswith(str(source)):
        sys.exit(f"Expected mien in {source}, but got {spec and spec.origin}")
    Path("said").mkdir(exist_ok=True)
    for number, step in list(enumerate(item.make + item.use))[len(item.make) if tree == "mixed" else 0 :]:
        if (tree, number) == ("old", len(item.make)):
            shutil.copytree(".", scratch / "mixed" / item.name)
        words = shlex.split(step.removeprefix("! "))
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = CALLS.get(words[0], command)(words)
        if bool(code) != step.startswith("! "):
            sys.exit(f"mien {step}: exit code {code}")
        Path("said", f"{number:02}-{words[0]}.json").write_text(output.getvalue() or "{}", encoding="utf-8")


def command(words: Sequence[str]) -> int | str | None:
    """Run `python -m mien ...`; return its exit code."""
    sys.argv = ["mien", *words, "--json"]
    path = sys.path.copy()
    # Python's -m puts the current folder there, and `mien` takes it away again
    sys.path.insert(0, os.getcwd())
    try:
        runpy.run_module("mien", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code
    finally:
        sys.path[:] = path
    return None


def answer(words: Sequence[str]) -> None:
    """Print attention and prediction of a loaded model: the numbers, sorted, independent of their types."""
    import mien

    np.set_printoptions(threshold=sys.maxsize, precision=17)
    model, dataset = mien.load_model(words[1]), mien.open_dataset(words[2])
    outputs = (model.attention(dataset.columns("test")), model.predict_video(one_video(words[2])))
    sys.stdout.write(json.dumps([sorted(map(float, found_in(repr(each)))) for each in outputs]))


def answer_onnx(words: Sequence[str]) -> None:
    """Print the outputs of an exported graph for a video, by onnxruntime."""
    import onnxruntime

    session, inputs = onnxruntime.InferenceSession(words[1]), one_video(words[2])
    inputs |= {f"{name}_present": rows[:, 0] == rows[:, 0] for name, rows in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    sys.stdout.write(json.dumps([values.tolist() for values in session.run(names, inputs)] + names))


CALLS = {"answer": answer, "answer-onnx": answer_onnx}


def one_video(dataset: str) -> dict[str, Any]:
    """Return features of the first test video: modality -> (utterance, feature)."""
    rows = [row for row in parquet.read_table(f"{dataset}/utterances.parquet").to_pylist() if row["split"] == "test"]
    rows = [row for row in rows if row["video_id"] == rows[0]["video_id"]]
    return {name: np.array([row[name] for row in rows], "float32") for name in ("text", "acoustic", "visual")}


def write_inputs(folder: Path, package: Path, data: Path) -> None:
    """Write small input files, always the same; of real data sets that exist, the first rows (`SUBSETS`)."""
    shutil.copytree(package / "sample", folder / "videos")
    (folder / "suite.toml").write_text(SUITE, encoding="utf-8")
    header, *rows = made_up_talks()
    names = {"text": "said", "sentiment": "score", "segment_id": "nr"}
    tables = {
        "talks.csv": [header, *rows],
        "scores.csv": [line[:7] for line in (header, *rows)],
        "mapped.csv": [[names.get(name, name) for name in header], *rows],
        "labels.csv": [header, ["sample", 0, 0.8, 4.1, "train", "I got the job!", 2, 0, 0, 0, 3, 0, 1]],
    }
    for name, n_rows in SUBSETS.items():
        if (data / name).is_file():
            with open(data / name, encoding="utf-8", newline="") as file:
                tables[name] = list(islice(csv.reader(file), n_rows))
    for name, table in tables.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


def made_up_talks() -> Iterator[list[Any]]:
    """Yield a header and 60 videos of 2 to 6 sentences, not in time order; labels are degrees, some missing."""
    draw = random.Random(0)
    yield ["video_id", "segment_id", "start", "end", "split", "text", "sentiment", *EMOTIONS]
    for video in range(60):
        split = ("train", "train", "train", "valid", "test")[video % 5]
        for number in draw.sample(range(6), draw.randint(2, 6)):
            moods = [draw.randrange(len(MOODS)) for _ in range(3)]
            text = "it was {}, or {}, and the end was {}.".format(*(MOODS[mood] for mood in moods))
            score, start = round(sum(moods) / 3 - 2.5, 6), 4 * number + draw.random()
            degrees = [draw.randint(-2, 2) + score * (1 if name in ("happy", "surprise") else -1) for name in EMOTIONS]
            labels: list[Any] = [score, *(round(min(max(degree, 0), 3), 6) for degree in degrees)]
            labels = [""] * 7 if number == video % 30 else labels
            yield [f"talk-{video:02}", number, start, start + 3, split, text, *labels]


def compare_folders(old: Path, new: Path) -> dict[str, list[tuple[int, float, list[str]]]]:
    """Compare two folders: kind -> results of `compare_files`. Files unchanged since they were copied are ignored."""
    results: dict[str, list[tuple[int, float, list[str]]]] = {}
    names = [{str(path.relative_to(side)) for path in side.rglob("[!.]*") if path.is_file()} for side in (old, new)]
    for name in sorted(each for each in names[0] | names[1] if "/." not in f"/{each}"):
        in_dataset = any((old / parent / "dataset.json").is_file() for parent in Path(name).parents)
        left_out, loose = (any(Path(name).match(each) for each in several) for several in (LEFT_OUT, LOOSE))
        kind = BYTES if in_dataset else PROBABILITIES if loose else OTHERS
        if name not in names[0] & names[1]:
            text = f"{name}: only in {'old' if name in names[0] else 'new'}"
            results.setdefault(kind, []).append((0, math.inf, [text]))
        elif not left_out and (old / name).stat().st_mtime_ns != (new / name).stat().st_mtime_ns:
            results.setdefault(kind, []).append(compare_files(old, new, name, kind))
    return results


def compare_files(old: Path, new: Path, name: str, kind: str) -> tuple[int, float, list[str]]:
    """Return number of values (or of equal bytes), largest difference (relative for large values), differences."""
    contents = [(side / name).read_bytes() for side in (old, new)]
    if kind == BYTES and contents[0] == contents[1]:
        return len(contents[0]), 0.0, []
    differences = [f"{name}: other bytes"] if kind == BYTES else []
    before, after = (dict(leaves(side, name)) for side in (old, new))
    if missing := sorted(before.keys() ^ after.keys()):
        differences.append(f"{name}: {len(missing)} values in one only, such as {missing[0]}")
    largest = 0.0
    for key in sorted(before.keys() & after.keys()):
        a, b = before[key], after[key]
        if a == b or repr(a) == repr(b):  # NaN
            continue
        difference = abs(a - b) / max(1.0, abs(a)) if {type(a), type(b)} <= {int, float} else math.inf
        largest = max(largest, difference)
        if not difference <= TOLERANCE[kind]:
            differences.append(f"{name}: {key}: {a!r} and {b!r}")
    return len(before), largest, differences


def leaves(side: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each value of a file that is not masked: its place in the file, and a number or text."""
    path = side / name
    if path.suffix == ".parquet":
        yield "metadata", parquet.read_schema(path).metadata
        yield from flat(parquet.read_table(path).to_pydict())
        return
    text = path.read_text(encoding="utf-8")
    for folder in (*(f"{tree}/{side.name}" for tree in ("old", "new", "mixed")), "trees/old", "trees/new"):
        text = text.replace(f"{side.parents[1]}/{folder}", ".")
    if path.suffix == ".json":
        yield from flat(json.loads(text))
        return
    for number, line in enumerate(text.splitlines(), 1):
        words = NUMBER.split(line) if path.suffix != ".md" or line.startswith(("|", "#")) else []
        yield from flat([words, found_in(line)], f"line {number}")


def flat(facts: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries and lists with their path of keys."""
    if isinstance(facts, dict):
        for name in facts.keys() - MASKED:
            yield from flat(found_in(json.dumps(facts[name])) if name in MESSAGES else facts[name], f"{key}/{name}")
    elif isinstance(facts, list):
        yield f"{key}/length", len(facts)
        for number, value in enumerate(facts):
            yield from flat(value, f"{key}/{number}")
    else:
        yield key, facts


def found_in(text: str) -> list[float | str]:
    """Find the numbers in a text."""
    return [float(number) if math.isfinite(float(number)) else number for number in NUMBER.findall(text)]


def in_process(scratch: Path, tree: str, item: Item) -> str:
    """Run `work` in a new process; return why it failed, or an empty text."""
    (scratch / tree / item.name).mkdir(parents=True, exist_ok=True)
    started, log = time.monotonic(), scratch / tree / f"{item.name}.log"
    process = multiprocessing.Process(target=work, args=(scratch, tree, item))
    process.start()
    process.join()
    sys.stderr.write(f"{time.monotonic() - started:6.1f} s  {item.name}, {tree}\n")
    return log.read_text(encoding="utf-8").strip()[-600:] or "it died" if process.exitcode else ""


def run_items(scratch: Path, items: Sequence[Item]) -> bool:
    """Run all items, two processes at a time, and print the table; return whether everything agrees."""
    jobs: dict[tuple[str, str], Future[str]] = {}
    with ThreadPoolExecutor(2) as pool:
        for item in items:
            jobs |= {(item.name, tree): pool.submit(in_process, scratch, tree, item) for tree in ("old", "new")}
        for item in items:
            if item.use and not jobs[item.name, "old"].result():
                jobs[item.name, "mixed"] = pool.submit(in_process, scratch, "mixed", item)
    differences = [f"{name}, {tree}: {job.result()}\n" for (name, tree), job in jobs.items() if job.result()]
    row = "{:<16} {:<9} {:<19} {:>5} {:>9}  {:>10}  {}\n".format
    sys.stdout.write(row("item", "tree", "compared", "files", "values", "difference", "equal"))
    for (name, tree), job in sorted(jobs.items(), key=lambda each: each[0][1] == "mixed"):
        if job.result():
            sys.stdout.write(row(name, tree, "failed", "", "", "", "NO"))
        if tree == "old" or job.result() or jobs[name, "old"].result():
            continue
        for kind, compared in compare_folders(scratch / "old" / name, scratch / tree / name).items():
            n_values, largest = sum(each[0] for each in compared), max(each[1] for each in compared)
            texts = [f"{name}, {tree}: {text}\n" for each in compared for text in each[2]]
            facts = (len(compared), n_values, f"{largest:.1e}", "NO" if texts else "yes")
            sys.stdout.write(row(name, tree.replace("mixed", "old files"), kind, *facts))
            differences += [*texts[:8], f"{name}, {tree}: and {len(texts) - 8} more\n"] if len(texts) > 8 else texts
    sys.stdout.write("".join(differences) or "Everything agrees.\n")
    return not differences


def main() -> None:
    """Parse, run, and exit with 0 only if everything agrees."""
    started, data = time.monotonic(), Path(os.environ.get("MIEN_DATA") or "MIEN_DATA is not set").resolve()
    items = list(read_items(data))
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--against", metavar="COMMIT", required=True, help="the old tree")
    parser.add_argument("--tree", metavar="DIR", type=Path, default=Path(__file__).parents[1], help="the new tree")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=[item.name for item in items], help="these items")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work in this new folder, and leave everything there")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the trees are copies, to be compiled once
    multiprocessing.set_start_method("forkserver")
    multiprocessing.set_forkserver_preload(PRELOADED)
    chosen = [item for item in items if item.name in (arguments.only or [item.name])]
    for item in chosen.copy():
        available = {need: find_spec(need[1:]) if need[0] == "+" else (data / need).is_dir() for need in item.needs}
        if absent := ", ".join(need for need in available if not available[need]):
            chosen.remove(item)
            sys.stdout.write(f"left out: {item.name}, for want of {absent} (data: {data})\n")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (arguments.keep or Path(temporary)).resolve()
        # copies of `src`, so that edits during the run have no effect
        archive = subprocess.run(
            ["git", "archive", arguments.against, "src"], cwd=arguments.tree, check=True, capture_output=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(scratch / "trees" / "old", filter="data")
        shutil.copytree(arguments.tree / "src", scratch / "trees" / "new" / "src")
        write_inputs(scratch / "inputs", scratch / "trees" / "old" / "src" / "mien", data)
        agrees = run_items(scratch, chosen)
    sys.stdout.write(f"{time.monotonic() - started:.0f} s\n")
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
