"""Local response normalisation, for which every framework has other constants or none at all."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.training.frameworks import FRAMEWORKS
from tests.frameworks.support import pieces
from tests.frameworks.support.client import ask, ask_reference, each_framework, each_keras

CASES = range(len(pieces.LRN_CASES))
Array = NDArray[np.floating]

ROUNDING = 1e-6
"""2e-7 measured: a few roundings of float32, relative to the largest entry."""


def by_the_paper(case: pieces.Lrn, x: Array) -> Array:
    """Channel by channel, alpha divided by the size, the even window leaning to lower channels."""
    x = x.astype(float)
    out = np.empty_like(x)
    for i in range(case.channels):
        first, last = i - case.size // 2, i + (case.size - 1) // 2
        neighbours = x[:, max(first, 0) : last + 1]
        total = (neighbours**2).sum(axis=1)
        out[:, i] = x[:, i] / (case.k + case.alpha / case.size * total) ** case.beta
    return out


def slope(case: pieces.Lrn, x: Array, weight: Array, index: tuple[int, ...]) -> float:
    """Central difference of the weighted sum of the outputs, in float64."""
    step = np.zeros(x.shape)
    step[index] = 1e-5
    up, down = (by_the_paper(case, x + sign * step) for sign in (1, -1))
    return float(((up - down) * weight).sum() / 2e-5)


@pytest.mark.parametrize("i", CASES)
def test_reference_in_float64_is_the_definition(i: int) -> None:
    case = pieces.LRN_CASES[i]
    x, weight = pieces.lrn_input(case)
    arrays = ask_reference("layers").arrays
    np.testing.assert_allclose(arrays[f"lrn{i}/y64"], by_the_paper(case, x), rtol=1e-12)
    for index in [(0, 0, 0, 0), (1, case.channels - 1, 3, 2), (0, case.channels // 2, 1, 1)]:
        expected = slope(case, x, weight, index)
        assert arrays[f"lrn{i}/gradient64"][index] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@each_framework
@pytest.mark.parametrize("part", ["y", "gradient"])
@pytest.mark.parametrize("i", CASES)
def test_outputs_and_gradients(framework: str, part: str, i: int) -> None:
    expected = ask_reference("layers").arrays[f"lrn{i}/{part}64"]
    found = ask(framework, "layers").arrays[f"lrn{i}/{part}"]
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    assert np.abs(found - expected).max() < ROUNDING * np.abs(expected).max()


@each_keras
@pytest.mark.parametrize("part", ["y", "gradient"])
@pytest.mark.parametrize("i", CASES)
def test_the_stock_form_in_keras(framework: str, part: str, i: int) -> None:
    """The backend's operation, or the formula in ``keras.ops``; odd and even sizes."""
    expected = ask_reference("layers").arrays[f"lrn{i}/{part}64"]
    found = ask(framework, "layers").arrays[f"lrn{i}/stock_{part}"]
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    assert np.abs(found - expected).max() < ROUNDING * np.abs(expected).max()


@pytest.mark.parametrize("part", ["y", "gradient"])
@pytest.mark.parametrize("i", CASES)
def test_pytorchs_layer_here_is_pytorchs_own(part: str, i: int) -> None:
    """In float64 to rounding, in both memory orders; in bfloat16 to its eight bits."""
    arrays = ask_reference("layers").arrays
    expected = arrays[f"lrn{i}/{part}64"]
    scale = np.abs(expected).max()
    for order in ("own", "last"):
        assert np.abs(arrays[f"lrn{i}/{part}_{order}64"] - expected).max() < 1e-14 * scale
    assert np.abs(arrays[f"lrn{i}/{part}_16"] - expected).max() < 2e-2 * scale


@pytest.mark.parametrize("i", [i for i in CASES if pieces.LRN_CASES[i].size % 2])
def test_tensorflows_operation_takes_a_radius_and_alpha_divided(i: int) -> None:
    """tf.nn.local_response_normalization(depth_radius=(size - 1) / 2, alpha=alpha / size)."""
    why = FRAMEWORKS["keras-tensorflow"].missing()
    if why:
        pytest.skip(why)
    arrays = ask("keras-tensorflow", "layers").arrays
    own, ours = arrays[f"lrn{i}/tensorflow"], arrays[f"lrn{i}/y"]
    assert np.abs(own - ours).max() < ROUNDING * np.abs(ours).max()


def test_constants_can_be_told_apart() -> None:
    """The inputs are large enough that alpha undivided, or a window that leans the other way,
    would be seen by the comparisons above."""
    for case in pieces.LRN_CASES:
        x, _ = pieces.lrn_input(case)
        right = by_the_paper(case, x)
        if case.size > 1:
            undivided = by_the_paper(case._replace(alpha=case.alpha * case.size), x)
            assert np.abs(undivided - right).max() > 20 * ROUNDING * np.abs(right).max()
        if case.size % 2 == 0:
            flipped = by_the_paper(case, x[:, ::-1])[:, ::-1]
            assert np.abs(flipped - right).max() > 20 * ROUNDING * np.abs(right).max()
