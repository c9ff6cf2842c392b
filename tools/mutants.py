"""Changes one detail of the code at a time and counts how often the tests of that module notice it.

    python tools/mutants.py OUT [--number 500] [--seed 0] [--processes 2]
    python tools/mutants.py OUT --again FILE    # only the mutants that survived in FILE (a former OUT)

Mutants are drawn without replacement from all numbers, truth values, comparisons, arithmetic and logical operators, and
calls such as min and max in `models/`, `training/`, `evaluation/` and `metrics/`, outside of docstrings, annotations
and error messages. Each is tested by the test files named after its module; where there are none, by the contract test
of its table, then by the tests that import the module, then by those of its package. A mutant is killed when a test
fails or when the tests take much longer than without it. OUT gets one JSON object per line.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "mien"
TESTS = ROOT / "tests"
PACKAGES = ("models", "training", "evaluation", "metrics")
SLOWEST_TEST_FILE_S = 150.0  # without a mutant; a slower one is left out where another remains
TIMEOUT_FACTOR, TIMEOUT_EXTRA_S = 4.0, 30.0
CONTRACTS = {"models": "models", "models/classical": "classical_models", "metrics": "metrics"}
OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.MatMult: ("@", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
SWAPPED_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "argmin": "argmax",
    "argmax": "argmin",
    "floor": "ceil",
    "ceil": "floor",
}


@dataclass(frozen=True)
class Mutant:
    """One change: `before` at a position of a file becomes `after`."""

    number: int  # in the draw; it does not change as long as only texts of the code change
    path: str  # relative to src/mien
    start: int  # characters from the beginning of the file
    line: int
    before: str
    after: str


def find_mutants(path: Path) -> list[Mutant]:
    """Find all mutants of a file, in the order of their positions."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines()

    def offset(line: int, column_bytes: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column_bytes].decode())

    found = []
    for node in _changeable_nodes(ast.parse(text)):
        for begin, end, replaced in _replacements(node):
            first, last = offset(*begin), offset(*end)
            segment = text[first:last]
            for before, after in replaced:
                index = _index_of(segment, before)
                if index is not None:
                    position = first + index
                    line = text.count("\n", 0, position) + 1
                    found.append(Mutant(0, str(path.relative_to(SOURCES)), position, line, before, after))
    return sorted(set(found), key=lambda mutant: (mutant.start, mutant.after))


def _changeable_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree outside of annotations, docstrings, error messages and formatted strings."""
    yield node
    skipped = {"annotation", "returns", "decorator_list", "type_comment"}
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changeable_nodes(child)


Position = tuple[int, int]


def _replacements(node: ast.AST) -> Iterator[tuple[Position, Position, list[tuple[str, str]]]]:
    """Yield start and end of each replaceable segment of a node, and its (before, after) pairs."""

    def start(item: Any) -> Position:
        return item.lineno, item.col_offset

    def end(item: Any) -> Position:
        return item.end_lineno, item.end_col_offset

    if isinstance(node, ast.Constant):
        yield start(node), end(node), [(ast.unparse(node), other) for other in _other_values(node.value)]
    elif isinstance(node, ast.BinOp):
        yield end(node.left), start(node.right), [OPERATORS[type(node.op)]] if type(node.op) in OPERATORS else []
    elif isinstance(node, ast.BoolOp):
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield end(left), start(right), [OPERATORS[type(node.op)]]
    elif isinstance(node, ast.Compare):
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            yield end(left), start(right), [OPERATORS[type(operator)]]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        sign = {ast.Not: "not ", ast.USub: "-", ast.Invert: "~"}[type(node.op)]
        yield start(node), start(node.operand), [(sign, "")]
    elif isinstance(node, ast.Call):
        name = node.func
        text = name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""
        if text in SWAPPED_NAMES:
            begin = start(name) if isinstance(name, ast.Name) else end(name.value)  # type: ignore[attr-defined]
            yield begin, end(name), [(text, SWAPPED_NAMES[text])]


def _other_values(value: object) -> list[str]:
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int):
        return [str(value + 1)] if value in (0, 1) else [str(value + 1), "0"]
    if isinstance(value, float):
        return ["1.0"] if value == 0 else ["0.0", repr(2 * value)]
    return []


def _index_of(segment: str, before: str) -> int | None:
    index = segment.find(before)
    return None if index < 0 else index


def draw_mutants(number: int, seed: int) -> list[Mutant]:
    """Draw mutants, at most one per position.

    Args:
        number: Number of mutants.
        seed: Seed of the random numbers.

    Returns:
        Mutants in random order, numbered from 0.
    """
    rng = random.Random(seed)
    places: dict[tuple[str, int], list[Mutant]] = {}
    for package in PACKAGES:
        for path in sorted((SOURCES / package).rglob("*.py")):
            for mutant in find_mutants(path):
                places.setdefault((mutant.path, mutant.start), []).append(mutant)
    drawn = [rng.choice(places[place]) for place in rng.sample(sorted(places), number)]
    return [replace(mutant, number=count) for count, mutant in enumerate(drawn)]


def test_files_of(path: str) -> list[Path]:
    """Return the test files that test a module, by the rules at the top of this file."""
    module = Path(path)
    folder = TESTS / module.parent
    own = sorted(
        each
        for each in folder.glob("test_*.py")
        if f"{each.stem.removeprefix('test_')}_".startswith(f"{module.stem.strip('_')}_")
    )
    contract = TESTS / "contracts" / f"test_{CONTRACTS.get(str(module.parent), '')}.py"
    if own or contract.exists():
        return own + [contract] * (contract.exists() and (not own or module.parent.name == "classical"))
    name = ".".join(["mien", *module.with_suffix("").parts]).removesuffix(".__init__")
    tests = sorted(TESTS.rglob("test_*.py"))
    importing = [each for each in tests if f"from {name} import" in each.read_text(encoding="utf-8")]
    return importing or sorted((TESTS / module.parts[0]).rglob("test_*.py"))


def run_tests(files: list[Path], sources: Path, timeout_s: float) -> tuple[bool, float]:
    """Run test files on a copy of the sources in a forked process.

    Args:
        files: Test files.
        sources: Folder that holds the package `mien`.
        timeout_s: Seconds after which the tests count as failed.

    Returns:
        Whether all tests passed, and their duration in seconds.
    """
    start_s = time.monotonic()
    process = os.fork()
    if process == 0:
        _run_pytest(files, sources)
    while time.monotonic() - start_s < timeout_s:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return status == 0, time.monotonic() - start_s
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False, time.monotonic() - start_s


def _run_pytest(files: list[Path], sources: Path) -> None:
    """Run pytest without output, and exit with its status."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.environ["PYTHONPATH"] = str(sources)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(sources))
    os.chdir(ROOT)
    import pytest

    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *map(str, files)])
    os._exit(int(status))


