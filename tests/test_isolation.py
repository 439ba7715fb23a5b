"""The core imports no framework and asks for none by name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.training.frameworks import FRAMEWORKS

FOLDER = Path(bench.__file__).parent
MODULES = sorted(path for path in FOLDER.rglob("*.py") if path.stem != "__main__")


def dotted(path: Path) -> str:
    """The module's name, for an import and for a test's id."""
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")


IMPORTABLE = {"torch", "torchvision", "tensorflow", "jax", "keras"}
NAMES = set(FRAMEWORKS) | {"tensorflow", "jax", "torch"}


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


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_module_names_a_framework_in_an_import(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [name.partition(".")[0] for name in _imports(tree)]
    assert not set(names) & (IMPORTABLE | {"models_torch", "models_keras"})


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_module_decides_by_the_name_of_a_framework(path: Path) -> None:
    if path.stem == "frameworks":
        return  # the one place where names belong
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {text for node in ast.walk(tree) for text in _compared(node)}
    assert not found & NAMES


def _compared(node: ast.AST) -> Iterator[str]:
    """Strings that something is compared with: ``==``, ``in``, ``match``, ``startswith``."""
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        parts = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        parts = list(node.args) if node.func.attr in ("startswith", "endswith") else []
    else:
        return
    for part in parts:
        for leaf in ast.walk(part):
            if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                yield leaf.value


def test_the_test_above_finds_what_it_looks_for() -> None:
    planted = "if framework == 'pytorch' or name in ('jax',) or key.startswith('keras-torch'): 0"
    found = {text for node in ast.walk(ast.parse(planted)) for text in _compared(node)}
    assert found == {"pytorch", "jax", "keras-torch"}


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
