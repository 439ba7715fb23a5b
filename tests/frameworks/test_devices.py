"""Devices that this machine does not have: what their frameworks' documentation asks for."""

from typing import Any

import numpy as np
import pytest

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.support.client import ask


def facts(framework: str) -> dict[str, Any]:
    if missing := FRAMEWORKS[framework].missing():
        pytest.skip(missing)
    return ask(framework, "devices").facts


def test_metal_has_no_clock_of_its_own() -> None:
    """https://github.com/pytorch/pytorch/issues/162872: it may wait for ever."""
    found = facts("pytorch")["clocks"]
    assert found == {"cpu": None, "cuda": "cuda", "mps": None, "xpu": "xpu"}


def test_no_fused_kernel_divides_on_metal() -> None:
    """https://github.com/pytorch/pytorch/pull/186360: the scale was ignored."""
    assert facts("pytorch")["divides"] == {"cpu": True, "cuda": True, "mps": False, "xpu": True}


def test_a_rank_whose_sync_returns_early_says_so() -> None:
    sound, early = facts("pytorch")["of_a_rank"]
    assert sound == ""
    assert early == "work is still queued on the device of a rank after sync"


def test_compiled_execution_without_a_c_compiler_is_skipped() -> None:
    words = facts("pytorch")["compiler"]
    assert words.startswith("UnavailableError: execution compiled: on cuda torch.compile needs a C")
    assert "--executions eager" in words


def test_without_the_fused_kernel_the_tuned_sgd_is_kerass_own() -> None:
    facts("keras-torch")
    arrays = ask("keras-torch", "devices").arrays
    ours = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith("ours/")}
    assert len(ours) == 6
    for name, array in ours.items():
        np.testing.assert_array_equal(array, arrays[f"theirs/{name}"], err_msg=name)


def test_jax_says_which_device_it_lacks() -> None:
    found = facts("keras-jax")["refused"]
    assert set(found) == {"cuda", "mps", "xpu"}
    for kind, words in found.items():
        assert words.startswith(f"device {kind}: JAX ")
        assert "--device cpu" in words
