"""Tests that need an accelerator: ``make test-gpu``. Skipped with the reason where there is none.

The device is ``ALEXBENCH_TEST_DEVICE``; ``auto`` takes the first that any installed framework can
use. Certificates go to the user's own cache, where a run finds them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.system.devices import AUTO, DEVICE_KINDS
from bench.data.dataset import save
from bench.data.synthetic import generate
from bench.training.frameworks import FRAMEWORKS, installed
from bench.worker.device.probing import DeviceChoice, choose

IMAGES = 4096


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def _choice() -> DeviceChoice | str:
    """The device and who cannot use it; or why there is none."""
    wanted = os.environ.get("ALEXBENCH_TEST_DEVICE", AUTO)
    names = installed(tuple(FRAMEWORKS))
    if wanted != AUTO:
        candidates = [wanted]
    else:
        candidates = [row.name for row in DEVICE_KINDS.values() if row.accelerator and row.here()]
    reasons = []
    for name in candidates:
        try:
            return choose(name, names)
        except UserError as error:
            reasons.append(str(error))
    return "; ".join(reasons) or "this machine has no accelerator"


@pytest.fixture(scope="session")
def choice() -> DeviceChoice:
    """The device that is tested."""
    found = _choice()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def device(choice: DeviceChoice) -> str:
    """Its name, as cases have it."""
    return choice.device


@pytest.fixture(scope="session")
def usable(choice: DeviceChoice) -> list[str]:
    """The installed frameworks that can use it."""
    return choice.usable(installed(tuple(FRAMEWORKS)))


@pytest.fixture
def framework(request: pytest.FixtureRequest, choice: DeviceChoice) -> str:
    """One framework after the other; skipped where it cannot use the device."""
    name = str(request.param)
    reason = FRAMEWORKS[name].missing() or choice.unusable.get(name)
    if reason:
        pytest.skip(f"{name} {reason}")
    return name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``framework`` runs in each."""
    if "framework" in metafunc.fixturenames:
        metafunc.parametrize("framework", list(FRAMEWORKS), indirect=True, scope="function")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared images for workers."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    save(generate(train=IMAGES, test=500, seed=0), folder)
    return folder
