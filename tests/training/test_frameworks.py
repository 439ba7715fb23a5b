"""Rows of frameworks: the versions that results depend on."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import pytest

from bench.training import frameworks
from bench.training.frameworks import FRAMEWORKS


def test_a_module_has_the_version_of_its_package_whatever_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``import PIL`` is Pillow's, as ``import tensorflow`` may be that of tensorflow-cpu."""
    row = replace(FRAMEWORKS["pytorch"], modules=("PIL", "nowhere"), libraries=("numpy",))
    assert row.versions() == {"PIL": version("pillow"), "numpy": version("numpy")}
    monkeypatch.setattr(frameworks, "packages_distributions", lambda: {"PIL": ["gone"]})
    assert row.versions() == {"numpy": version("numpy")}


def test_the_compiler_of_jax_is_a_version_of_its_own() -> None:
    try:
        found = version("jaxlib")
    except PackageNotFoundError:
        pytest.skip("JAX is not installed")
    assert FRAMEWORKS["keras-jax"].versions()["jaxlib"] == found
