"""Every framework builds, loads, evaluates and trains the same network.

Tolerances are relative to the largest entry of what is compared. Each was measured over all
frameworks, on one thread, and stands about five times above the worst; a mistake of arithmetic is
at least ten times larger than its tolerance.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.networks.architecture import (
    Architecture,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool,
    ReLU,
)
from bench.training.frameworks import REFERENCE
from tests.frameworks.support import pieces
from tests.frameworks.support.client import ask, ask_reference, each_framework, each_keras
from tests.frameworks.support.networks import (
    MEAN,
    STD,
    TINY,
    jobs,
    random_images,
    seeded_weights,
    structures,
    whole_networks,
)

Array = NDArray[np.floating]


def distance(found: Array, expected: Array) -> float:
    """Largest difference, relative to the largest entry."""
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def concern(of: str, name: str) -> str:
    """The probe that answers for a network. The published ones have a probe of their own: they take
    longer than all else, and `make test` asks two frameworks for the synthetic network alone."""
    return of if name.startswith(TINY.name) else f"{of}_published"


# ---- what is built


@each_framework
@pytest.mark.parametrize("name", ["tiny", *structures()])
def test_trainable_parameters(framework: str, name: str) -> None:
    row = {"tiny": TINY, **structures()}[name]
    assert (
        ask(framework, concern("networks.structure", name)).facts[name]["parameters"]
        == row.parameters
    )


@each_framework
@pytest.mark.parametrize("name", ["tiny", *structures()])
def test_shape_after_every_layer(framework: str, name: str) -> None:
    row = {"tiny": TINY, **structures()}[name]
    found = ask(framework, concern("networks.structure", name)).facts[name]["shapes"]
    # Frameworks may put layers of their own in between (padding, the input), in the same order.
    steps = {step.layer.name: list(step.after) for step in row.steps()}
    assert {layer: found.get(layer) for layer in steps} == steps
    assert [layer for layer in found if layer in steps] == list(steps)


# ---- weights in and out


@each_framework
@pytest.mark.parametrize("name", whole_networks())
def test_weights_come_out_as_they_went_in(framework: str, name: str) -> None:
    row = whole_networks()[name]
    found = ask(framework, concern("networks.closed", name)).facts[name]
    assert sorted(found["names"]) == sorted(row.weight_shapes() | row.statistic_shapes())
    assert found["unequal"] == []
    assert found["dtypes"] == ["float32"]
    assert found["parameters"] == row.parameters


@each_framework
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("missing", ["missing ['c2.bias']", "extra []"]),
        ("extra", ["missing []", "extra ['c9.weight']"]),
        ("statistic", ["missing ['c1_norm.running_var']"]),
        ("shape", ["d2.weight", "(7, 16)", "(16, 7)"]),
        ("dtype", ["d2.weight", "expected float32, got float64"]),
        ("not finite", ["d2.weight", "112 of 112 values are not finite"]),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    framework: str, wrong: str, named: list[str]
) -> None:
    said = ask(framework, "networks.closed").facts["refusals"]["said"]
    assert wrong in said, "taken silently"
    assert all(part in said[wrong] for part in named), said[wrong]
    assert "\n" not in said[wrong]


@each_framework
def test_refused_weights_change_nothing(framework: str) -> None:
    refusals = ask(framework, "networks.closed").facts["refusals"]
    assert len(refusals["said"]) == 6
    assert refusals["changed"] == []
    assert refusals["same_logits"]


@each_framework
def test_settings_of_the_closed_track(framework: str) -> None:
    found = ask(framework, "networks.closed").facts["tiny"]["settings"]
    assert (found["compute_dtype"], found["weight_dtype"]) == ("float32", "float32")
    assert found["tf32"] is False
    assert found["intra_op_threads"] in (1, None)


# ---- evaluation


@each_keras
@pytest.mark.parametrize("name", whole_networks())
def test_logits_of_the_same_weights_agree(framework: str, name: str) -> None:
    """float32 sums in another order over up to 9,216 products: 2e-6 at worst."""
    expected = ask_reference(concern("networks.closed", name)).arrays[name]
    assert expected.shape == (3, whole_networks()[name].classes)
    assert expected.std() > 0.01
    assert distance(ask(framework, concern("networks.closed", name)).arrays[name], expected) < 1e-5


@each_framework
def test_logits_are_those_of_the_definition(framework: str) -> None:
    """The synthetic network in float64 numpy: a mistake that all frameworks share would show."""
    found = ask(framework, "networks.closed").arrays["tiny"]
    assert distance(found, numpy_network(TINY, random_images(3))[0]) < 1e-5


def numpy_network(
    architecture: Architecture, images: NDArray[np.uint8], *, training: bool = False
) -> tuple[Array, dict[str, tuple[Array, Array]]]:
    """Logits straight from the definitions, and the batch's moments before every BatchNorm.

    Training normalises with those moments; its dropout keeps everything, scaled.
    """
    weights = {k: v.astype(float) for k, v in seeded_weights(architecture).items()}
    moments: dict[str, tuple[Array, Array]] = {}
    x = ((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2)  # (B, C, H, W)
    for layer in architecture.layers:
        own = {k.rsplit(".", 1)[1]: v for k, v in weights.items() if k.startswith(f"{layer.name}.")}
        match layer:
            case Conv():
                x = numpy_conv(layer, x, own["weight"], own["bias"])
            case BatchNorm():
                axes = (0, *range(2, x.ndim))
                moments[layer.name] = x.mean(axes), x.var(axes)
                kept = own["running_mean"], own["running_var"]
                x = numpy_normalised(layer, x, own, moments[layer.name] if training else kept)
            case LocalResponseNorm():
                x = numpy_lrn(layer, x)
            case Flatten():
                x = x.reshape(len(x), -1)
            case Dense():
                x = x @ own["weight"].T + own["bias"]
            case ReLU():
                x = np.maximum(x, 0)
            case MaxPool():
                x = windows(x, layer.size, layer.stride).max(axis=(-2, -1))
            case Dropout():
                x = x / (1 - layer.rate) if training else x
    return x, moments


def numpy_normalised(
    layer: BatchNorm, x: Array, own: dict[str, Array], moments: tuple[Array, Array]
) -> Array:
    channels = (slice(None), *(None,) * (x.ndim - 2))
    mean, variance, scale, shift = (a[channels] for a in (*moments, own["weight"], own["bias"]))
    return (x - mean) / np.sqrt(variance + layer.eps) * scale + shift


def windows(x: Array, size: int, stride: int) -> Array:
    """(B, C, H, W) -> (B, C, H', W', size, size)."""
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    return view[:, :, ::stride, ::stride]


def numpy_conv(layer: Conv, x: Array, weight: Array, bias: Array) -> Array:
    padded = np.pad(x, ((0, 0), (0, 0), layer.padding, layer.padding))
    parts = [
        np.einsum("bchwij,ocij->bohw", windows(part, layer.kernel, layer.stride), kernels)
        for part, kernels in zip(
            np.split(padded, layer.groups, axis=1), np.split(weight, layer.groups), strict=True
        )
    ]
    return np.concatenate(parts, axis=1) + bias[:, None, None]


def numpy_lrn(layer: LocalResponseNorm, x: Array) -> Array:
    out = np.empty_like(x)
    for i in range(x.shape[1]):
        first, end = max(i - layer.size // 2, 0), i + (layer.size - 1) // 2 + 1
        total = (x[:, first:end] ** 2).sum(axis=1)
        out[:, i] = x[:, i] / (layer.k + layer.alpha / layer.size * total) ** layer.beta
    return out


# ---- normalisation and resize


def numpy_prepared(images: NDArray[np.uint8], size: int) -> Array:
    """Bilinear with half-pixel centres and clamped borders, no antialiasing, (B, S, S, 3)."""
    x = (images / 255 - MEAN) / STD
    where = np.clip((np.arange(size) + 0.5) * images.shape[1] / size - 0.5, 0, None)
    low = np.floor(where).astype(int)
    high, part = np.minimum(low + 1, images.shape[1] - 1), where - low
    rows = x[:, low] * (1 - part)[:, None, None] + x[:, high] * part[:, None, None]
    return rows[:, :, low] * (1 - part)[:, None] + rows[:, :, high] * part[:, None]


@each_framework
@pytest.mark.parametrize("size", pieces.SIZES)
def test_images_are_normalised_and_resized_alike(framework: str, size: int) -> None:
    """2e-6 measured: float32 places of the samples at sizes that do not divide."""
    found = ask(framework, "layers").arrays[f"prepare/{size}"]
    assert found.shape == (2, size, size, 3)
    assert distance(found, numpy_prepared(random_images(2), size)) < 1e-5


# ---- training

CHANGES = {
    # BatchNorm over eight images divides by small deviations, and that raises the rounding of
    # everything after it: 4e-6 without it, 6e-5 with it (Adam is the worst).
    "imagenet-lrn": 2e-5,
    "cifar-bn": 3e-4,
    "tiny-nesterov": 3e-4,
    "tiny-momentum": 3e-4,
    "tiny-adam": 3e-4,
}


def biases_before_batch_norm(architecture: Architecture) -> set[str]:
    pairs = zip(architecture.layers, architecture.layers[1:], strict=False)
    return {f"{a.name}.bias" for a, b in pairs if isinstance(b, BatchNorm) and a.kind != "relu"}


def test_every_job_has_a_tolerance() -> None:
    assert set(CHANGES) == set(jobs())


@pytest.mark.slow
@each_keras
@pytest.mark.parametrize("name", jobs())
def test_losses_agree(framework: str, name: str) -> None:
    """4e-7 measured, after three steps as well."""
    expected = ask_reference("steps").facts[name]["losses"]
    found = ask(framework, "steps").facts[name]["losses"]
    assert len(expected) == len(jobs()[name].rates)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@each_keras
@pytest.mark.parametrize("name", jobs())
def test_steps_change_the_weights_alike(framework: str, name: str) -> None:
    """What is compared is the change, not the weight, which would hide it."""
    job = jobs()[name]
    ours, theirs = ask_reference("steps").arrays, ask(framework, "steps").arrays
    row = job.architecture
    without_gradient = biases_before_batch_norm(row)
    wrong = {}
    for weight in row.weight_shapes() | row.statistic_shapes():
        expected, found = ours[f"{name}/{weight}"], theirs[f"{name}/{weight}"]
        scale = np.abs(expected).max()
        if weight in without_gradient:
            # BatchNorm removes a bias before it: its true gradient is 0 and what is
            # left is rounding, to be compared with the gradient of the layer's weight.
            scale = np.abs(ours[f"{name}/{weight.removesuffix('bias')}weight"]).max()
        assert scale > 0, f"{weight} never moved"
        error = np.abs(found - expected).max() / scale
        if not error < CHANGES[name]:
            wrong[weight] = float(error)
    assert wrong == {}


@pytest.mark.slow
@each_keras
@pytest.mark.parametrize("name", jobs())
def test_size_of_the_changes_agrees(framework: str, name: str) -> None:
    """Over all entries, where the comparison by entry takes some of the large weights."""
    ours = ask_reference("steps").facts[name]["norms"]
    theirs = ask(framework, "steps").facts[name]["norms"]
    counted = ours.keys() - biases_before_batch_norm(jobs()[name].architecture)
    assert counted
    assert {w: theirs[w] for w in counted} == pytest.approx({w: ours[w] for w in counted}, rel=1e-4)


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("layer", ["c1_norm", "d1_norm"])
def test_running_moments_follow_the_rows_convention(framework: str, layer: str) -> None:
    """After one step: (1 - momentum) of the batch's mean, and of its variance divided by n.

    The variance divided by n - 1 would be 14 % larger over the eight values of ``d1_norm``.
    """
    row = next(row for row in TINY.layers if row.name == layer)
    assert isinstance(row, BatchNorm)
    mean, variance = numpy_network(TINY, random_images(8), training=True)[1][layer]
    arrays = ask(framework, "steps").arrays
    new = 1 - row.momentum
    found = [arrays[f"moments/{layer}.{part}"] for part in ("running_mean", "running_var")]
    assert distance(found[0], new * mean) < 1e-5
    assert distance(found[1] - row.momentum, new * variance) < 1e-5


@pytest.mark.slow
@each_framework
def test_evaluation_is_deterministic_and_without_dropout(framework: str) -> None:
    found = ask(framework, "steps").facts["tiny-nesterov"]["predict"]
    assert found == {
        "repeats": True,
        "as_untrained": True,
        "finite": True,
        "unmoved_by_bare": True,
    }


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("size", ["bare", "bare_enlarged"])
def test_bare_loop_does_the_same_steps(framework: str, size: str) -> None:
    assert ask(framework, "steps").facts["tiny-nesterov"][size] < 1e-4


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("name", jobs())
def test_every_step_is_reported_once(framework: str, name: str) -> None:
    facts = ask(framework, "steps").facts[name]
    assert facts["calls"] == len(jobs()[name].rates)
    assert facts["losses_again"] == []


# ---- single pieces


@each_framework
@pytest.mark.parametrize("rate", pieces.DROPOUT_RATES)
def test_dropout_takes_the_mask_that_it_is_given(framework: str, rate: float) -> None:
    x, mask = pieces.dropout_input()
    found = ask(framework, "layers").arrays[f"dropout/{rate}"]
    assert ((found == 0) == ~mask).all()
    np.testing.assert_allclose(found[mask], x[mask] / (1 - rate), rtol=2e-7)
    if framework != REFERENCE:
        np.testing.assert_array_equal(found, ask_reference("layers").arrays[f"dropout/{rate}"])


def test_dropout_of_the_reference_without_training_or_mask() -> None:
    x, _ = pieces.dropout_input()
    arrays = ask_reference("layers").arrays
    np.testing.assert_array_equal(arrays["dropout/evaluation"], x)
    np.testing.assert_array_equal(arrays["dropout/unmasked"], x)


def test_tracks_of_the_reference_take_their_own_layers() -> None:
    arrays = ask_reference("layers").arrays
    shared, native = arrays["shared_layers"].tolist(), arrays["native_layers"].tolist()
    assert shared.count("SharedMaskDropout") == shared.count("BiasedBatchNorm") == 2
    assert native.count("Dropout") == 2
    assert (native.count("BatchNorm1d"), native.count("BatchNorm2d")) == (1, 1)
    assert arrays["biased_batch_norms"] == 0


def numpy_updates(name: str) -> Array:
    """Four steps of an optimiser in float64, from its definition."""
    recipe = pieces.OPTIMIZERS[name]
    start, gradients = (a.astype(float) for a in pieces.update_input())
    w, first, second = start, np.zeros_like(start), np.zeros_like(start)
    for t, (gradient, rate) in enumerate(zip(gradients, pieces.RATES, strict=True), 1):
        g = gradient + recipe.weight_decay * w
        if recipe.optimizer == "adam":
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g**2
            root = np.sqrt(second / (1 - 0.999**t))
            w = w - rate * first / (1 - 0.9**t) / (root + recipe.eps)
        else:
            first = recipe.momentum * first + g
            nesterov = recipe.nesterov and recipe.momentum > 0
            w = w - rate * (g + recipe.momentum * first if nesterov else first)
    return w


@each_framework
@pytest.mark.parametrize("name", pieces.OPTIMIZERS)
def test_optimisers_follow_their_definition(framework: str, name: str) -> None:
    """float32 rounding of four steps, 1e-6 at worst."""
    found = ask(framework, "layers").arrays[f"update/{name}"]
    assert distance(found, numpy_updates(name)) < 3e-6


@each_framework
@pytest.mark.parametrize("smoothing", pieces.SMOOTHINGS)
def test_cross_entropy(framework: str, smoothing: float) -> None:
    labels, logits = pieces.loss_input()
    exponents = np.exp(logits.astype(float))
    logarithms = np.log(exponents / exponents.sum(axis=1, keepdims=True))
    right = logarithms[np.arange(len(labels)), labels]
    expected = -((1 - smoothing) * right + smoothing * logarithms.mean(axis=1)).mean()
    found = float(ask(framework, "layers").arrays[f"loss/{smoothing}"])
    assert math.isclose(found, expected, rel_tol=1e-6)
