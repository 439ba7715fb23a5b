"""The ablation's stages: each changes what it says and nothing else, in every framework."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.case import Case
from bench.core.errors import UserError
from bench.networks.architecture import Architecture, BatchNorm, LocalResponseNorm
from bench.networks.init import initial_weights
from bench.networks.variants import VARIANTS, variant
from bench.training.defaults import (
    NAMES,
    OWN,
    STAGES,
    chain,
    defaults_of,
    shuffles,
    switched,
    takes_shared_weights,
    with_own_constants,
)
from bench.training.framework_defaults import LrnDefaults
from bench.training.frameworks import FRAMEWORKS, Framework
from bench.training.tracks import TRACKS
from tests.frameworks.probes.ablation import RECIPE, SCALES, case, undropped, update_input
from tests.frameworks.support.client import Answer, ask, ask_reference, each_framework, each_keras
from tests.frameworks.support.networks import ABLATION, TINY

Array = NDArray[np.floating]

NOT_IN_A_NETWORK = {"initialisation", "shuffle"}
"""Stages of the harness: it hands over the weights, and it makes the plan."""


def constants(architecture: Architecture) -> list[Any]:
    return [x for x in architecture.layers if isinstance(x, BatchNorm | LocalResponseNorm)]


def links(framework: str) -> Iterator[tuple[str, str]]:
    """Every measured stage with the one before it."""
    return pairwise(chain(TINY, framework))


# The stages as data.


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_says_what_it_does_at_every_stage(name: str) -> None:
    own = defaults_of(name)
    assert set(own.words) == set(NAMES) - {OWN}
    assert own.already < set(NAMES)
    assert all(own.words.values())


@pytest.mark.parametrize(
    ("variant_name", "framework", "expected"),
    [
        (
            "cifar-bn",
            "pytorch",
            ["fused-update", "initialisation", "bn-variance", "shuffle", "layout"],
        ),
        ("cifar-lrn", "pytorch", ["fused-update", "initialisation", "shuffle", "layout"]),
        (
            "cifar-bn",
            "keras-tensorflow",
            ["initialisation", "bn-eps", "bn-momentum", "weight-decay", "adam-eps"],
        ),
        ("cifar-lrn", "keras-jax", ["initialisation", "weight-decay", "lrn", "adam-eps"]),
        ("cifar-plain", "keras-torch", ["initialisation", "weight-decay", "adam-eps"]),
    ],
)
def test_what_changes_nothing_is_not_in_the_chain(
    variant_name: str, framework: str, expected: list[str]
) -> None:
    assert chain(variant(variant_name).architecture(), framework) == [OWN, *expected]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", VARIANTS)
def test_last_stage_is_the_row_and_the_first_is_not(name: str, framework: str) -> None:
    architecture = variant(name).architecture()
    stages = chain(architecture, framework)
    ends = [
        with_own_constants(architecture, Case(name, framework, ABLATION, defaults=stage))
        for stage in (stages[0], stages[-1])
    ]
    assert ends[1] == architecture
    own = {type(layer) for layer in constants(architecture)}
    same = framework == "pytorch" and own <= {LocalResponseNorm}  # BVLC's are PyTorch's
    assert (ends[0] == architecture) == (not own or same)


@each_framework
def test_a_stage_changes_its_own_constant_only(framework: str) -> None:
    changed = {"bn-eps": "eps", "bn-momentum": "momentum", "bn-variance": "unbiased"}
    compared = 0
    for before, after in links(framework):
        ones, others = (
            constants(with_own_constants(TINY, case(framework, stage))) for stage in (before, after)
        )
        assert ones
        for one, other in zip(ones, others, strict=True):
            fields = {f for f in vars(one) if getattr(one, f) != getattr(other, f)}
            expected = {changed[after]} if after in changed and "eps" in vars(one) else set()
            if after == "lrn" and isinstance(one, LocalResponseNorm):
                assert fields >= {"alpha"}
                assert fields <= {"size", "alpha", "beta", "k"}
                continue
            assert fields == expected
            compared += bool(fields)
    assert compared


def test_words_of_the_shared_constants_are_those_of_the_rows() -> None:
    words = {stage.name: stage.shared for stage in STAGES}
    norm = BatchNorm("")
    assert float(words["bn-eps"]) == norm.eps
    assert float(words["bn-momentum"]) == norm.momentum
    assert words["bn-variance"] == ("n − 1" if norm.unbiased else "n")
    lrn = LocalResponseNorm("")
    for name in VARIANTS:
        for layer in constants(variant(name).architecture()):
            assert layer == replace(norm if isinstance(layer, BatchNorm) else lrn, name=layer.name)
    expected = f"size {lrn.size}, alpha 1e-4 ÷ size, beta {lrn.beta:g}, k {lrn.k:g}"
    assert words["lrn"] == expected
    assert lrn.alpha == 1e-4
    assert float(words["adam-eps"].split()[0]) == RECIPE.eps


def test_other_tracks_switch_nothing() -> None:
    for row in (row for row in TRACKS.values() if not row.stages):
        one = Case("cifar-bn", "keras-jax", row.name)
        architecture = variant("cifar-bn").architecture()
        assert switched(one) == frozenset()
        assert shuffles(one)
        assert takes_shared_weights(one) == row.shared_weights
        assert with_own_constants(architecture, one) is architecture


@pytest.mark.parametrize("stage", ["", "everything", "bn_eps"])
def test_an_unknown_stage_is_refused(stage: str) -> None:
    with pytest.raises(UserError, match=r"unknown stage .*; known: own, fused-update"):
        switched(case("pytorch", stage))


def test_a_framework_without_own_defaults_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Framework("bare", "nowhere:create", "none", ("numpy",))
    monkeypatch.setitem(FRAMEWORKS, "bare", row)
    with pytest.raises(UserError, match="framework bare: its row says nothing of its own defaults"):
        chain(TINY, "bare")


# The frameworks themselves.


@pytest.mark.slow
@each_framework
def test_own_defaults_are_the_installed_frameworks(framework: str) -> None:
    found, own = ask(framework, "ablation").facts["own"], defaults_of(framework)
    norm = own.batch_norm
    assert found["bn-eps"] == pytest.approx(norm.eps, rel=1e-9)
    assert found["bn-momentum"] == pytest.approx(norm.momentum, rel=1e-9)
    assert found["bn-variance"] == pytest.approx(2 if norm.unbiased else 1, rel=1e-4)
    assert found["adam-eps"] == float(own.words["adam-eps"].split()[0])
    assert found["weight-decay"] in own.words["weight-decay"]
    assert found["layout"] == own.words["layout"]
    assert found["precision"] in own.words["precision"]
    assert found["shuffle"] == ("shuffle" in own.already)
    assert found["fused-update"] is False


@pytest.mark.slow
@each_framework
def test_own_initial_weights_are_of_the_size_that_is_said(framework: str) -> None:
    """10,000 inputs, 64 units: ±1/√fan_in, or Glorot's ±√(6 / (fan_in + fan_out))."""
    weight, bias = ask(framework, "ablation").facts["own"]["initialisation"]
    words = defaults_of(framework).words["initialisation"]
    glorot = words.startswith("Glorot")
    bound = (6 / 10_064) ** 0.5 if glorot else 0.01
    assert 0.999 * bound < weight <= 1.000001 * bound
    assert bias == 0 if glorot else 0.9 * bound < bias <= bound


