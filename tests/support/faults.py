"""Mistakes found in published implementations of AlexNet, planted into a trainer one at a time.

A fault wraps the function that builds a trainer, whatever the framework: it changes what the
trainer is built from, what goes in, or what comes out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.networks.architecture import BatchNorm, Conv, Flatten, Layer, LocalResponseNorm
from bench.parity.comparison import Build
from bench.training.interfaces import Gradients, Setup, StepInput
from bench.training.recipes.base import Recipe

Weights = Mapping[str, Any]


class Wrapped:
    """A trainer that wraps another; subclasses change one thing."""

    def __init__(self, build: Build, setup: Setup) -> None:
        self.setup = setup
        self.inner = build(self.given(setup))

    def given(self, setup: Setup) -> Setup:
        return setup

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class ChangedRow(Wrapped):
    """The network is built from a row that is not quite the given one."""

    def change(self, layer: Layer) -> Layer:
        raise NotImplementedError

    def given(self, setup: Setup) -> Setup:
        rows = tuple(map(self.change, setup.architecture.layers))
        return dataclasses.replace(
            setup, architecture=dataclasses.replace(setup.architecture, layers=rows)
        )


def _row(kind: type[Layer], change: Callable[[Any], dict[str, Any]]) -> type[Wrapped]:
    class Changed(ChangedRow):
        def change(self, layer: Layer) -> Layer:
            return dataclasses.replace(layer, **change(layer)) if type(layer) is kind else layer

    return Changed


def _recipe(**changes: Any) -> type[Wrapped]:
    class Changed(Wrapped):
        def given(self, setup: Setup) -> Setup:
            recipe: Recipe = dataclasses.replace(setup.recipe, **changes)
            return dataclasses.replace(setup, recipe=recipe)

    return Changed


class OneRate(Wrapped):
    def given(self, setup: Setup) -> Setup:
        return dataclasses.replace(setup, rates={})


class Constants(Wrapped):
    def given(self, setup: Setup) -> Setup:
        return dataclasses.replace(setup, std=(0.2023, 0.1994, 0.2010))


class Inputs(Wrapped):
    """What the trainer makes of a step's input."""

    def seen(self, given: StepInput) -> StepInput:
        raise NotImplementedError

    def train(self, inputs: Iterable[StepInput], steps: int, after_step: Any) -> None:
        self.inner.train(map(self.seen, inputs), steps, after_step)

    def gradients(self, step_input: StepInput) -> Gradients:
        return self.inner.gradients(self.seen(step_input))


class CropByOne(Inputs):
    def seen(self, given: StepInput) -> StepInput:
        return dataclasses.replace(given, images=np.roll(given.images, 1, axis=2))


class ShuffledLabels(Inputs):
    def seen(self, given: StepInput) -> StepInput:
        return dataclasses.replace(given, labels=np.roll(given.labels, 1))


class InvertedMasks(Inputs):
    def seen(self, given: StepInput) -> StepInput:
        return dataclasses.replace(given, masks={k: ~mask for k, mask in given.masks.items()})


class WeightsInAnotherOrder(Wrapped):
    """Takes weights in a wrong order, and gives them back in it: neither notices."""

    def to_theirs(self, weights: dict[str, Any]) -> None:
        raise NotImplementedError

    def to_ours(self, weights: dict[str, Any]) -> None:
        raise NotImplementedError

    def load_weights(self, weights: Weights) -> None:
        theirs = dict(weights)
        self.to_theirs(theirs)
        self.inner.load_weights(theirs)

    def export_weights(self) -> Any:
        ours = dict(self.inner.export_weights())
        self.to_ours(ours)
        return ours


