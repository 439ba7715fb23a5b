"""The parity certificate: a proof that a framework computes the network that its row describes.

The judge is :mod:`bench.reference`, float64 numpy that no framework had a hand in. In float64
nothing is left of rounding, so bounds are tight and a mistake of arithmetic stands far above them;
ten whole training steps are followed there. What is measured is float32: there the logits are
held at the network's own input size, and loss, gradients and update one step at a time, always from
the reference's state, because rounding grows from step to step (a ReLU that flips takes its
gradient with it).

Every framework is held against the reference to half of what two frameworks may differ by, so
that any two that pass are within the whole of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import proof
from bench.case import Case
from bench.recipes import Recipe
from bench.reference_training import Reference
from bench.spec import Architecture, BatchNorm
from bench.trainer import ProvableTrainer, Setup
from bench.weights import weights_digest

Progress = Callable[[float, str], None]
Build = Callable[[Setup], ProvableTrainer]
Tensors = Mapping[str, NDArray[Any]]

BOUNDS = {
    # Sums in another order over up to 9,216 products, through eight layers: 5e-15 at worst.
    "float64 activations": 1e-11,
    "float64 logits": 1e-11,
    # The loss is a mean of a few numbers near 1: 2e-15; gradients 2e-14 at worst.
    "float64 loss": 5e-9,
    "float64 gradients": 5e-9,
    # Rounding grows over ten steps, fastest through BatchNorm: 2e-13 with SGD. Adam divides by
    # roots of gradients that may be nearly 0: 2e-10.
    "float64 weights, SGD": 5e-9,
    "float64 statistics, SGD": 5e-9,
    "float64 evaluation, SGD": 5e-9,
    "float64 weights, Adam": 5e-7,
    "float64 statistics, Adam": 5e-7,
    "float64 evaluation, Adam": 5e-7,
    "float32 logits": 1e-5,  # 1e-6
    "float32 loss": 1e-5,  # 2e-6
    # 4e-5 at worst, through BatchNorm. A ReLU that rounding flips takes its whole gradient along.
    "float32 gradients": 1e-3,
    "float32 update": 1e-3,
}
"""Relative L2 distance per tensor from the reference, by check, with what was measured."""

FLOAT32_STATES = (0, 4, 9)
"""Steps of the reference's training from whose state float32 takes one step: first, middle, last.
"""


@dataclass
class Figure:
    """The worst distance of one check, and where it was."""

    bound: float
    worst: float = 0.0
    where: str = ""


class PartedError(Exception):
    """A check was not passed; the message says which, where and by how much."""


@dataclass
class Certificate:
    """The figures of one network in one framework; ``problem`` is empty when all checks passed."""

    framework: str
    architecture: Architecture
    figures: dict[str, Figure] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def hold(self, check: str, where: str, distance: float) -> None:
        """Note a distance; raises PartedError when it is above its bound, or not a number."""
        figure = self.figures.setdefault(check, Figure(BOUNDS[check]))
        if not distance <= figure.worst:
            figure.worst, figure.where = distance, where
        if not distance <= figure.bound:
            raise PartedError(f"{check}: {where} parts by {distance:.1e}, bound {figure.bound:.0e}")

    def to_json(self) -> dict[str, Any]:
        """As a record carries it; a figure that is not finite becomes null."""
        return {
            "variant": self.architecture.name,
            "framework": self.framework,
            "status": "fail" if self.problem else "pass",
            "problem": self.problem,
            "figures": {name: _figure_json(figure) for name, figure in self.figures.items()},
            **self.facts,
        }


def _figure_json(figure: Figure) -> dict[str, Any]:
    worst = figure.worst if math.isfinite(figure.worst) else None
    return {"worst": worst, "bound": figure.bound, "where": figure.where}


def certify(
    architecture: Architecture,
    framework: str,
    build: Build,
    threads: int,
    progress: Progress = lambda done, note: None,
) -> Certificate:
    """Hold one network of one framework against the reference, and stop at the first difference."""
    certificate = Certificate(framework, architecture)
    examination = _Examination(certificate, build, threads)
    try:
        for place, (note, check) in enumerate(CHECKS):
            progress(place / len(CHECKS), note)
            check(examination)
    except PartedError as parted:
        certificate.problem = str(parted)
    return certificate


def _cannot_be_proven(trainer: object) -> str:
    for name in ("gradients", "activations"):
        if not callable(getattr(trainer, name, None)):
            return (
                f"the trainer has no {name}(): it cannot be proven; "
                "see bench.trainer.ProvableTrainer"
            )
    return ""


class _Examination:
    """What the checks share: the network on small pictures, its weights and its batches."""

    def __init__(self, certificate: Certificate, build: Build, threads: int) -> None:
        self.certificate, self._build, self._threads = certificate, build, threads
        self.architecture = proof.proof_architecture(certificate.architecture)
        self.batches = proof.Batches.of(self.architecture)
        self.weights = proof.proof_weights(self.architecture)
        self.states: list[dict[str, NDArray[np.float32]]] = []
        """The reference's weights before the steps of FLOAT32_STATES."""
        certificate.facts |= {
            "input_size": self.architecture.input_size,
            "batch_size": self.batches.batch_size,
            "steps": proof.STEPS,
            "weights_sha256": weights_digest(self.weights),
        }

    @cached_property
    def single(self) -> ProvableTrainer:
        """In float32; built once, since building and compiling is what takes long."""
        return self.trainer(proof.SGD, "float32")

    @cached_property
    def double(self) -> ProvableTrainer:
        """In float64, with SGD; nothing trains it before its ten steps."""
        return self.trainer(proof.SGD, "float64")

    def trainer(
        self, recipe: Recipe, precision: str, architecture: Architecture | None = None
    ) -> ProvableTrainer:
        rows = architecture or self.architecture
        case = Case(
            rows.name,
            self.certificate.framework,
            input_size=rows.input_size,
            precision=precision,
            batch_size=self.batches.batch_size,
        )
        constants = (proof.MEAN, proof.STD)
        return self._build(Setup(case, rows, recipe, proof.STEPS, *constants, self._threads))

    def reference(self, recipe: Recipe, weights: Tensors) -> Reference:
        return Reference.at(self.architecture, recipe, (proof.MEAN, proof.STD), weights)

    def hold_tensors(self, check: str, where: str, found: Tensors, expected: Tensors) -> None:
        """Every tensor that is expected, in order; one that is missing parts, too."""
        for name, tensor in expected.items():
            there = found.get(name)
            gap = math.inf if there is None else distance(there, tensor)
            self.certificate.hold(check, f"{name}{where}", gap)

    def hold_gradients(self, check: str, where: str, found: Tensors, expected: Tensors) -> None:
        """The same for what goes by gradients.

        A bias in front of BatchNorm has a true gradient of 0, and what is there is rounding: it is
        judged on the scale of its layer's other gradient, and the figure says so.
        """
        for name, tensor in expected.items():
            layer, _, part = name.rpartition(".")
            if part == "bias" and layer in self._before_batch_norm:
                weight = f"{layer}.weight"
                scale = float(np.linalg.norm(expected[weight]))
                gap = distance(found[name], tensor, scale) if name in found else math.inf
                on_scale = f"{name}{where} (on the scale of {weight})"
                self.certificate.hold(check, on_scale, gap)
            else:
                self.hold_tensors(check, where, found, {name: tensor})

    @cached_property
    def _before_batch_norm(self) -> set[str]:
        rows = self.architecture.layers
        followed = pairwise(rows)
        return {row.name for row, after in followed if isinstance(after, BatchNorm)}


