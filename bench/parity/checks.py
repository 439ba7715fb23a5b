"""The parity checks, in their order: each raises MismatchError at the first difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bench.core.system.devices import accelerated, mismatch, parse
from bench.parity import problem
from bench.parity.comparison import ParityComparison, Tensors
from bench.parity.figures import MismatchError
from bench.parity.reference_training import Reference
from bench.training.interfaces import CertifiableTrainer
from bench.training.recipes.base import Recipe

FLOAT32_STATES = (0, 2, 4, 6, 9)
"""Steps of the reference's training from whose state float32 takes one step."""


def check_batches(comparison: ParityComparison) -> None:
    """Crops and flips of the harness are equal to those of one image at a time."""
    batches, steps = comparison.batches, range(problem.STEPS)
    given = [(s.images, s.labels) for s in map(batches.at, steps)]
    for step, images_and_labels in zip(steps, given, strict=True):
        pair = (images_and_labels, batches.by_definition(step))
        if problem.batch_digest(pair[:1]) != problem.batch_digest(pair[1:]):
            raise MismatchError(f"batches: the bytes of step {step + 1} are not those of the plan")
    comparison.certificate.facts["batches_sha256"] = problem.batch_digest(given)


def _why_not_certifiable(trainer: object) -> str:
    for name in ("gradients", "activations"):
        if not callable(getattr(trainer, name, None)):
            return (
                f"the trainer has no {name}(): it cannot be checked; "
                "see bench.training.interfaces.CertifiableTrainer"
            )
    return ""


def check_weights_round_trip(comparison: ParityComparison) -> None:
    """Exported weights are those that were loaded, bit for bit."""
    if missing := _why_not_certifiable(comparison.single):
        raise MismatchError(missing)
    comparison.single.load_weights(comparison.weights)
    there = comparison.single.export_weights()
    for name, weight in comparison.weights.items():
        if name not in there or not np.array_equal(there[name], weight):
            raise MismatchError(f"weights: {name} does not come out as it was loaded")


def check_device(comparison: ParityComparison) -> None:
    """On an accelerator, the weights are there (a certificate of the CPU would say nothing), and
    it has float64."""
    if not accelerated(comparison.device):
        return
    found = comparison.single.settings().get("device")
    if wrong := mismatch(comparison.device, found):
        raise MismatchError(wrong)
    kind = parse(comparison.device).kind
    if not kind.float64:
        raise MismatchError(
            f"a {kind.title} has no float64, in which parity is checked: rows of the closed track "
            "stay uncertified there"
        )


def check_activations(comparison: ParityComparison) -> None:
    """Every layer in evaluation mode, in float64."""
    weights, images = comparison.weights, comparison.batches.at(0).images
    comparison.double.load_weights(_doubles(weights))
    found = comparison.double.activations(images)
    reference = comparison.reference(problem.SGD, weights)
    for name, expected in reference.activations(images):
        if name in found:
            comparison.check_tensors("float64 activations", "", found, {name: expected})
    logits = {"logits": comparison.double.predict(images)}
    comparison.check_tensors("float64 logits", "", logits, {"logits": expected})


def check_gradients(comparison: ParityComparison) -> None:
    """Loss and every weight's gradient in training mode, in float64."""
    weights = _doubles(comparison.weights)
    comparison.double.load_weights(weights)
    gaps = _compare(comparison, comparison.double, "float64", (weights, 0))
    for place, gap in gaps.items():
        comparison.certificate.record("float64 gradients", place, gap)


def _compare(
    comparison: ParityComparison, trainer: CertifiableTrainer, dtype: str, at: tuple[Tensors, int]
) -> dict[str, float]:
    """Compare the loss of a pass, and return the distances of its gradients by place."""
    weights, step = at
    given, where = comparison.batches.at(step), f", step {step + 1}"
    expected = comparison.reference(problem.SGD, weights).gradients(given)
    found = trainer.gradients(given)
    gap = abs(found.loss - expected.loss) / abs(expected.loss)
    comparison.certificate.record(f"{dtype} loss", f"loss{where}", gap)
    return comparison.gradient_distances(f" gradient{where}", found.by_name, expected.by_name)


def check_sgd(comparison: ParityComparison) -> None:
    """Ten steps of SGD with Nesterov momentum and L2 weight decay, in float64."""
    trainer = comparison.double
    for step, reference in _follow(comparison, trainer, problem.SGD, "SGD"):
        if step in FLOAT32_STATES:
            state = {k: v.astype(np.float32) for k, v in reference.weights.items()}
            comparison.states.append(state)
    del comparison.double  # its weights and slots take most of a GiB


