"""The layout of docs/architecture.md, enforced: ranks, marks, budgets, and a command line that answers at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mien"

# A module imports only from lower ranks or from inside its own folder.
RANKS = {
    "version": 0,
    "schema": 0,
    "errors": 0,
    "settings": 0,
    "weights": 0,
    "tables": 1,
    "sources": 2,
    "media": 2,
    "features": 2,
    "metrics": 2,
    "models": 3,
    "training": 4,
    "evaluation": 5,
    "reports": 6,
    "workflows": 7,
    "cli": 8,
    "web": 8,
}
# Pure arithmetic, reading and rendering run where torch is not installed. An extractor may import it where it needs it.
NO_TORCH = ("schema", "errors", "settings", "tables", "sources", "metrics", "evaluation", "reports")
NUMPY_ONLY = ("schema", "errors", "settings")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

FILES = sorted(PACKAGE.rglob("*.py"))
FUNCTIONS = [
    pytest.param(path, node, id=f"{path.relative_to(PACKAGE)}:{node.name}")
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]


def room(path: Path) -> str:
    """schema.py -> schema; tables/files.py -> tables."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def same_folder(one: str, other: str) -> bool:
    """The files beside the package's folders are one folder of rank 0."""
    return one == other or RANKS[one] == RANKS[other] == 0


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return names if node.module == "mien" else [str(node.module)]
    return []


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(path: Path, *, top_level: bool = False) -> set[str]:
    """Everything a file imports, or only what loading it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not top_level:
        return {name for node in ast.walk(tree) for name in imported(node)}
    return {name for node in tree.body if not is_type_checking(node) for name in imported(node)}


def test_there_are_files_to_check():
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_lower_ranks(path):
    mine = room(path)
    if mine in ("__init__", "__main__"):
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "mien" and len(parts) > 1 and not same_folder(parts[1], mine):
            assert RANKS[parts[1]] < RANKS[mine], f"{path.relative_to(PACKAGE)} imports {name}"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in NO_TORCH], ids=str)
def test_rooms_that_need_no_torch_do_not_import_it(path):
    assert not {name.split(".")[0] for name in imports_of(path)} & {"torch", "lightning_fabric", "safetensors"}


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in NUMPY_ONLY], ids=str)
def test_the_words_of_the_package_need_numpy_alone(path):
    foreign = {name.split(".")[0] for name in imports_of(path)} - set(sys.stdlib_module_names) - {"numpy", "mien"}
    assert foreign <= {"tomli_w"}


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "features"], ids=str)
def test_extractors_import_heavy_libraries_only_when_loaded(path):
    assert not {name.split(".")[0] for name in imports_of(path, top_level=True)} & {"torch", "transformers", "cv2"}


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "training"], ids=str)
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


def test_every_folder_states_its_public_names():
    for path in FILES:
        if path.name == "__init__.py" and len(path.read_text(encoding="utf-8").splitlines()) > 2:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert any(isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__" for n in tree.body), (
                path
            )


def test_help_needs_neither_torch_nor_pyarrow():
    script = (
        "import sys; sys.argv = ['mien', '--help']\n"
        "from mien.cli import main\n"
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
