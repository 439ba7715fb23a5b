"""Weights that do not fit are refused by name, before any of them is taken."""

from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.networks.weights import check_weights, weights_digest
from tests.frameworks.support.networks import TINY, seeded_weights


def changed(**changes: Any) -> dict[str, Any]:
    return {**seeded_weights(TINY), **{name.replace("__", "."): w for name, w in changes.items()}}


def test_weights_that_fit_are_taken() -> None:
    weights = seeded_weights(TINY)
    check_weights(TINY, weights)
    check_weights(TINY, {k: v.astype(np.float64) for k, v in weights.items()}, "float64")


WEIGHTS = seeded_weights(TINY)
NAN = WEIGHTS["d1.weight"].copy()
NAN[0, :3] = np.nan, np.inf, -np.inf


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (changed(c9__bias=np.zeros(3)), "missing [], extra ['c9.bias']"),
        (
            {k: v for k, v in WEIGHTS.items() if not k.startswith("d1.")},
            "do not fit tiny: missing ['d1.bias', 'd1.weight'], extra []",
        ),
        (
            changed(c1__weight=WEIGHTS["c1.weight"].transpose(2, 3, 1, 0)),
            "weight c1.weight: expected the shape (8, 3, 5, 5), got (5, 5, 3, 8): "
            "this is HWIO (Keras's order), OIHW is wanted",
        ),
        (
            changed(d2__weight=WEIGHTS["d2.weight"].T),
            "got (16, 7): this is (in, out) (Keras's order), (out, in) is wanted",
        ),
        (changed(d2__bias=np.zeros(6, np.float32)), "d2.bias: expected the shape (7,), got (6,)"),
        (changed(d2__bias=np.zeros(7, np.float16)), "d2.bias: expected float32, got float16"),
        (changed(d2__bias=np.zeros(7, np.int64)), "weight d2.bias: expected float32, got int64"),
        (changed(d1__weight=NAN), "weight d1.weight: 3 of 768 values are not finite"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(weights: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_weights(TINY, weights)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_float32_is_not_float64() -> None:
    with pytest.raises(UserError, match="expected float64, got float32"):
        check_weights(TINY, WEIGHTS, "float64")


def test_the_digest_sees_names_shapes_and_bytes() -> None:
    digests = {
        weights_digest({"a": np.zeros((2, 3))}),
        weights_digest({"b": np.zeros((2, 3))}),
        weights_digest({"a": np.zeros((3, 2))}),
        weights_digest({"a": np.ones((2, 3))}),
    }
    assert len(digests) == 4
    ordered = np.arange(6.0).reshape(2, 3)
    assert weights_digest({"a": ordered}) == weights_digest({"a": np.asfortranarray(ordered)})
