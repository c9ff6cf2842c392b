"""Enforces docs/architecture.md: layers, no import cycles, size limits, names, and a command line that starts fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from tools.docstring_sections import count_sections

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mien"
TESTS = ROOT / "tests"

# A module imports only from lower layers or from its own package. Packages of one layer do not import each other.
LAYERS = (
    ("version",),
    (
        "schema",
        "errors",
        "settings",
        "limits",
        "labels",
        "task_kinds",
        "tasks",
        "pretrained",
        "printable",
        "recordings",
    ),
    ("storage", "engine"),
    ("readers", "media", "metrics"),
    ("features",),
    ("models",),
    ("training",),
    ("evaluation", "reports"),
    ("commands",),
    ("video", "benchmark", "diagnosis"),
    ("server",),
    ("cli",),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# These packages run where torch is not installed. An extractor may import torch inside a function.
NO_TORCH = (
    "schema",
    "errors",
    "settings",
    "labels",
    "task_kinds",
    "tasks",
    "storage",
    "readers",
    "metrics",
    "evaluation",
    "reports",
)
NUMPY_ONLY = ("schema", "errors", "settings", "labels", "task_kinds", "tasks")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

# Names of former versions that are hard to understand, and must not be used again.
RETIRED = frozenset(
    [
        "Analyst",
        "Arms",
        "Bench",
        "Circumstances",
        "ContextSettings",
        "Crew",
        "Dropouts",
        "Featurised",
        "Glottal",
        "Intake",
        "JobLost",
        "LeftOut",
        "Listener",
        "MainFaceWatcher",
        "FaceWatcher",
        "Needs",
        "Observed",
        "OneVideo",
        "Place",
        "Reads",
        "ScoredSplit",
        "Seen",
        "SeenFrames",
        "Shelf",
        "Stamps",
        "TranscriptWatch",
        "WatchSettings",
        "as_read",
        "damage_told",
        "deaf",
        "folder_written_aside",
        "hears",
        "heard_inside",
        "help_table",
        "house_style",
        "intake",
        "intake_of",
        "is_slim",
        "load_analyst",
        "lost_process_told",
        "one_thread_each",
        "one_torch_thread",
        "read_each",
        "reads_transcripts",
        "require_seen",
        "said",
        "see_frames",
        "seeds_told",
        "spaces_offered",
        "sweep",
        "this_machine",
        "told",
        "versions_here",
        "why_deaf",
        "written_aside",
        "written_in_parts",
    ]
)
# A function of the command line and a function of the Python API both have the name of the command.
SHARED_NAMES = frozenset(
    [
        "analyze",
        "benchmark",
        "compare",
        "demo",
        "describe",
        "diagnose",
        "doctor",
        "evaluate",
        "export",
        "extract",
        "main",
        "predict",
        "train",
    ]
)
LEAST_SHARE_OF_SECTIONS = 0.9

FILES = sorted(PACKAGE.rglob("*.py"))
# Contract tests cover the plug-in tables, and the files in tests/ itself cover the whole package.
MIRRORED = [path for path in sorted(TESTS.rglob("test_*.py")) if path.parent not in (TESTS, TESTS / "contracts")]
FUNCTIONS = [
    pytest.param(path, node, id=f"{path.relative_to(PACKAGE)}:{node.name}")
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]


def package_of(path: Path) -> str:
    """Return the top-level name: schema.py -> schema; storage/files.py -> storage."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    """Return the dotted name: storage/files.py -> mien.storage.files; storage/__init__.py -> mien.storage."""
    return ".".join(["mien", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def may_import(one: str, other: str) -> bool:
    """Whether a module of one package may import from another; the files outside of packages count as one package."""
    return one == other or LAYER[other] < LAYER[one] or max(LAYER[one], LAYER[other]) <= LAYER["schema"]


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return names if node.module == "mien" else [str(node.module)]
    return []


def imported_modules(path: Path, modules: Collection[str]) -> set[str]:
    """List the modules of mien that a file imports anywhere, also by ``from package import module``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in inside}
    return found & set(modules)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(path: Path, *, top_level: bool = False) -> set[str]:
    """List all imports of a file, or only those that run when it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not top_level:
        return {name for node in ast.walk(tree) for name in imported(node)}
    return {name for node in tree.body if not is_type_checking(node) for name in imported(node)}


def test_there_are_files_to_check():
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers(path):
    mine = package_of(path)
    if mine in ("__init__", "__main__"):
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "mien" and len(parts) > 1:
            assert may_import(mine, parts[1]), f"{path.relative_to(PACKAGE)} imports {name}"


def test_there_is_no_cycle_not_even_inside_a_package():
    modules = {module_of(path): path for path in FILES}
    graph = {name: imported_modules(path, modules) - {name} for name, path in modules.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the modules


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) in NO_TORCH], ids=str)
def test_packages_that_need_no_torch_do_not_import_it(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & {"torch", "lightning_fabric", "safetensors"}


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) in NUMPY_ONLY], ids=str)
def test_the_words_of_the_package_need_numpy_alone(path):
    foreign = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"numpy", "mien"}
    assert foreign <= {"tomli_w"}


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) == "features"], ids=str)
def test_extractors_import_heavy_libraries_only_when_loaded(path):
    assert not {name.split(".")[0] for name in imports_of(path, top_level=True)} & {"torch", "transformers", "cv2"}


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) == "training"], ids=str)
def test_training_cannot_name_the_test_split(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    assert "test" not in words | names
    assert not any("test" in name.split("_") for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize(("path", "function"), FUNCTIONS)
def test_functions_stay_small(path, function):
    body = function.body[1:] if ast.get_docstring(function) else function.body
    first = function.lineno
    lines = (function.end_lineno or first) - first + 1
    if ast.get_docstring(function):
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    assert body, "a docstring alone is no function"
    assert lines <= MAX_FUNCTION_LINES, f"{path.name}:{first} has {lines} lines without its docstring"
    arguments = function.args
    count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
    assert count - (arguments.args[:1] != [] and arguments.args[0].arg in ("self", "cls")) <= MAX_PARAMETERS


def test_a_package_holds_a_table_and_names_what_is_public_or_only_a_docstring():
    for path in FILES:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if path.name != "__init__.py" or len(body) == 1:
            continue
        public = [n.value for n in body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"]
        assert public, f"{path} has code and no __all__"
        targets = [n.target if isinstance(n, ast.AnnAssign) else n.targets[0] for n in body if is_assignment(n)]
        tables = {target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()}
        assert path.parent == PACKAGE or tables & set(ast.literal_eval(public[0])), f"{path} has no table"


def is_assignment(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign)


@pytest.mark.parametrize("path", MIRRORED, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_file_is_called_after_the_module_or_package_that_it_tests(path):
    """tests/x/test_y.py or test_y_<aspect>.py tests src/mien/x/y.py, the package x/y, or the package x."""
    folder = PACKAGE / path.relative_to(TESTS).parent
    assert folder.is_dir(), f"{path} stands beside no package"
    names = {folder.name} | {each.stem.strip("_") for each in folder.iterdir() if each.suffix in ("", ".py")}
    tested = path.stem.removeprefix("test_")
    assert any(f"{tested}_".startswith(f"{name}_") for name in names - {"init"}), f"{path} names none of {names}"


def identifiers(path: Path) -> set[str]:
    """List the names of classes, functions, parameters, variables and attributes, without underscores at the ends."""
    fields = ("id", "arg", "attr", "name")
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {str(getattr(node, field)).strip("_") for node in nodes for field in fields if hasattr(node, field)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_retired_name_comes_back(path):
    assert not (identifiers(path) | {path.stem}) & RETIRED


def test_a_name_stands_for_one_thing():
    """No two modules define a function or class of the same name, except for SHARED_NAMES."""
    modules: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("__"):
                modules.setdefault(node.name, []).append(module_of(path))
    shared = {name: where for name, where in modules.items() if len(where) > 1 and name not in SHARED_NAMES}
    assert not shared


def test_public_functions_document_their_arguments_and_what_they_return():
    counted, complete, _ = count_sections(PACKAGE)
    assert counted.total() > 300
    assert complete.total() >= LEAST_SHARE_OF_SECTIONS * counted.total()


def test_help_needs_neither_torch_nor_pyarrow():
    script = (
        "import sys; sys.argv = ['mien', '--help']\n"
        "from mien.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pyarrow', 'scipy', 'sklearn', 'h5py', 'lightning_fabric', 'matplotlib'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout


def test_nothing_names_the_machine_it_was_made_on():
    home = str(Path.home())
    for path in ROOT.rglob("*"):
        if path.suffix in (".py", ".md", ".toml", ".txt", ".cff") and not {".venv", ".git"} & set(path.parts):
            text = path.read_text(encoding="utf-8")
            assert home + "/" not in text, path
            assert str(ROOT) not in text, path
            assert ("../" + "shared") not in text, path
