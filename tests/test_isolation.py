"""The core imports no framework and decides by no name; import-linter checks the static imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bench
from bench.core.kinds import KINDS
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS

FOLDER = Path(bench.__file__).parent
MODULES = sorted(path for path in FOLDER.rglob("*.py") if path.stem != "__main__")
TESTS = Path(__file__).parent


def dotted(path: Path, folder: Path = FOLDER) -> str:
    """The module's name, for an import and for a test's id."""
    return ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")


IMPORTABLE = {"torch", "torchvision", "tensorflow", "jax", "keras"}


def imported(*parts: list[str]) -> list[set[str]]:
    """Top-level modules of a fresh process after it has imported each part in turn."""
    lines = ["import sys", f"sys.path.insert(0, {str(TESTS.parent)!r})"]
    for modules in parts:
        lines += [*(f"import {name}" for name in modules), "print(*sys.modules)"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    return [{name.partition(".")[0] for name in line.split()} for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def core_then_tests() -> list[set[str]]:
    """What a process has imported with the core, and then with all tests, which import the core."""
    tests = sorted(dotted(path, TESTS) for path in TESTS.rglob("test_*.py"))
    return imported([dotted(path) for path in MODULES], tests)


def test_every_module_of_the_core_together_imports_no_framework(
    core_then_tests: list[set[str]],
) -> None:
    assert len(MODULES) > 30
    found, _ = core_then_tests
    assert "numpy" in found
    assert not found & IMPORTABLE
    assert not found & {"models_torch", "models_keras"}


@pytest.mark.parametrize("module", ["bench.cli.main", "bench.plugin"])
def test_what_every_command_and_every_pytest_imports_is_light(module: str) -> None:
    (found,) = imported([module])
    assert not found & {"matplotlib", "pandas"}


def test_a_worker_imports_neither_pytest_nor_a_terminal() -> None:
    (found,) = imported(["bench.worker.__main__"])
    assert not found & {"pytest", "matplotlib", "pandas", "click"}


FRAMEWORK_ROWS = "bench.training.frameworks"
REGISTRIES = {"bench.core.kinds", FRAMEWORK_ROWS, "bench.training.tracks"}
"""The modules whose rows may be compared by name."""


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


@cache
def comparisons() -> dict[str, tuple[set[str], set[str]]]:
    """By module of the core: the strings that something is compared with, and those without keys.

    The trees are not cached: a million objects that live slow down every collection of garbage.
    """
    trees = ((dotted(path), ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES)
    return {name: (compared(tree), compared(tree, keys=False)) for name, tree in trees}


def strangers(names: set[str], registries: set[str], *, keys: bool) -> dict[str, set[str]]:
    """Modules outside of registries that compare something with a name, and the names."""
    found = {name: every if keys else rows for name, (every, rows) in comparisons().items()}
    return {m: hit for m, some in found.items() if m not in registries and (hit := some & names)}


def test_no_module_decides_by_the_name_of_a_framework() -> None:
    names = set(FRAMEWORKS) | {"tensorflow", "jax", "torch"}
    assert strangers(names, {FRAMEWORK_ROWS}, keys=True) == {}


def test_no_module_decides_by_the_name_of_a_kind_or_track() -> None:
    assert strangers(set(KINDS) | set(TRACKS), REGISTRIES, keys=False) == {}


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


def test_the_tests_themselves_import_no_framework(core_then_tests: list[set[str]]) -> None:
    """Two in one process abort it, and with it every test that was to come."""
    _, found = core_then_tests
    assert "tests" in found
    assert not found & IMPORTABLE