class SwappedGroups(WeightsInAnotherOrder):
    def to_theirs(self, weights: dict[str, Any]) -> None:
        for layer in self.setup.architecture.layers:
            if isinstance(layer, Conv) and layer.groups > 1:
                kernel = weights[f"{layer.name}.weight"]
                swapped = np.roll(kernel, layer.filters // layer.groups, axis=0)
                weights[f"{layer.name}.weight"] = np.ascontiguousarray(swapped)

    to_ours = to_theirs  # two groups: swapping twice is no swap


class FlattenedChannelsLast(WeightsInAnotherOrder):
    """The first dense layer's columns taken for H·W·C, as they come from a Keras model."""

    def _map_shape(self) -> tuple[str, tuple[int, ...]]:
        steps = list(self.setup.architecture.steps())
        place = next(i for i, step in enumerate(steps) if isinstance(step.layer, Flatten))
        dense = next(s.layer.name for s in steps[place:] if s.layer.kind == "dense")
        return f"{dense}.weight", steps[place].before

    def to_theirs(self, weights: dict[str, Any]) -> None:
        name, (channels, height, width) = self._map_shape()
        columns = weights[name].reshape(-1, height, width, channels)
        weights[name] = columns.transpose(0, 3, 1, 2).reshape(weights[name].shape)

    def to_ours(self, weights: dict[str, Any]) -> None:
        name, shape = self._map_shape()
        columns = weights[name].reshape(-1, *shape)
        weights[name] = columns.transpose(0, 2, 3, 1).reshape(weights[name].shape)


class StepByStep(Wrapped):
    """Does something to the weights after every step."""

    def after(self, before: Weights, weights: dict[str, Any], given: StepInput) -> None:
        raise NotImplementedError

    def train(self, inputs: Iterable[StepInput], steps: int, after_step: Any) -> None:
        for given in inputs:
            before = self.inner.export_weights()
            self.inner.train([given], 1, after_step)
            weights = dict(self.inner.export_weights())
            self.after(before, weights, given)
            self.inner.load_weights(weights)


class DecoupledDecay(StepByStep):
    """Loshchilov & Hutter 2019, as Keras's ``weight_decay`` does it."""

    def given(self, setup: Setup) -> Setup:
        self.decay = setup.recipe.weight_decay
        recipe = dataclasses.replace(setup.recipe, weight_decay=0.0)
        return dataclasses.replace(setup, recipe=recipe)

    def after(self, before: Weights, weights: dict[str, Any], given: StepInput) -> None:
        for name in self.setup.architecture.weight_shapes():
            weights[name] = weights[name] - given.learning_rate * self.decay * before[name]


class UnbiasedVariance(StepByStep):
    """n - 1 in the running variance, as PyTorch has it."""

    def after(self, before: Weights, weights: dict[str, Any], given: StepInput) -> None:
        for step in self.setup.architecture.steps():
            if isinstance(step.layer, BatchNorm):
                name = f"{step.layer.name}.running_var"
                count = len(given.images) * int(np.prod(step.before[1:]))
                kept = step.layer.momentum * before[name]
                weights[name] = kept + (weights[name] - kept) * count / (count - 1)


class DropoutInEvaluation(Wrapped):
    """Half of the last dense layer's inputs are gone whenever it evaluates."""

    def _dropped(self, evaluate: Callable[[], Any]) -> Any:
        weights = self.inner.export_weights()
        last = [name for name in self.setup.architecture.weight_shapes() if ".weight" in name][-1]
        kept = np.arange(weights[last].shape[1]) % 2 * 2
        scaled = (weights[last] * kept).astype(weights[last].dtype)
        self.inner.load_weights({**weights, last: scaled})
        found = evaluate()
        self.inner.load_weights(weights)
        return found

    def predict(self, images: Any) -> Any:
        return self._dropped(lambda: self.inner.predict(images))

    def activations(self, images: Any) -> Any:
        return self._dropped(lambda: self.inner.activations(images))


class NotANumber(Wrapped):
    def predict(self, images: Any) -> Any:
        return self.inner.predict(images) * np.nan


class CoarseWeights(Wrapped):
    """A mantissa of ten bits where float32 was asked for: what TF32 does."""

    def load_weights(self, weights: Weights) -> None:
        self._exact = dict(weights)
        coarse = {k: v.astype(np.float16).astype(v.dtype) for k, v in weights.items()}
        self.inner.load_weights(coarse if self.setup.case.precision == "float32" else weights)

    def export_weights(self) -> Any:
        single = self.setup.case.precision == "float32"
        return self._exact if single else self.inner.export_weights()


class CoarseGradients(Wrapped):
    """Right in float64, and a hundredth off in float32: another kernel is at work there."""

    def gradients(self, step_input: StepInput) -> Gradients:
        found = self.inner.gradients(step_input)
        if self.setup.case.precision == "float64":
            return found
        wrong = {
            name: g * np.float32(1.01) for name, g in found.by_name.items() if name == "c2.weight"
        }
        return dataclasses.replace(found, by_name={**found.by_name, **wrong})


class CoarseUpdate(StepByStep):
    """The same of the optimiser's kernel."""

    def after(self, before: Weights, weights: dict[str, Any], given: StepInput) -> None:
        if self.setup.case.precision == "float32":
            name = "c2.weight"
            weights[name] = before[name] + np.float32(1.01) * (weights[name] - before[name])


class StaleEvaluation(Wrapped):
    """Evaluates with the weights that were loaded, whatever training made of them."""

    def load_weights(self, weights: Weights) -> None:
        self._loaded = dict(weights)
        self.inner.load_weights(weights)

    def predict(self, images: Any) -> Any:
        trained = self.inner.export_weights()
        self.inner.load_weights(self._loaded)
        found = self.inner.predict(images)
        self.inner.load_weights(trained)
        return found


class FrozenLayer(Wrapped):
    def gradients(self, step_input: StepInput) -> Gradients:
        found = self.inner.gradients(step_input)
        left = {name: g for name, g in found.by_name.items() if name != "c2.bias"}
        return dataclasses.replace(found, by_name=left)


class UnloadedBias(Wrapped):
    def load_weights(self, weights: Weights) -> None:
        own = self.inner.export_weights()
        self.inner.load_weights(
            {**weights, "c2.bias": own["c2.bias"].astype(weights["c2.bias"].dtype)}
        )


@dataclass(frozen=True)
class Fault:
    """A mistake, and the beginning of the problem that the certificate must name."""

    plant: type[Wrapped]
    named: str
    """Beginning of the certificate's problem."""

    def into(self, build: Build) -> Build:
        return lambda setup: self.plant(build, setup)


LRN, BN = LocalResponseNorm, BatchNorm
_DENSE2 = "float64 activations: d2 differs"

FAULTS: dict[str, Fault] = {
    "LRN alpha not divided by size": Fault(
        _row(LRN, lambda row: {"alpha": row.alpha * row.size}),
        "float64 activations: c1_response differs",
    ),
    "LRN radius for size": Fault(
        _row(
            LRN,
            lambda row: {
                "size": 2 * row.size + 1,
                "alpha": row.alpha / row.size * (2 * row.size + 1),
            },
        ),
        "float64 activations: c1_response differs",
    ),
    "LRN k of the paper": Fault(
        _row(LRN, lambda row: {"k": row.k + 1}), "float64 activations: c1_response differs"
    ),
    "BatchNorm's other eps": Fault(
        _row(BN, lambda row: {"eps": 1e-3}), "float64 activations: c1_norm differs"
    ),
    "BatchNorm's momentum swapped": Fault(
        _row(BN, lambda row: {"momentum": 1 - row.momentum}),
        "float64 statistics, SGD: c1_norm.running_mean after step 1 differs",
    ),
    "unbiased running variance": Fault(
        UnbiasedVariance, "float64 statistics, SGD: c1_norm.running_var after step 1 differs"
    ),
    "symmetric padding for same": Fault(
        _row(Conv, lambda row: {"padding": (sum(row.padding) // 2,) * 2}),
        "float64 activations: c1 differs",
    ),
    "flattened as H·W·C": Fault(FlattenedChannelsLast, "float64 activations: d1 differs"),
    "groups swapped": Fault(SwappedGroups, "float64 activations: c2 differs"),
    "decoupled weight decay": Fault(
        DecoupledDecay, "float64 weights, SGD: c1.weight after step 1 differs"
    ),
    "no weight decay": Fault(
        _recipe(weight_decay=0.0), "float64 weights, SGD: c1.weight after step 1 differs"
    ),
    "no Nesterov": Fault(
        _recipe(nesterov=False), "float64 weights, SGD: c1.weight after step 1 differs"
    ),
    "another momentum": Fault(
        # Nesterov's first step shows it already.
        _recipe(momentum=0.99),
        "float64 weights, SGD: c1.weight after step 1 differs",
    ),
    "one rate for every layer": Fault(
        OneRate, "float64 weights, SGD: c1.weight after step 1 differs"
    ),
    "Adam's other eps": Fault(
        _recipe(eps=1e-7), "float64 weights, Adam: c1.weight after step 1 differs"
    ),
    "Adam's eps before the bias correction": Fault(
        # In the first step that is eps / sqrt(1 - 0.999) in the place where it is wanted.
        _recipe(eps=1e-3 / np.sqrt(1e-3)),
        "float64 weights, Adam: c1.weight after step 1 differs",
    ),
    "label smoothing left out": Fault(
        _recipe(label_smoothing=0.0), "float64 loss: loss, step 1 differs"
    ),
    "the often copied std": Fault(Constants, "float64 activations: input differs"),
    "crop off by one": Fault(CropByOne, "float64 loss: loss, step 1 differs"),
    "shuffled labels": Fault(ShuffledLabels, "float64 loss: loss, step 1 differs"),
    "dropout masks inverted": Fault(InvertedMasks, "float64 loss: loss, step 1 differs"),
    "dropout in evaluation": Fault(DropoutInEvaluation, _DENSE2),
    "logits that are not numbers": Fault(NotANumber, "float64 logits: logits differs by nan"),
    "coarser than float32": Fault(CoarseWeights, "float32 loss: loss, step 1 differs"),
    "gradients of another kernel in float32": Fault(
        CoarseGradients, "float32 gradients: c2.weight gradient, step "
    ),
    "an update of another kernel in float32": Fault(
        CoarseUpdate, "float32 update: c2.weight changed by step "
    ),
    "evaluation with stale weights": Fault(
        StaleEvaluation, "float64 evaluation, SGD: logits after step 10 differs"
    ),
    "a layer without gradient": Fault(
        FrozenLayer, "float64 gradients: c2.bias gradient, step 1 differs by inf"
    ),
    "a weight that is not loaded": Fault(
        UnloadedBias, "weights: c2.bias does not come out as it was loaded"
    ),
}
