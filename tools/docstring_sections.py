"""Counts the public functions whose docstring has Args and Returns.

    python tools/docstring_sections.py            prints the share per package and in total
    python tools/docstring_sections.py --missing  also lists the functions without

A public function is a module's function or a public class's method whose name has no leading underscore. Only those
with two or more parameters (beside self or cls) are counted. `Returns` is asked for where something is returned;
`Yields` stands for it in a generator.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "mien"
LEAST_SHARE = 0.9

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield each public function and method of a module with its qualified name."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, Function) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def n_parameters(function: Function) -> int:
    """The number of named parameters, without self or cls."""
    arguments = function.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def has_sections(function: Function) -> bool:
    """Whether the docstring has Args, and Returns or Yields where something is returned."""
    lines = {line.strip() for line in (ast.get_docstring(function) or "").splitlines()}
    returns_nothing = isinstance(function.returns, ast.Constant) and function.returns.value is None
    return "Args:" in lines and (returns_nothing or bool(lines & {"Returns:", "Yields:"}))


def count_sections(package: Path = PACKAGE) -> tuple[Counter[str], Counter[str], list[str]]:
    """Count the functions of every subpackage.

    Args:
        package: folder of the package to read.

    Returns:
        Functions with two or more parameters per subpackage; those of them that have the sections; the others by name.
    """
    counted: Counter[str] = Counter()
    complete: Counter[str] = Counter()
    missing: list[str] = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        part = relative.parts[0].removesuffix(".py")
        for name, function in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
            if n_parameters(function) < 2:
                continue
            counted[part] += 1
            if has_sections(function):
                complete[part] += 1
            else:
                missing.append(f"{relative}: {name}")
    return counted, complete, missing


def main() -> int:
    """Print the counts; exit with 1 when fewer than LEAST_SHARE have the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", action="store_true", help="list the functions without Args and Returns")
    arguments = parser.parse_args()
    counted, complete, missing = count_sections()
    for part, n in counted.items():
        print(f"{part:12} {complete[part]:4} of {n:4}")
    share = complete.total() / counted.total()
    print(f"{'all':12} {complete.total():4} of {counted.total():4}: {share:.1%} (at least {LEAST_SHARE:.0%})")
    if arguments.missing:
        print(*missing, sep="\n")
    return int(share < LEAST_SHARE)


if __name__ == "__main__":
    sys.exit(main())
