"""Which tests share a process, and that they do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist import newhooks

from tests.conftest import pytest_xdist_make_scheduler
from tests.support.scheduling import FIRST, group_of

PARITY = "tests/frameworks/test_parity.py"
CONVERT = "tests/frameworks/test_convert.py"
"""One of the files that ask no probe of their own framework."""


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/frameworks/training/test_state.py::test_a[keras-jax]", "keras-jax"),
        ("tests/frameworks/training/test_state.py::test_a[closed-keras-torch-32]", "keras-torch"),
        ("tests/frameworks/test_models.py::test_a[pytorch]", "pytorch"),
        (f"{PARITY}::test_a[pytorch-keras-tensorflow]", "keras-tensorflow"),
        (f"{PARITY}::test_a[mykeras-jax2]", PARITY),
        (f"{PARITY}::test_a", PARITY),
        (f"{CONVERT}::test_a[keras-jax]", CONVERT),
        (f"{CONVERT}::test_a[None-pytorch]", CONVERT),
        (f"{CONVERT}::test_a", CONVERT),
        ("tests/cli/test_commands.py::test_a[pytorch]", "tests/cli/test_commands.py"),
        ("tests/report/test_html.py::test_a", "whole report"),
        ("tests/report/test_plots.py::test_a[x]", "whole report"),
    ],
)
def test_the_group_of_a_test(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


def test_the_files_that_start_first_are_there() -> None:
    root = Path(__file__).parents[1]
    files = [group for group in FIRST if group.endswith(".py")]
    assert files
    assert [file for file in files if not (root / file).is_file()] == []


class Process:
    """As much of a process of xdist as its scheduler talks to."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def scheduler(dist: str, processes: int) -> Any:
    """The one that a session of xdist asks for."""
    given = {"dist": dist, "tx": ["popen"] * processes}
    config: Any = SimpleNamespace(getvalue=given.get, option=SimpleNamespace(loadscopereorder=True))
    return pytest_xdist_make_scheduler(config, None)


def sent(tests: list[str], processes: int) -> list[list[str]]:
    """The tests that each process is sent, in order; all take equally long."""
    found = scheduler("loadscope", processes)
    started = [Process(f"gw{number}") for number in range(processes)]
    for process in started:
        found.add_node(process)
    for process in started:
        found.add_node_collection(process, tests)
    found.schedule()
    for step in range(len(tests)):
        for process in started:
            if step < len(process.sent):
                found.mark_test_complete(process, process.sent[step])
    assert found.tests_finished
    return [[tests[index] for index in process.sent] for process in started]


MANY = [f"tests/core/test_many.py::test_{number}" for number in range(20)]
FEW = [f"tests/core/test_few.py::test_{number}" for number in range(3)]
LONG = [f"{CONVERT}::test_a[keras-jax]", f"{CONVERT}::test_a[keras-torch]"]
JAX = [f"{PARITY}::test_a[keras-jax]", "tests/frameworks/test_models.py::test_a[keras-jax]"]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_tests_of_a_group_are_sent_to_one_process(processes: int) -> None:
    mixed = [test for four in zip(MANY, FEW, LONG, JAX, strict=False) for test in four]
    tests = [*mixed, *(test for test in (*MANY, *FEW) if test not in mixed)]
    found = sent(tests, processes)
    assert sorted(test for part in found for test in part) == sorted(tests)
    for group in (MANY, FEW, LONG, JAX):
        (home,) = [part for part in found if group[0] in part]
        start = home.index(group[0])
        assert home[start : start + len(group)] == group


def test_long_groups_are_sent_first_then_large_ones() -> None:
    assert sent([*FEW, *MANY, *LONG, *JAX], 1) == [[*JAX, *LONG, *MANY, *FEW]]
    assert [part[0] for part in sent([*FEW, *MANY, *LONG, *JAX], 2)] == [JAX[0], LONG[0]]


def test_another_distribution_is_left_to_xdist() -> None:
    assert scheduler("load", 2) is None


def test_xdist_asks_for_a_scheduler_by_this_name() -> None:
    """Its own is used, without a word, where the hook is called otherwise."""
    assert hasattr(newhooks, pytest_xdist_make_scheduler.__name__)
