"""The reference: gradients compared with finite differences, outputs with a plain loop."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bench.networks.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.networks.init import DropoutMasks
from bench.parity.problem import ADAM, SGD
from bench.parity.reference import Context, apply
from bench.parity.reference_training import Reference, cross_entropy
from bench.training.interfaces import StepInput
from tests.frameworks.support.networks import MEAN, STD, TINY, random_images, seeded_weights

RNG = np.random.default_rng(3)

LAYERS: list[tuple[Layer, tuple[int, ...]]] = [
    (Conv("c", 6, 3, stride=2, padding=(1, 2)), (3, 4, 7, 8)),
    (Conv("c", 4, 2, groups=2), (2, 6, 4, 4)),
    (BatchNorm("b", eps=0.1), (5, 3, 2, 2)),
    (BatchNorm("b", eps=0.1), (6, 4)),
    (LocalResponseNorm("l", size=5, alpha=2.0, beta=0.6, k=1.5), (2, 7, 2, 3)),
    (LocalResponseNorm("l", size=4, alpha=2.0, beta=0.75, k=1.0), (2, 3, 2, 2)),
    (ReLU("r"), (3, 5)),
    (MaxPool("p", 3, 2), (2, 2, 7, 7)),
    (MaxPool("p", 2, 2), (2, 2, 5, 4)),
    (Flatten("f"), (2, 3, 2, 2)),
    (Dropout("d", 0.3), (4, 6)),
    (Dense("w", 3), (4, 5)),
]


def _context(layer: Layer, shape: tuple[int, ...], *, training: bool = True) -> Context:
    rng = np.random.default_rng(1)
    names = layer.weights(shape[1:]) | layer.statistics(shape[1:])
    weights = {name.split(".")[1]: rng.uniform(0.5, 1.5, size) for name, size in names.items()}
    return Context(weights, training=training, mask=rng.random(shape) > 0.4)


def _numeric(f: Any, x: Any) -> Any:
    """Central differences of a scalar function by every element of ``x``."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        kept, h = x[place], 1e-6
        x[place] = kept + h
        above = f()
        x[place] = kept - h
        gradient[place] = (above - f()) / (2 * h)
        x[place] = kept
    return gradient


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda part: str(part)[:40])
def test_gradients_are_the_slopes(layer: Layer, shape: tuple[int, ...]) -> None:
    x, context = RNG.normal(size=shape), _context(layer, shape)
    y, backward = apply(layer, x, context)
    d_y = RNG.normal(size=y.shape)

    def loss() -> float:
        return float((apply(layer, x, context)[0] * d_y).sum())

    d_x, parts = backward(d_y)
    np.testing.assert_allclose(d_x, _numeric(loss, x), atol=1e-7)
    assert parts.keys() == {name.split(".")[1] for name in layer.weights(shape[1:])}
    for name, gradient in parts.items():
        np.testing.assert_allclose(gradient, _numeric(loss, context.weights[name]), atol=1e-7)