@pytest.mark.slow
@each_framework
def test_own_response_normalisation(framework: str) -> None:
    found, lrn = ask(framework, "ablation").facts["own"]["lrn"], defaults_of(framework).lrn
    if found is None:
        pytest.skip("this backend has no such operation; it takes TensorFlow's constants")
    if len(found) == 3:  # a layer without a size of its own
        assert lrn == LrnDefaults(*found)
    else:
        radius, alpha, beta, bias = found
        size = 2 * radius + 1
        assert lrn == LrnDefaults(alpha=alpha * size, beta=beta, k=bias, size=size)


@pytest.mark.slow
@each_framework
def test_a_stage_changes_what_it_says_and_nothing_else(framework: str) -> None:
    settings = ask(framework, "ablation").facts["settings"]
    assert list(settings) == chain(TINY, framework)
    for before, after in links(framework):
        one, other = settings[before]["defaults"], settings[after]["defaults"]
        assert one.keys() == other.keys() == set(NAMES) - {OWN, *NOT_IN_A_NETWORK}
        changed = {stage for stage in one if one[stage] != other[stage]}
        assert changed == {after} - NOT_IN_A_NETWORK, (before, after)


@pytest.mark.slow
@each_framework
def test_layout_and_threads_are_read_back(framework: str) -> None:
    for found in ask(framework, "ablation").facts["settings"].values():
        assert found["memory_layout"] == found["defaults"]["layout"]
        assert found["compute_dtype"] == "float32"


@pytest.mark.slow
@each_keras
def test_all_is_shared_at_the_last_stage(framework: str) -> None:
    ours, theirs = (
        list(answer.facts["settings"].values())[-1]["defaults"]
        for answer in (ask(framework, "ablation"), ask_reference("ablation"))
    )
    assert {**ours, "fused-update": None} == {**theirs, "fused-update": None}


@pytest.mark.slow
@each_framework
def test_initial_weights_are_the_cores_from_their_stage_on(framework: str) -> None:
    arrays = ask(framework, "ablation").arrays
    expected = initial_weights(undropped(TINY), 3)
    stages = chain(TINY, framework)
    for stage in stages:
        found = {name: arrays[f"{stage}/start/{name}"] for name in expected}
        shared = stages.index(stage) >= stages.index("initialisation")
        same = [np.array_equal(found[name], expected[name]) for name in expected]
        kernels = [same[i] for i, name in enumerate(expected) if expected[name].ndim > 1]
        assert all(same) == shared
        assert any(kernels) == shared