def distance(found: NDArray[Any], expected: NDArray[Any], scale: float | None = None) -> float:
    """L2 norm of the difference over ``scale``, by default the norm of what is expected.

    inf for another shape; by blocks of rows, since the two may lie in memory in different orders.
    """
    if found.shape != expected.shape:
        return math.inf
    gap = total = 0.0
    for start in range(0, len(expected), 64):
        part = expected[start : start + 64].astype(np.float64, copy=False)
        difference = (found[start : start + 64] - part).ravel()
        gap += float(difference @ difference)
        total += float(part.ravel() @ part.ravel())
    norm = math.sqrt(total) if scale is None else scale
    if not norm:
        return 0.0 if gap == 0 else math.inf
    return math.sqrt(gap) / norm


def check_batches(examination: _Examination) -> None:
    """The harness applies crops and flips to the very pictures that the plan names."""
    batches, steps = examination.batches, range(proof.STEPS)
    given = [(s.images, s.labels) for s in map(batches.at, steps)]
    for step, images_and_labels in zip(steps, given, strict=True):
        pair = (images_and_labels, batches.by_definition(step))
        if proof.batch_digest(pair[:1]) != proof.batch_digest(pair[1:]):
            raise PartedError(f"batches: the bytes of step {step + 1} are not those of the plan")
    examination.certificate.facts["batches_sha256"] = proof.batch_digest(given)


def check_weights_are_taken(examination: _Examination) -> None:
    """What was loaded comes out again, bit for bit."""
    if missing := _cannot_be_proven(examination.single):
        raise PartedError(missing)
    examination.single.load_weights(examination.weights)
    there = examination.single.export_weights()
    for name, weight in examination.weights.items():
        if name not in there or not np.array_equal(there[name], weight):
            raise PartedError(f"weights: {name} does not come out as it was loaded")


def check_activations(examination: _Examination) -> None:
    """Every layer in evaluation mode, in float64."""
    weights, images = examination.weights, examination.batches.at(0).images
    examination.double.load_weights(_doubles(weights))
    found = examination.double.activations(images)
    reference = examination.reference(proof.SGD, weights)
    for name, expected in reference.activations(images):
        if name in found:
            examination.hold_tensors("float64 activations", "", found, {name: expected})
    logits = {"logits": examination.double.predict(images)}
    examination.hold_tensors("float64 logits", "", logits, {"logits": expected})


def check_gradients(examination: _Examination) -> None:
    """Loss and every weight's gradient in training mode, in float64."""
    weights = _doubles(examination.weights)
    examination.double.load_weights(weights)
    _hold_gradients(examination, examination.double, "float64", (weights, 0))