def check_adam(comparison: ParityComparison) -> None:
    """Ten steps of Adam with L2 weight decay, in float64."""
    trainer = comparison.trainer(problem.ADAM, "float64")
    for _ in _follow(comparison, trainer, problem.ADAM, "Adam"):
        pass


def _follow(
    comparison: ParityComparison, trainer: CertifiableTrainer, recipe: Recipe, label: str
) -> Iterator[tuple[int, Reference]]:
    """Train both and compare them after every step; yields the state before each."""
    record = comparison.certificate.record
    weights = _doubles(comparison.weights)
    trainer.load_weights(weights)
    reference = comparison.reference(recipe, weights)
    statistics = comparison.architecture.statistic_shapes()
    for step in range(problem.STEPS):
        yield step, reference
        given, where = comparison.batches.at(step), f" after step {step + 1}"
        trainer.train([given], 1, lambda: None)
        trainer.sync()
        loss, expected = trainer.losses()[-1], reference.train(given)
        record("float64 loss", f"loss, step {step + 1}, {label}", abs(loss - expected) / expected)
        there = trainer.export_weights()
        for name, tensor in reference.weights.items():
            what = "statistics" if name in statistics else "weights"
            comparison.check_tensors(f"float64 {what}, {label}", where, there, {name: tensor})
    images = comparison.batches.at(0).images
    logits = {"logits": trainer.predict(images)}
    expected_logits = {"logits": reference.predict(images)}
    where = f" after step {problem.STEPS}"
    comparison.check_tensors(f"float64 evaluation, {label}", where, logits, expected_logits)


def check_float32_steps(comparison: ParityComparison) -> None:
    """Loss and gradients in float32, each from a state of the reference; then an update.

    A mistake shows at every state, a ReLU that flips by rounding only at some: the state with the
    smallest distances must keep the bound of rounding.
    """
    trainer, passes = comparison.single, []
    for step, weights in zip(FLOAT32_STATES, comparison.states, strict=True):
        trainer.load_weights(weights)
        gaps = _compare(comparison, trainer, "float32", (weights, step))
        passes.append((max(gaps.values()), step, weights, gaps))
    _, best, weights, gaps = min(passes, key=lambda found: (math.isnan(found[0]), *found[:2]))
    for place, gap in gaps.items():
        comparison.certificate.record("float32 gradients", place, gap)
    for _, _, _, others in passes:
        for place, gap in others.items():
            comparison.certificate.record("float32 gradients, any state", place, gap)
    _check_update(comparison, trainer, (weights, best))


def _check_update(
    comparison: ParityComparison, trainer: CertifiableTrainer, at: tuple[Tensors, int]
) -> None:
    """The change of the weights in one step, which is small compared with the weights."""
    before, step = at
    # A large rate lifts the change above the rounding of the weight that it is added to.
    given = dataclasses.replace(comparison.batches.at(step), learning_rate=1.0)
    trainer.load_weights(before)
    trainer.train([given], 1, lambda: None)
    trainer.sync()
    reference = comparison.reference(problem.SGD, before)
    reference.train(given)
    after = trainer.export_weights()
    trained = comparison.architecture.weight_shapes()
    changes = {name: after[name] - before[name] for name in trained}
    expected = {name: reference.weights[name] - before[name] for name in trained}
    where = f" changed by step {step + 1}"
    comparison.check_gradients_of("float32 update", where, changes, expected)


def check_float32_logits(comparison: ParityComparison) -> None:
    """Evaluation-mode logits in float32 at the input size that is measured."""
    own = comparison.certificate.architecture
    weights = problem.problem_weights(own)
    images = comparison.batches.at(0).images[:2]
    trainer = comparison.trainer(problem.SGD, "float32", own)
    trainer.load_weights(weights)
    expected = Reference.at(own, problem.SGD, (problem.MEAN, problem.STD), weights).predict(images)
    where = f" at {own.input_size} px"
    found = {"logits": trainer.predict(images)}
    comparison.check_tensors("float32 logits", where, found, {"logits": expected})


def _doubles(weights: Tensors) -> dict[str, NDArray[np.float64]]:
    return {name: weight.astype(np.float64) for name, weight in weights.items()}


CHECKS: tuple[tuple[str, Callable[[ParityComparison], None]], ...] = (
    ("batches", check_batches),
    ("weights", check_weights_round_trip),
    ("device", check_device),
    ("activations", check_activations),
    ("gradients", check_gradients),
    ("SGD", check_sgd),
    ("Adam", check_adam),
    ("float32 steps", check_float32_steps),
    ("float32 logits", check_float32_logits),
)
"""In this order: the first that fails names the cause, not a consequence."""
