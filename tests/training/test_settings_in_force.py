"""What was asked for is compared with what was read back."""

from typing import Any

import pytest

from bench.core.case import Case
from bench.training.settings import not_in_force


def asked(**changes: str) -> Case:
    return Case("cifar-bn", "pytorch", "idiomatic", **changes)


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ({}, {}),
        ({}, {"compute_dtype": None, "tf32": True, "jit_compile": False}),  # of the CPU
        ({"precision": "bfloat16"}, {"compute_dtype": "bfloat16"}),
        ({"precision": "float16"}, {"compute_dtype": "float16"}),
        ({"device": "cuda"}, {"compute_dtype": "float32", "tf32": False}),
        ({"device": "cuda", "precision": "tf32"}, {"compute_dtype": "float32", "tf32": True}),
        ({"execution": "compiled"}, {"jit_compile": False}),  # a graph that no compiler makes
        ({"execution": "compiled:xla"}, {"jit_compile": True}),
        ({"execution": "compiled:no-xla"}, {"jit_compile": False}),
        # There is no TF32 there, and the switch of CUDA says nothing.
        ({"device": "mps", "precision": "bfloat16"}, {"compute_dtype": "bfloat16", "tf32": False}),
    ],
)
def test_what_is_in_force_is_no_reason(case: dict[str, str], settings: dict[str, Any]) -> None:
    assert not_in_force(asked(**case), settings) is None


@pytest.mark.parametrize(
    ("case", "settings", "words"),
    [
        ({}, {"compute_dtype": "bfloat16"}, "compute_dtype is bfloat16"),
        ({"precision": "float16"}, {"compute_dtype": "float32"}, "compute_dtype is float32"),
        ({"device": "cuda"}, {"tf32": True}, "tf32 is True"),
        ({"device": "cuda", "precision": "tf32"}, {"tf32": False}, "tf32 is False"),
        ({"execution": "eager"}, {"jit_compile": True}, "jit_compile is True"),
        ({"execution": "compiled:xla"}, {"jit_compile": False}, "jit_compile is False"),
        ({"execution": "compiled:no-xla"}, {"jit_compile": True}, "jit_compile is True"),
    ],
)
def test_what_is_not_in_force_is_named(
    case: dict[str, str], settings: dict[str, Any], words: str
) -> None:
    found = str(not_in_force(asked(**case), settings))
    assert found.endswith(f"was asked for, and {words}")
