"""Whole networks, their loss and their optimisers in float64 numpy: the reference that
every framework is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.networks.architecture import Architecture, Step
from bench.parity.reference import Array, Backward, Context, apply
from bench.training.interfaces import Gradients, StepInput
from bench.training.recipes.base import Recipe

Channels = tuple[float, float, float]

_CHUNK = 1 << 15
"""Elements that are updated together: 256 KiB stay in a core's cache through all operations."""
_ADAM_BETAS = (0.9, 0.999)


@dataclass
class Reference:
    """A network with its state. ``weights`` holds weights and statistics by the core's names."""

    architecture: Architecture
    recipe: Recipe
    mean: Channels
    std: Channels
    weights: dict[str, Array]
    rates: Mapping[str, float] = field(default_factory=dict)
    """Fraction of the learning rate by layer."""
    _slots: dict[str, list[Array]] = field(default_factory=dict)
    _step: int = 0

    @classmethod
    def at(
        cls,
        architecture: Architecture,
        recipe: Recipe,
        pixels: tuple[Channels, Channels],
        weights: Mapping[str, NDArray[Any]],
        rates: Mapping[str, float] | None = None,
    ) -> Reference:
        """A network at the given weights, which are copied; ``pixels`` is (mean, std)."""
        copies = {name: np.array(weight, np.float64) for name, weight in weights.items()}
        mean, std = pixels
        return cls(architecture, recipe, mean, std, copies, rates or {})

    def prepare(self, images: NDArray[np.uint8]) -> Array:
        """(B, H, W, 3) uint8 -> (B, 3, S, S), normalised by channel, then resized."""
        x = (images / 255.0 - np.array(self.mean)) / np.array(self.std)
        return _resize(x.transpose(0, 3, 1, 2), self.architecture.input_size)

    def activations(self, images: NDArray[np.uint8]) -> Iterator[tuple[str, Array]]:
        """Evaluation mode: the prepared images as ``input``, then the output of every layer."""
        x = self.prepare(images)
        yield "input", x
        for step in self.architecture.steps():
            x, _ = apply(step.layer, x, Context(self._of(step)))
            yield step.layer.name, x

    def predict(self, images: NDArray[np.uint8]) -> Array:
        """Evaluation-mode logits, (B, classes)."""
        *_, (_, logits) = self.activations(images)
        return logits

    def gradients(self, given: StepInput) -> Gradients:
        """Loss, training-mode logits and every weight's gradient; the state stays as it is."""
        found, _ = self._differentiate(given)
        return found

    def train(self, given: StepInput) -> float:
        """One step of the recipe's optimiser; returns the loss before it."""
        found, moments = self._differentiate(given)
        self.weights.update(moments)
        self._step += 1
        for name, gradient in found.by_name.items():
            own = self.rates.get(name.rpartition(".")[0], 1.0)
            self._update(name, gradient, own * given.learning_rate)
        return found.loss

    def _of(self, step: Step) -> dict[str, Array]:
        shapes = step.layer.weights(step.before) | step.layer.statistics(step.before)
        return {name.rsplit(".", 1)[1]: self.weights[name] for name in shapes}

    def _differentiate(self, given: StepInput) -> tuple[Gradients, dict[str, Array]]:
        x = self.prepare(given.images)
        steps: list[tuple[str, Backward]] = []
        moments: dict[str, Array] = {}
        for step in self.architecture.steps():
            name = step.layer.name
            context = Context(self._of(step), training=True, mask=given.masks.get(name))
            x, backward = apply(step.layer, x, context)
            steps.append((name, backward))
            moments |= {f"{name}.{part}": value for part, value in context.moments.items()}
        loss, d_x = cross_entropy(x, given.labels, self.recipe.label_smoothing)
        by_name: dict[str, Array] = {}
        for name, backward in reversed(steps):
            d_x, gradients = backward(d_x)
            by_name |= {f"{name}.{part}": value for part, value in gradients.items()}
        in_order = {name: by_name[name] for name in self.architecture.weight_shapes()}
        return Gradients(loss, x, in_order), moments

    def _update(self, name: str, gradient: Array, rate: float) -> None:
        slots = self._slots.setdefault(name, self._new_slots(gradient))
        update = self._adam if self.recipe.optimizer == "adam" else self._sgd
        flat = [array.reshape(-1) for array in (self.weights[name], gradient, *slots)]
        for start in range(0, flat[0].size, _CHUNK):
            update(*(array[start : start + _CHUNK] for array in flat), rate=rate)

    def _new_slots(self, gradient: Array) -> list[Array]:
        count = 2 if self.recipe.optimizer == "adam" else 1
        return [np.zeros(gradient.shape) for _ in range(count)]

    def _sgd(self, weight: Array, gradient: Array, velocity: Array, *, rate: float) -> None:
        """Sutskever et al. 2013 as PyTorch writes it: v = m·v + g; w -= rate · (g + m·v or v)."""
        recipe = self.recipe
        gradient = gradient + recipe.weight_decay * weight
        velocity *= recipe.momentum
        velocity += gradient
        nesterov = recipe.nesterov and recipe.momentum > 0
        weight -= rate * (gradient + recipe.momentum * velocity if nesterov else velocity)

    def _adam(
        self, weight: Array, gradient: Array, first: Array, second: Array, *, rate: float
    ) -> None:
        """Kingma & Ba 2015, algorithm 1, weight decay as L2 in the gradient."""
        (b1, b2), t = _ADAM_BETAS, self._step
        gradient = gradient + self.recipe.weight_decay * weight
        first *= b1
        first += (1 - b1) * gradient
        second *= b2
        second += (1 - b2) * np.square(gradient)
        spread = np.sqrt(second / (1 - b2**t)) + self.recipe.eps
        weight -= rate / (1 - b1**t) * first / spread


def cross_entropy(
    logits: Array, labels: NDArray[np.int64], smoothing: float
) -> tuple[float, Array]:
    """Mean over the batch of the cross-entropy, and its gradient by the logits (B, classes)."""
    count, classes = logits.shape
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = np.full(logits.shape, smoothing / classes)
    targets[np.arange(count), labels] += 1 - smoothing
    loss = -float((targets * logarithms).sum() / count)
    return loss, (np.exp(logarithms) - targets) / count


def _resize(x: Array, size: int) -> Array:
    """(B, C, H, W) -> (B, C, size, size): bilinear, half-pixel centres, no antialiasing."""
    if x.shape[2:] == (size, size):
        return x
    rows, columns = (_interpolation(extent, size) for extent in x.shape[2:])
    resized: Array = rows @ x @ columns.T
    return resized


def _interpolation(extent: int, size: int) -> Array:
    """(size, extent): the weight of every old cell in every new one."""
    centres = np.clip((np.arange(size) + 0.5) * extent / size - 0.5, 0, extent - 1)
    lower = np.minimum(centres.astype(int), extent - 1)
    upper = np.minimum(lower + 1, extent - 1)
    weights = np.zeros((size, extent))
    np.add.at(weights, (np.arange(size), lower), 1 - (centres - lower))
    np.add.at(weights, (np.arange(size), upper), centres - lower)
    return weights
