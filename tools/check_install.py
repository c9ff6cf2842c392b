"""Check that mien installs and works outside of its checkout, as a user would install it.

    python tools/check_install.py dist/mien-*.whl [--python python3.12] [--bare-only]

1. ``pip install WHEEL`` in a new environment: every command works, or names the extra that is missing, within
   `MAX_S` of processor time and without asking the network.
2. ``pip install 'WHEEL[all]'`` in a new environment: `mien demo` writes its report, also without network.

Set PIP_CONSTRAINT=constraints.txt for the versions that the tests use.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# a command that names a missing extra takes no longer than this
MAX_S = 2.0
# A module that Python imports at its start: a process that asks the network ends with exit code 99.
NO_NETWORK = """
import os, socket
def refuse(*arguments, **options):
    os.write(2, f"the network was asked: {arguments[1:] or arguments}\\n".encode())
    os._exit(99)
socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
"""
CLIP = "{package}/sample/sample.mp4"
TABLE = "video_id,start,end,text,split,sentiment,happy,sad,anger,surprise,disgust,fear\n" + "".join(
    f"{split}{video},{3 * n},{3 * n + 2},We went home.,{split},{n - 1},{n},0,0,0,0,{2 - n}\n"
    for split in ("train", "valid", "test")
    for video in range(3)
    for n in range(3)
)
SUITE = '[[setting]]\nname = "majority"\nmodel = "majority"\n'
# Each command that a bare installation runs to its end, on what the commands before it wrote.
WORKING = (
    "--version",
    "--help",
    "doctor",
    "doctor --json",
    "models",
    "extractors",
    "readers",
    "import planted --out data",
    "import table table.csv --out words",
    "describe data",
    "train data --out run0 --model majority",
    "train data --out run1 --set epochs=1",
    "evaluate run0",
    "compare run0 --with run1",
    "predict run0 --dataset data --out predictions.parquet",
    "diagnose run1",
    "benchmark suite.toml data --out bench --seeds 1",
)
# Command -> the extra that it names: first the weights, then the packages that use them.
NEEDING = {
    f"analyze {CLIP} --out out": "text",
    "demo": "text",
    "import table table.csv --out minilm --text minilm": "offline",
    "import table table.csv --out glove --text glove-6b-50d": "offline",
    "train words --out tuned --model cim-tuned --inputs text": "text",
    "evaluate mosei-text --dataset words": "text",
    "predict mosei-text --dataset words --out predictions.parquet": "text",
    "extract clips --labels table.csv --out extracted": "offline",
    "extract clips --labels table.csv --out extracted --text none": "media",
    "extract clips --labels table.csv --out extracted --text none --visual none --acoustic egemaps": "media",
    "export run1 --onnx": "onnx",
    "benchmark suite.toml data --out elsewhere --engine dask": "dask",
    "benchmark suite.toml data --out elsewhere --engine ray": "ray",
}


def install(folder: Path, python: str, what: str) -> Path:
    """Install a requirement into a new environment in a folder, and return the folder of its programs."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", what], check=True, cwd=folder)
    return folder / "bin"


def mien(programs: Path, folder: Path, command: str) -> tuple[int, str, float]:
    """Run a command without network. Return its exit code, its output and the seconds of processor time it took."""
    package = next(programs.parent.glob("lib/python3*/site-packages/mien"))
    environment = {**os.environ, "PYTHONPATH": str(folder / "start"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [programs / "mien", *command.format(package=package).split()],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, done.stdout + done.stderr, took_s


def prepare(folder: Path) -> Path:
    """Write what the commands read into a folder."""
    (folder / "start").mkdir(parents=True)
    (folder / "start" / "sitecustomize.py").write_text(NO_NETWORK)
    (folder / "table.csv").write_text(TABLE)
    (folder / "suite.toml").write_text(SUITE)
    (folder / "clips").mkdir()
    for line in TABLE.splitlines()[1:]:
        (folder / "clips" / f"{line.partition(',')[0]}.mp4").touch()
    return folder


def check_bare(programs: Path, folder: Path) -> list[str]:
    """Run every command in a bare installation, print what each did, and return what is wrong."""
    wrong = []
    mien(programs, folder, "doctor")  # so that nothing is left to compile
    for command, extra in [*((command, "") for command in WORKING), *NEEDING.items()]:
        code, output, took_s = mien(programs, folder, command)
        last = output.strip().splitlines()[-1] if output.strip() else ""
        ok = f"mien[{extra}]" in output and code == 1 and took_s <= MAX_S if extra else code == 0
        print(
            f"{'ok ' if ok else 'BAD'} {took_s:5.2f} s  mien {command}"
            + ("" if ok and not extra else f"\n      {last}")
        )
        if not ok:
            wrong.append(command)
    return wrong


def main() -> None:
    """Install the wheel and run the checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--bare-only", action="store_true")
    call = parser.parse_args()
    wheel = call.wheel.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        wrong = check_bare(install(root / "bare", call.python, str(wheel)), prepare(root / "work"))
        if not call.bare_only:
            programs = install(root / "all", call.python, f"{wheel}[all]")
            code, output, took_s = mien(programs, prepare(root / "demo"), "demo")
            made = (root / "demo" / "mien-demo" / "report.html").is_file()
            print(f"{'ok ' if made and code == 0 else 'BAD'} {took_s:5.2f} s  mien demo")
            if not made or code:
                wrong.append("demo")
                print(output)
    sys.exit(f"wrong: {', '.join(wrong)}" if wrong else None)


if __name__ == "__main__":
    main()