def _test_mutant(mutant: Mutant, seconds_of: dict[str, float]) -> dict[str, Any]:
    """Test one mutant in this process's own copy of the sources."""
    sources = _copy_of_sources()
    path = sources / "mien" / mutant.path
    text = path.read_text(encoding="utf-8")
    if text[mutant.start : mutant.start + len(mutant.before)] != mutant.before:
        raise ValueError(f"Expected {mutant.before!r} at {mutant.path}:{mutant.line}, but the file has changed")
    files = test_files_of(mutant.path)
    quick = [each for each in files if seconds_of[str(each)] <= SLOWEST_TEST_FILE_S] or files
    limit_s = TIMEOUT_FACTOR * sum(seconds_of[str(each)] for each in quick) + TIMEOUT_EXTRA_S
    path.write_text(text[: mutant.start] + mutant.after + text[mutant.start + len(mutant.before) :], encoding="utf-8")
    try:
        passed, seconds = run_tests(quick, sources, limit_s)
    finally:
        path.write_text(text, encoding="utf-8")
    return {**asdict(mutant), "survived": passed, "seconds": round(seconds, 1), "tests": [each.name for each in quick]}


def _copy_of_sources() -> Path:
    folder = Path(tempfile.gettempdir()) / f"mien-mutants-{os.getpid()}"
    if not folder.exists():
        shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _load_libraries() -> None:
    """Import libraries once, so that forks need not; never a module of mien, which must come from the copy."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import h5py  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.torch  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import torch  # noqa: F401


def _time_test_file(file: Path) -> tuple[str, float]:
    passed, seconds = run_tests([file], _copy_of_sources(), 1800.0)
    if not passed:
        raise ValueError(f"Expected the tests of {file} to pass without a mutant, but they fail")
    return str(file), seconds


def main() -> None:
    """Draw the mutants, test them and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--number", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", type=Path)
    arguments = parser.parse_args()
    mutants = draw_mutants(arguments.number, arguments.seed)
    if arguments.again:
        rows = [json.loads(line) for line in arguments.again.read_text(encoding="utf-8").splitlines()]
        survived = {row["number"] for row in rows if row["survived"]}
        mutants = [mutant for mutant in mutants if mutant.number in survived]
    files = sorted({each for mutant in mutants for each in test_files_of(mutant.path)})
    print(f"{len(mutants)} mutants, {len(files)} test files")
    counts: Counter[bool] = Counter()
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(arguments.processes, mp_context=context, initializer=_load_libraries) as pool,
        arguments.out.open("w", encoding="utf-8") as out,
    ):
        seconds_of = dict(pool.map(_time_test_file, files))
        print(f"without a mutant all pass, {sum(seconds_of.values()):.0f} s", flush=True)
        for future in as_completed([pool.submit(partial(_test_mutant, mutant, seconds_of)) for mutant in mutants]):
            row = future.result()
            counts[row["survived"]] += 1
            out.write(json.dumps(row) + "\n")
            out.flush()
    print(f"killed {counts[False]} of {counts.total()}: {counts[False] / counts.total():.1%}")


if __name__ == "__main__":
    main()