@each_framework
def test_plan_is_shuffled_from_its_stage_on(framework: str) -> None:
    stages = chain(TINY, framework)
    unshuffled = [stage for stage in stages if not shuffles(case(framework, stage))]
    until = stages.index("shuffle") if "shuffle" in stages else 0
    assert unshuffled == stages[:until]


# Adam, against its formulas in float64.


def adam(scale: float, *, l2: bool, corrected: bool) -> Array:
    """Weights after each step: Kingma and Ba's algorithm 1, or Keras's arithmetic."""
    start, gradients = (x.astype(float) for x in update_input(scale))
    weight, first, second = start, np.zeros(len(start)), np.zeros(len(start))
    rate, decay, found = RECIPE.learning_rate, RECIPE.weight_decay, []
    for t, given in enumerate(gradients, start=1):
        if not l2:
            weight = weight * (1 - rate * decay)
        gradient = given + decay * weight if l2 else given
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        c1, c2 = 1 - 0.9**t, 1 - 0.999**t
        denominator = np.sqrt(second / c2) + (1e-8 if corrected else 1e-7 / np.sqrt(c2))
        weight = weight - rate * first / c1 / denominator
        found.append(weight)
    return np.array(found)


@pytest.mark.slow
@each_framework
@pytest.mark.parametrize("scale", SCALES)
def test_adam_of_every_stage_is_its_formula(framework: str, scale: float) -> None:
    answer = ask(framework, "ablation")
    start, _ = update_input(scale)
    for stage in chain(TINY, framework):
        facts = answer.facts["settings"][stage]["defaults"]
        l2, corrected = facts["weight-decay"] == "L2", facts["adam-eps"] == [1e-8, "after"]
        found = answer.arrays[f"{stage}/update/{scale:g}"] - start
        expected = adam(scale, l2=l2, corrected=corrected) - start
        # Keras's 1 - b ** t in float32 costs 6e-5 of a step, rounding of the weight 1e-7.
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-7)


def test_the_formulas_can_be_told_apart() -> None:
    """With gradients of 1e-7, eps and decay change a step by far more than the tolerance."""
    start, _ = update_input(1e-7)
    steps = [
        adam(1e-7, l2=l2, corrected=corrected)[0] - start
        for l2, corrected in ((False, False), (False, True), (True, True))
    ]
    for one, other in pairwise(steps):
        assert np.abs(one - other).max() > 0.1 * np.abs(other).max()
    assert np.abs(
        adam(1.0, l2=True, corrected=True) - adam(1.0, l2=False, corrected=True)
    ).max() > (1e-4)


# Training.


@pytest.mark.slow
@each_keras
def test_frameworks_agree_at_the_last_stage_and_not_at_the_first(framework: str) -> None:
    ours, theirs = ask(framework, "ablation"), ask_reference("ablation")
    losses = [list(answer.facts["losses"].values()) for answer in (ours, theirs)]
    assert len(losses[0][-1]) == 6
    # 1e-5 measured: float32, and the 6e-5 of Adam's first step.
    np.testing.assert_allclose(losses[0][-1], losses[1][-1], rtol=1e-4)
    assert abs(losses[0][0][-1] - losses[1][0][-1]) > 0.01
    # Before BatchNorm a bias has no gradient but rounding, which Adam makes a whole step of:
    # training does not see it, the running means do (0.6 % of the logits measured).
    first, last = (_apart(ours, theirs, place) for place in (0, -1))
    assert last < 0.02
    assert first > 0.2


def _apart(one: Answer, other: Answer, place: int) -> float:
    """Largest difference of the evaluation's logits at a stage, relative to the largest logit."""
    ours, theirs = (a.arrays[f"{list(a.facts['losses'])[place]}/logits"] for a in (one, other))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.slow
@each_framework
def test_stages_that_reach_the_loss_do(framework: str) -> None:
    """Running moments, layout and the kernel of the update leave the training loss alone."""
    losses = ask(framework, "ablation").facts["losses"]
    silent = {"bn-momentum", "bn-variance", "shuffle", "layout", "fused-update"}
    for before, after in links(framework):
        same = np.allclose(losses[before], losses[after], rtol=2e-6)
        assert same == (after in silent), (before, after)


@pytest.mark.slow
@each_framework
def test_running_moments_reach_the_evaluation(framework: str) -> None:
    arrays = ask(framework, "ablation").arrays
    for before, after in links(framework):
        if after in ("bn-momentum", "bn-variance"):
            one, other = arrays[f"{before}/logits"], arrays[f"{after}/logits"]
            assert np.abs(one - other).max() > 1e-4 * np.abs(other).max()
