"""PyTorch's layers of the tuned track on the CPU compute what PyTorch's own do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.networks.variants import VARIANTS
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS
from tests.frameworks.support.client import Answer, ask
from tests.frameworks.support.convolutions import SEEING_ALL
from tests.frameworks.support.networks import TUNED
from tests.frameworks.support.pieces import DROPOUT_RATES

_WHY = FRAMEWORKS["pytorch"].missing()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(_WHY), reason=_WHY or "")]

RATE = DROPOUT_RATES[1]
PARTS = ("y", "dx", "dweight", "dbias")


def found() -> Answer:
    return ask("pytorch", "tuned_torch")


def close(ours: NDArray[np.floating], own: NDArray[np.floating], relative: float) -> None:
    assert ours.shape == own.shape
    assert np.abs(own).max() > 0
    np.testing.assert_allclose(ours, own, rtol=0, atol=relative * np.abs(own).max())


def test_images_normalised_by_rows_have_the_same_bits() -> None:
    arrays = found().arrays
    rows, planes = arrays["prepared/rows"], arrays["prepared/planes"]
    assert rows.shape == (8, 3, 32, 32)
    assert len(np.unique(rows)) > 100
    assert np.array_equal(rows, planes)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("side", ["ours", "last"])
@pytest.mark.parametrize("case", SEEING_ALL)
def test_a_convolution_as_a_dense_layer(case: str, side: str, part: str) -> None:
    """In float64, where only the order of sums differs."""
    arrays = found().arrays
    close(arrays[f"{case}/{side}/{part}"], arrays[f"{case}/own/{part}"], 1e-14)


@pytest.mark.parametrize("case", SEEING_ALL)
def test_it_evaluates_to_the_same(case: str) -> None:
    arrays = found().arrays
    close(arrays[f"{case}/evaluated"], arrays[f"{case}/own/y"], 1e-14)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("precision", "relative"), [("float32", 3e-6), ("float64", 0), ("bfloat16", 0.01)]
)
def test_a_dense_layer(precision: str, relative: float, part: str) -> None:
    """To rounding, which in bfloat16 is eight bits; in float64 it is PyTorch's own."""
    arrays = found().arrays
    close(
        arrays[f"linear/{precision}/ours/{part}"],
        arrays[f"linear/{precision}/own/{part}"],
        relative,
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_dense_layer_where_pytorch_has_no_such_operation(part: str) -> None:
    arrays = found().arrays
    close(arrays[f"linear/without/{part}"], arrays[f"linear/float32/own/{part}"], 0)


@pytest.mark.parametrize("layer", ["linear", "conv"])
def test_weights_have_float32_gradients_and_frozen_ones_none(layer: str) -> None:
    types = found().facts["types"][layer]
    trained, evaluated = types.pop("by")
    assert trained == {"linear": "_DenseBackward", "conv": "_SmallMapConvBackward"}[layer]
    assert layer == "linear" or evaluated == "ConvolutionBackward0"
    assert types == {
        "y": "torch.bfloat16",
        "dx": "torch.float32",
        "weight": "torch.float32",
        "bias": "torch.float32",
        "frozen": True,
    }


def test_dropout_keeps_its_share_and_scales_it() -> None:
    arrays = found().arrays
    y = arrays["dropout/y"]
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - RATE)], rtol=1e-6)
    # 100,000 independent draws: five standard deviations.
    assert abs((y > 0).mean() - (1 - RATE)) < 5 * np.sqrt(RATE * (1 - RATE) / y.size)
    np.testing.assert_array_equal(arrays["dropout/dx"], y)
    assert (arrays["dropout/evaluated"] == 1).all()
    both = ((arrays["dropout/again"] > 0) & (y > 0)).mean()
    assert both == pytest.approx((1 - RATE) ** 2, abs=0.01)
    assert set(np.unique(arrays["dropout/bfloat16"])) == {0, np.float32(1.6640625)}


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("cifar")])
def test_every_network_trains_with_them(name: str) -> None:
    """In `cifar-lrn` and `cifar-plain` a ReLU works in place on what the convolution gave."""
    losses = found().facts["trained"][name]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert min(losses) > 0


def test_only_the_tuned_track_takes_them() -> None:
    tracks = found().facts["tracks"]
    assert tracks.pop(TUNED) == {
        "SmallMapConv2d": ["conv3", "conv4", "conv5"],
        "Linear": ["dense1", "dense2", "dense3", "dense4"],
        "Dropout": ["dense1_dropout", "dense2_dropout", "dense3_dropout"],
    }
    assert set(tracks) == set(TRACKS) - {TUNED} | {"tutorial"}
    assert not any(tracks.values())


def test_a_first_step_that_overflows_leaves_nothing_in_the_momentum() -> None:
    """The fused kernel left memory of any value there, and the next step used it."""
    steps = found().facts["left out"]
    assert steps["after"] == steps["alone"] == [0.5]


def test_float16_above_255_is_normalised_as_float32_is() -> None:
    """Its square is infinite: such values, and those of neighbouring channels, became 0."""
    half, single = (found().arrays[f"lrn/{name}"] for name in ("float16", "float32"))
    np.testing.assert_allclose(half, single, rtol=2e-3)
