"""The core imports no framework and decides by no name; import-linter checks the static imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.core.kinds import KINDS
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS

FOLDER = Path(bench.__file__).parent
MODULES = sorted(path for path in FOLDER.rglob("*.py") if path.stem != "__main__")


def dotted(path: Path) -> str:
    """The module's name, for an import and for a test's id."""
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")


IMPORTABLE = {"torch", "torchvision", "tensorflow", "jax", "keras"}


def imported(modules: list[str]) -> set[str]:
    """Top-level modules of a fresh process that has imported `modules`."""
    lines = "\n".join(f"import {name}" for name in modules)
    script = f"{lines}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_every_module_of_the_core_together_imports_no_framework() -> None:
    assert len(MODULES) > 30
    found = imported([dotted(path) for path in MODULES])
    assert "numpy" in found
    assert not found & IMPORTABLE
    assert not found & {"models_torch", "models_keras"}


@pytest.mark.parametrize("module", ["bench.cli.main", "bench.plugin"])
def test_what_every_command_and_every_pytest_imports_is_light(module: str) -> None:
    assert not imported([module]) & {"matplotlib", "pandas"}


def test_a_worker_imports_neither_pytest_nor_a_terminal() -> None:
    assert not imported(["bench.worker.__main__"]) & {"pytest", "matplotlib", "pandas", "click"}


FRAMEWORK_ROWS = "bench.training.frameworks"
REGISTRIES = {"bench.core.kinds", FRAMEWORK_ROWS, "bench.training.tracks"}
"""The modules whose rows may be compared by name."""


def trees(registries: set[str] = REGISTRIES) -> Iterator[tuple[str, ast.AST]]:
    """Modules outside the registries, by dotted name."""
    for path in MODULES:
        if dotted(path) not in registries:
            yield dotted(path), ast.parse(path.read_text(encoding="utf-8"))


def compared(tree: ast.AST, *, keys: bool = True) -> set[str]:
    """Strings that something is compared with: ``==``, ``in``, ``match``, ``startswith``.

    Without ``keys`` those are left out that name an entry and not a row of a registry:
    ``"accuracy" in metrics``, ``row["accuracy"] == goal``.
    """
    parts: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            lookup = not keys and isinstance(node.ops[0], ast.In | ast.NotIn)
            parts += node.comparators if lookup else [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts.append(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts += node.args if node.func.attr in ("startswith", "endswith") else []
    walk = ast.walk if keys else _leaves
    leaves = (leaf for part in parts for leaf in walk(part))
    return {x.value for x in leaves if isinstance(x, ast.Constant) and isinstance(x.value, str)}


def _leaves(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but no key of a subscript."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Subscript) and child is node.slice):
            yield from _leaves(child)


def test_no_module_decides_by_the_name_of_a_framework() -> None:
    names = set(FRAMEWORKS) | {"tensorflow", "jax", "torch"}
    assert not {
        name: hit for name, tree in trees({FRAMEWORK_ROWS}) if (hit := compared(tree) & names)
    }


def test_no_module_decides_by_the_name_of_a_kind_or_track() -> None:
    names = set(KINDS) | set(TRACKS)
    found = {name: hit for name, tree in trees() if (hit := compared(tree, keys=False) & names)}
    assert not found


def test_the_tests_above_find_what_they_look_for() -> None:
    planted = """
if framework == "pytorch" or name in ("jax",) or key.startswith("keras-torch"):
    "x" in metrics or row["y"] == z
    match kind:
        case "latency":
            pass
"""
    names = {"pytorch", "jax", "keras-torch", "latency"}
    assert compared(ast.parse(planted), keys=False) == names
    assert compared(ast.parse(planted)) == names | {"x", "y"}


def test_the_tests_themselves_import_no_framework() -> None:
    """Two in one process abort it, and with it every test that was to come."""
    folder = Path(__file__).parent
    names = sorted(
        ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        for path in folder.rglob("test_*.py")
    )
    lines = "\n".join(f"import {name}" for name in names)
    script = f"import sys\nsys.path.insert(0, {str(folder.parent)!r})\n{lines}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    found = {name.partition(".")[0] for name in done.stdout.split()}
    assert not found & IMPORTABLE