def _hold_gradients(
    examination: _Examination, trainer: ProvableTrainer, dtype: str, at: tuple[Tensors, int]
) -> None:
    weights, step = at
    given, where = examination.batches.at(step), f", step {step + 1}"
    expected = examination.reference(proof.SGD, weights).gradients(given)
    found = trainer.gradients(given)
    gap = abs(found.loss - expected.loss) / abs(expected.loss)
    examination.certificate.hold(f"{dtype} loss", f"loss{where}", gap)
    examination.hold_gradients(
        f"{dtype} gradients", f" gradient{where}", found.by_name, expected.by_name
    )


def check_sgd(examination: _Examination) -> None:
    """Ten steps of SGD with Nesterov momentum and L2 weight decay, in float64."""
    trainer = examination.double
    for step, reference in _follow(examination, trainer, proof.SGD, "SGD"):
        if step in FLOAT32_STATES:
            state = {k: v.astype(np.float32) for k, v in reference.weights.items()}
            examination.states.append(state)
    del examination.double  # its weights and slots take most of a GiB


def check_adam(examination: _Examination) -> None:
    """Ten steps of Adam with L2 weight decay, in float64."""
    trainer = examination.trainer(proof.ADAM, "float64")
    for _ in _follow(examination, trainer, proof.ADAM, "Adam"):
        pass


def _follow(
    examination: _Examination, trainer: ProvableTrainer, recipe: Recipe, label: str
) -> Iterator[tuple[int, Reference]]:
    """Train both side by side and hold them after every step; yields the state before each."""
    hold = examination.certificate.hold
    weights = _doubles(examination.weights)
    trainer.load_weights(weights)
    reference = examination.reference(recipe, weights)
    statistics = examination.architecture.statistic_shapes()
    for step in range(proof.STEPS):
        yield step, reference
        given, where = examination.batches.at(step), f" after step {step + 1}"
        trainer.train([given], 1, lambda: None)
        trainer.sync()
        loss, expected = trainer.losses()[-1], reference.train(given)
        hold("float64 loss", f"loss, step {step + 1}, {label}", abs(loss - expected) / expected)
        there = trainer.export_weights()
        for name, tensor in reference.weights.items():
            what = "statistics" if name in statistics else "weights"
            examination.hold_tensors(f"float64 {what}, {label}", where, there, {name: tensor})
    images = examination.batches.at(0).images
    logits = {"logits": trainer.predict(images)}
    expected_logits = {"logits": reference.predict(images)}
    where = f" after step {proof.STEPS}"
    examination.hold_tensors(f"float64 evaluation, {label}", where, logits, expected_logits)


def check_float32_steps(examination: _Examination) -> None:
    """Loss, gradients and the first update in float32, each from the reference's state."""
    trainer = examination.single
    for step, weights in zip(FLOAT32_STATES, examination.states, strict=True):
        trainer.load_weights(weights)
        _hold_gradients(examination, trainer, "float32", (weights, step))
    _hold_update(examination, trainer)


def _hold_update(examination: _Examination, trainer: ProvableTrainer) -> None:
    """What one step did to the weights: the change, which is small beside the weight itself."""
    before, given = examination.weights, examination.batches.at(0)
    # A large rate lifts the change above the rounding of the weight that it is added to.
    given = dataclasses.replace(given, learning_rate=1.0)
    trainer.load_weights(before)
    trainer.train([given], 1, lambda: None)
    trainer.sync()
    reference = examination.reference(proof.SGD, before)
    reference.train(given)
    after = trainer.export_weights()
    trained = examination.architecture.weight_shapes()
    changes = {name: after[name] - before[name] for name in trained}
    expected = {name: reference.weights[name] - before[name] for name in trained}
    examination.hold_gradients("float32 update", " changed by step 1", changes, expected)


def check_float32_logits(examination: _Examination) -> None:
    """Evaluation-mode logits in float32 at the input size that is measured."""
    own = examination.certificate.architecture
    weights = proof.proof_weights(own)
    images = examination.batches.at(0).images[:2]
    trainer = examination.trainer(proof.SGD, "float32", own)
    trainer.load_weights(weights)
    expected = Reference.at(own, proof.SGD, (proof.MEAN, proof.STD), weights).predict(images)
    where = f" at {own.input_size} px"
    found = {"logits": trainer.predict(images)}
    examination.hold_tensors("float32 logits", where, found, {"logits": expected})


def _doubles(weights: Tensors) -> dict[str, NDArray[np.float64]]:
    return {name: weight.astype(np.float64) for name, weight in weights.items()}


CHECKS: tuple[tuple[str, Callable[[_Examination], None]], ...] = (
    ("batches", check_batches),
    ("weights", check_weights_are_taken),
    ("activations", check_activations),
    ("gradients", check_gradients),
    ("SGD", check_sgd),
    ("Adam", check_adam),
    ("float32 steps", check_float32_steps),
    ("float32 logits", check_float32_logits),
)
"""In this order: the first that fails names the cause, not a consequence."""
