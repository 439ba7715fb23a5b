"""Initial weights and dropout masks: functions of a seed, a name and nothing else."""

import math
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest

from bench.networks.architecture import Dense, Dropout, Flatten
from bench.networks.init import DropoutMasks, Weights, initial_weights
from bench.networks.variants import variant
from bench.networks.weights import weights_digest
from tests.frameworks.support.networks import TINY

CIFAR = variant("cifar-bn").architecture()


@pytest.fixture(scope="module")
def weights() -> Weights:
    return initial_weights(CIFAR, seed=0)


def test_every_weight_and_statistic_in_its_shape_and_in_float32(weights: Weights) -> None:
    shapes = CIFAR.weight_shapes() | CIFAR.statistic_shapes()
    assert {name: weight.shape for name, weight in weights.items()} == shapes
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}


def test_weights_fill_the_bounds_of_he_et_al(weights: Weights) -> None:
    drawn = {name: weight for name, weight in weights.items() if weight.ndim > 1}
    assert len(drawn) == 9
    for name, weight in drawn.items():
        fan_in = math.prod(weight.shape[1:])
        bound = math.sqrt(6 / fan_in)
        # A rounding above: float32 of the bound itself. Within 1 % of it: these are many draws.
        assert 0.99 * bound < weight.max() <= bound * (1 + 1e-6), name
        assert -0.99 * bound > weight.min() >= -bound * (1 + 1e-6), name
        # Mean 0 and variance 2 / fan_in to five standard errors (a uniform's kurtosis is 1.8).
        assert abs(weight.mean()) < 5 * math.sqrt(2 / fan_in / weight.size), name
        spread = 5 * math.sqrt(0.8 / weight.size)
        assert weight.var(dtype=float) == pytest.approx(2 / fan_in, rel=spread), name


def test_one_dimensional_weights_start_at_their_neutral_value() -> None:
    found = {n: set(w.tolist()) for n, w in initial_weights(TINY, 3).items() if w.ndim == 1}
    ones = {"c1_norm.weight", "c1_norm.running_var", "d1_norm.weight", "d1_norm.running_var"}
    # A BatchNorm starts at scale 1 whatever its row is called.
    assert {name for name, values in found.items() if values == {1.0}} == ones
    assert {name for name, values in found.items() if values == {0.0}} == found.keys() - ones
    assert len(found) == 12


def test_same_seed_same_weights(weights: Weights) -> None:
    again = initial_weights(CIFAR, seed=0)
    assert weights_digest(again) == weights_digest(weights)


def test_seeds_differ_in_every_drawn_weight() -> None:
    one, other = initial_weights(TINY, 0), initial_weights(TINY, 1)
    drawn = [name for name in one if one[name].ndim > 1]
    assert drawn
    assert all((one[name] == other[name]).mean() < 0.01 for name in drawn)


def test_layers_draw_independently_of_each_other() -> None:
    """A layer more, or fewer units elsewhere, leaves the others' weights as they were."""
    layers = list(TINY.layers)
    layers[-1:] = [Dense("extra", 16), Dense("d2", 7)]
    longer = initial_weights(replace(TINY, layers=tuple(layers)), 0)
    base = initial_weights(TINY, 0)
    assert all(np.array_equal(base[name], longer[name]) for name in base)
    # "extra" has the shape of "d1" but for its inputs, and is not a copy of it.
    assert np.isin(longer["extra.weight"], longer["d1.weight"]).mean() < 0.1


def test_digest_sees_bytes_shapes_and_names_but_not_the_order() -> None:
    base = initial_weights(TINY, 0)
    digest = weights_digest(base)
    assert len(digest) == 64
    assert weights_digest(dict(reversed(base.items()))) == digest

    touched = {name: weight.copy() for name, weight in base.items()}
    touched["d2.bias"][3] = np.nextafter(np.float32(0), np.float32(1))
    reshaped = {**base, "d2.weight": base["d2.weight"].reshape(16, 7)}
    renamed = {name.replace("d2.", "d9."): weight for name, weight in base.items()}
    fewer = {name: weight for name, weight in base.items() if name != "d2.bias"}
    others = [weights_digest(w) for w in (touched, reshaped, renamed, fewer)]
    assert len({digest, *others}) == 5


def test_digest_does_not_depend_on_memory_order() -> None:
    base = initial_weights(TINY, 0)
    columns = {name: np.asfortranarray(weight) for name, weight in base.items()}
    assert weights_digest(columns) == weights_digest(base)


MASKED = replace(
    TINY,
    layers=(
        Flatten("flat"),
        Dense("d1", 2000),
        Dropout("drop1", 0.4),
        Dropout("drop2", 0.1),
        Dense("d2", 7),
    ),
)


def test_masks_drop_at_their_rate() -> None:
    masks = DropoutMasks(MASKED, seed=0).at(0, 100)
    assert {n: (m.shape, m.dtype) for n, m in masks.items()} == {
        name: ((100, 2000), np.dtype(bool)) for name in ("drop1", "drop2")
    }
    for name, rate in (("drop1", 0.4), ("drop2", 0.1)):
        # Four standard errors of 200,000 draws; True is what is kept.
        error = 4 * math.sqrt(rate * (1 - rate) / 200_000)
        assert masks[name].mean() == pytest.approx(1 - rate, abs=error)


def test_masks_are_a_function_of_seed_step_and_layer() -> None:
    masks = DropoutMasks(MASKED, seed=0)
    first = masks.at(3, 8)
    masks.at(4, 8)  # what was asked before makes no difference
    again = DropoutMasks(MASKED, seed=0).at(3, 8)
    assert all(np.array_equal(first[name], again[name]) for name in first)

    twins = replace(MASKED, layers=(*MASKED.layers[:3], Dropout("drop2", 0.4), MASKED.layers[4]))
    base = DropoutMasks(twins, seed=0).at(3, 8)
    others = {
        "step": DropoutMasks(twins, seed=0).at(4, 8)["drop1"],
        "seed": DropoutMasks(twins, seed=1).at(3, 8)["drop1"],
        "layer": base["drop2"],
    }
    for name, other in others.items():
        # Independent masks of rate 0.4 agree on 0.36 + 0.16 of their entries.
        agreement = (base["drop1"] == other).mean()
        assert agreement == pytest.approx(0.52, abs=0.02), name


def test_masks_are_the_generator_s_bits() -> None:
    """Sixteen each, of the words that numpy's SFC64 gives: what was published was drawn so."""
    odd = replace(TINY, layers=(Flatten("flat"), Dense("d", 13), Dropout("drop", 0.4)))
    seed = np.random.SeedSequence([7, 3, crc32(b"drop")])
    bits = np.random.Generator(np.random.SFC64(seed)).bytes(2 * 3 * 13)  # no whole word at the end
    expected = np.frombuffer(bits, "<u2").reshape(3, 13) >= round(0.4 * 65536)
    assert np.array_equal(DropoutMasks(odd, seed=7).at(3, 3)["drop"], expected)


def test_masks_of_different_samples_differ() -> None:
    mask = DropoutMasks(MASKED, seed=0).at(0, 8)["drop1"]
    assert len({row.tobytes() for row in mask}) == 8


def test_rate_zero_keeps_everything() -> None:
    layers = (Flatten("flat"), Dropout("drop", 0.0), Dense("d", 3))
    assert DropoutMasks(replace(TINY, layers=layers), 0).at(0, 4)["drop"].all()
