"""Settings of the tests that pyproject.toml cannot hold."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

TEST_TIMEOUT_SECONDS = 600


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settings of plugins that the extra ``dev`` installs; none in a session of benchmarks.

    As ``timeout`` in pyproject.toml the limit of a test would be an unknown option without the
    extra, and a benchmark, which may train for hours, would have the same limit.
    """
    if config.getoption("benchmark_only", default=False):
        return
    if getattr(config.option, "timeout", 0) is None and "PYTEST_TIMEOUT" not in os.environ:
        config.option.timeout = TEST_TIMEOUT_SECONDS
    if importlib.util.find_spec("hypothesis"):
        from hypothesis import settings  # noqa: PLC0415

        # Its limit of 200 ms per example fails on a busy machine, whatever is tested.
        settings.register_profile("alexbench", deadline=None)
        settings.load_profile("alexbench")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect no test in a session of benchmarks."""
    return True if config.getoption("benchmark_only", default=False) else None