def test_convolution_by_its_definition() -> None:
    layer = Conv("c", 4, 3, stride=2, padding=(0, 2), groups=2)
    x, context = RNG.normal(size=(2, 6, 5, 5)), _context(Conv("c", 4, 3, groups=2), (2, 6, 5, 5))
    y, _ = apply(layer, x, context)
    padded = np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 2)))
    weight, bias = context.weights["weight"], context.weights["bias"]
    for b, f, i, j in np.ndindex(*y.shape):
        group = slice(3 * (f // 2), 3 * (f // 2) + 3)
        window = padded[b, group, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert y[b, f, i, j] == pytest.approx((window * weight[f]).sum() + bias[f])


def test_local_response_norm_by_its_definition() -> None:
    """Krizhevsky et al. 2012, section 3.3, with alpha divided by size."""
    layer, x = LocalResponseNorm("l", size=5, alpha=0.3, beta=0.6, k=2.0), RNG.normal(size=(1, 9))
    y, _ = apply(layer, x[:, :, None, None], Context({}))
    for i in range(9):
        near = x[0, max(0, i - 2) : i + 3]
        expected = x[0, i] / (2.0 + 0.3 / 5 * (near**2).sum()) ** 0.6
        assert y[0, i, 0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("unbiased", [False, True])
def test_batch_norm_moves_its_moments_as_the_row_says(unbiased: bool) -> None:
    layer, x = BatchNorm("b", momentum=0.7, unbiased=unbiased), RNG.normal(size=(4, 2, 3, 3))
    context = _context(layer, x.shape)
    apply(layer, x, context)
    mean, variance = context.weights["running_mean"], context.weights["running_var"]
    new = x.var(axis=(0, 2, 3), ddof=int(unbiased))
    np.testing.assert_allclose(
        context.moments["running_mean"], 0.7 * mean + 0.3 * x.mean(axis=(0, 2, 3))
    )
    np.testing.assert_allclose(context.moments["running_var"], 0.7 * variance + 0.3 * new)


def test_batch_norm_in_evaluation_uses_the_running_moments() -> None:
    layer, x = BatchNorm("b", eps=0.1), RNG.normal(size=(4, 2))
    context = _context(layer, x.shape, training=False)
    y, _ = apply(layer, x, context)
    own = context.weights
    normal = (x - own["running_mean"]) / np.sqrt(own["running_var"] + 0.1)
    np.testing.assert_allclose(y, normal * own["weight"] + own["bias"])
    assert context.moments == {}


def test_dropout_evaluates_to_what_came_in() -> None:
    x = RNG.normal(size=(2, 3))
    y, _ = apply(Dropout("d", 0.5), x, Context({}, training=False, mask=x > 0))
    assert y is x


def test_cross_entropy_and_its_slope() -> None:
    logits, labels = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    loss, gradient = cross_entropy(logits, labels, 0.1)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.eye(3)[labels] * 0.9 + 0.1 / 3
    assert loss == pytest.approx(-(targets * np.log(probabilities)).sum(axis=1).mean())
    slope = _numeric(lambda: cross_entropy(logits, labels, 0.1)[0], logits)
    np.testing.assert_allclose(gradient, slope, atol=1e-8)


def test_cross_entropy_of_large_logits_is_finite() -> None:
    loss, gradient = cross_entropy(np.array([[1e4, -1e4]]), np.array([1]), 0.0)
    assert loss == pytest.approx(2e4)
    assert np.isfinite(gradient).all()


def _reference(recipe: Any = SGD) -> Reference:
    return Reference.at(TINY, recipe, (MEAN, STD), seeded_weights(TINY))


def _given(rate: float = 0.01, step: int = 0) -> StepInput:
    masks = DropoutMasks(TINY, seed=5).at(step, 8)
    return StepInput(random_images(8, step), np.arange(8) % 7, masks, rate)


def test_gradients_of_the_whole_network_are_the_slopes_of_its_loss() -> None:
    reference, given = _reference(), _given()
    found = reference.gradients(given).by_name
    for name in ("c1.weight", "c2.bias", "c1_norm.weight", "d1.weight", "d2.bias"):
        weight = reference.weights[name]
        place = tuple(0 for _ in weight.shape)
        slope = _slope(reference, given, weight, place)
        assert found[name][place] == pytest.approx(slope, rel=1e-4, abs=1e-9), name


def _slope(reference: Reference, given: StepInput, weight: Any, place: Any) -> float:
    kept, h = weight[place], 1e-6
    weight[place] = kept + h
    above = reference.gradients(given).loss
    weight[place] = kept - h
    below = reference.gradients(given).loss
    weight[place] = kept
    return (above - below) / (2 * h)


def test_asking_for_gradients_changes_nothing() -> None:
    reference = _reference()
    before = {name: weight.copy() for name, weight in reference.weights.items()}
    first, second = (reference.gradients(_given()).loss for _ in range(2))
    assert first == second
    assert all(np.array_equal(before[name], w) for name, w in reference.weights.items())


def test_sgd_by_its_definition_over_steps_of_different_rates() -> None:
    reference, name = _reference(), "d1.weight"
    weight, velocity = reference.weights[name].copy(), np.zeros((16, *TINY_FEATURES))
    for step, rate in enumerate((0.01, 0.05)):
        gradient = reference.gradients(_given(rate, step)).by_name[name] + 0.01 * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - rate * (gradient + 0.9 * velocity)
        reference.train(_given(rate, step))
    np.testing.assert_allclose(reference.weights[name], weight, rtol=1e-13)


def test_adam_by_its_definition() -> None:
    reference, name = _reference(ADAM), "c1.weight"
    weight = reference.weights[name].copy()
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(3):
        gradient = reference.gradients(_given(0.01, step)).by_name[name] + 0.01 * weight
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        corrected = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        weight = weight - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + ADAM.eps)
        reference.train(_given(0.01, step))
    np.testing.assert_allclose(reference.weights[name], weight, rtol=1e-12)


def test_the_given_weights_are_copied() -> None:
    weights = seeded_weights(TINY)
    before = weights["d2.weight"].copy()
    Reference.at(TINY, SGD, (MEAN, STD), weights).train(_given())
    assert np.array_equal(weights["d2.weight"], before)


def test_images_are_normalised_then_resized_around_half_pixel_centres() -> None:
    double = dataclasses.replace(TINY, input_size=64)
    images = random_images(2)
    reference = Reference.at(double, SGD, (MEAN, STD), {})
    x = reference.prepare(images)
    assert x.shape == (2, 3, 64, 64)
    first = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    # New centres lie a quarter of an old pixel from the old ones; the border repeats.
    np.testing.assert_allclose(x[..., 0, 0], first[..., 0, 0])
    np.testing.assert_allclose(x[..., 0, 1], 0.75 * first[..., 0, 0] + 0.25 * first[..., 0, 1])
    np.testing.assert_allclose(x[..., 2, 0], 0.25 * first[..., 0, 0] + 0.75 * first[..., 1, 0])


TINY_FEATURES = next(step.before for step in TINY.steps() if step.layer.name == "d1")
