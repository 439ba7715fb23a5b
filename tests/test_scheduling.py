"""Which tests share a process, and that they do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.training.frameworks import FRAMEWORKS
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


def test_the_groups_that_start_first_are_frameworks_and_files() -> None:
    root = Path(__file__).parents[1]
    assert [group for group in FIRST if not (root / group).is_file()] == list(FRAMEWORKS)


def test_the_tests_of_a_file_run_in_one_process() -> None:
    files = ("tests/stats/test_verdicts.py", "tests/core/test_samples.py")
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadscope", "-v", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    for file in files:
        workers = set(re.findall(rf"^\[(gw\d)\].* {file}::", done.stdout, re.MULTILINE))
        assert len(workers) == 1, file
