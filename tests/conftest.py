"""Settings of the tests that pyproject.toml cannot hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TEST_TIMEOUT_SECONDS = 600


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Limit each test where pytest-timeout is installed and no other limit is given.

    As ``timeout`` in pyproject.toml it would be an unknown option without the extra ``dev``, and a
    benchmark, which may train for hours, would have the same limit.
    """
    installed = hasattr(config.option, "timeout")
    if not installed or config.getoption("benchmark_only", default=False):
        return
    if config.option.timeout is None and "PYTEST_TIMEOUT" not in os.environ:
        config.option.timeout = TEST_TIMEOUT_SECONDS


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect no test in a session of benchmarks."""
    return True if config.getoption("benchmark_only", default=False) else None
