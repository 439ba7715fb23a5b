"""Keras on PyTorch: the closed track's training step, settings and operations, eager."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.sgd import sgd

from bench.training.interfaces import Run
from models_keras.backend import Convolutions, Network
from models_keras.optimizer import cross_entropy
from models_torch import state
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.settings import layout, of_device, of_process, set_deterministic

JIT = False
"""Keras on PyTorch is eager."""
CONVOLUTIONS = Convolutions(faster_as_dense=True)


def configure(threads: int, deterministic: bool) -> None:
    """Threads and determinism as in every framework; TF32 off."""
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != threads:  # can be set once per process only
        torch.set_num_interop_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    set_deterministic(deterministic)


def use_precision(precision: str) -> None:
    """PyTorch computes in the type of the variables."""


def fed(batches: Iterable[Any]) -> Iterable[Any]:
    """``fit`` takes the batches as they are."""
    return batches


def export_random() -> Iterator[tuple[str, NDArray[Any]]]:
    """PyTorch's generators: Keras's dropout draws from them."""
    return state.export_random(_device())


def load_random(states: Mapping[str, NDArray[Any]]) -> None:
    """Set them."""
    state.load_random(states, _device())


def _device() -> torch.device:
    """Where Keras's variables are."""
    return torch.device(keras.ops.zeros(()).device)


class Step:
    """Forward, backward and update on the Keras variables in place."""

    def __init__(self, network: Network) -> None:
        self._network = network
        weights = [v.value for v in network.training.trainable_variables]
        # torch.optim defines the closed track's arithmetic, and Keras's variables are parameters.
        self._optimizer = optimizer_for(zip(network.rates, weights, strict=True), network.recipe)
        self._device = weights[0].device

    def _training_step(self, x: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        loss, _ = self._differentiate(x, labels, masks)
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        return loss

    def _differentiate(self, x: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any]:
        """Loss and logits; the gradients are in the variables' ``grad``."""
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._network.training([x, *masks], training=True)
        loss = cross_entropy(labels, logits, self._network.recipe.label_smoothing)
        loss.backward()
        return loss.detach(), logits.detach()

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        x = self._network.prepare(self._tensor(images))
        given = [self._tensor(m) for m in masks]
        loss, logits = self._differentiate(x, self._tensor(labels), given)
        variables = self._network.training.trainable_variables
        return loss, logits, [v.value.grad for v in variables]

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step."""
        x = self._network.prepare(self._tensor(images))
        return self._training_step(x, self._tensor(labels), [self._tensor(m) for m in masks], rate)

    def forward(self, images: Any) -> Any:
        """Evaluation-mode logits."""
        with torch.no_grad():
            x = self._network.prepare(self._tensor(images))
            return self._network.evaluation(x, training=False)

    def _tensor(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def sync(self) -> None:
        """Eager work on the CPU is done when its call returns."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def store(self) -> None:
        """The Keras variables are the state."""

    def reload(self) -> None:
        """The Keras variables are the state."""

    def export_slots(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Those of the optimiser, by number of the weight and name."""
        return state.export_optimizer(self._optimizer)

    def load_slots(self, slots: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        state.load_optimizer(self._optimizer, slots)

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """The same step on one prepared batch."""
        x, y = self._network.prepare(self._tensor(images)), self._tensor(labels)
        given = [self._tensor(m) for m in masks]

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._training_step(x, y, given, rate)
            self.sync()

        return loop

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """The same forward pass on one prepared batch."""
        x = self._network.prepare(self._tensor(images))

        def loop(passes: int) -> None:
            with torch.no_grad():
                for _ in range(passes):
                    logits = self._network.evaluation(x, training=False)
            logits.cpu().numpy()

        return loop

    def settings(self) -> dict[str, Any]:
        """How a step runs."""
        return {"execution": "eager", "jit_compile": False}


# The class that Keras returns on its torch backend: its update takes all weights at once.
_KerasSGD: Any = type(keras.optimizers.SGD())


class FewPassesSGD(_KerasSGD):  # type: ignore[misc]
    """Keras's SGD with momentum in PyTorch's fused kernel: one pass over all weights.

    The same arguments and the same update but for rounding; all else is Keras's own, weight decay
    too. Gradients are overwritten.
    """

    def _parallel_update_step(
        self, grads: list[torch.Tensor], variables: list[Any], learning_rate: Any
    ) -> None:
        """v = m·v - lr·g, and w += v, or m·v - lr·g with Nesterov.

        PyTorch's own velocity is m·v + g, and its update -lr·v: with every gradient taken as
        -lr·g and a rate of -1 it is Keras's, whose velocity remembers earlier rates.
        """
        rate = float(learning_rate)
        weights = [variable.value for variable in variables]
        slots = [self.momentums[self._get_variable_index(v)].value for v in variables]
        if any(w.stride() != slot.stride() for w, slot in zip(weights, slots, strict=True)):
            # On a CPU the kernel runs over memory, whatever the order of the elements.
            super()._parallel_update_step(grads, variables, learning_rate)
            return
        sgd(
            weights,
            [_laid_out_as(w, g) for w, g in zip(weights, grads, strict=True)],
            slots,
            fused=True,
            # The kernel divides by it as it reads the gradient, and writes the quotient back.
            grad_scale=torch.tensor(-1 / rate if rate else float("-inf")),
            found_inf=None,
            weight_decay=0.0,
            momentum=self.momentum,
            lr=-1.0,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )


SGD = FewPassesSGD


def _laid_out_as(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`."""
    return {
        **of_process(),
        **of_device(kernel),
        "memory_layout": layout(activation, axes),
        "weight_layout": layout(kernel, "HWIO"),
    }


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """Eager calls, which on the CPU return when the result is complete."""

    def run(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                function(*operands)

    return run


def own_lrn(x: Any, size: int, alpha: float, beta: float, k: float) -> None:
    """PyTorch's own takes (B, C, H, W), which is not Keras's layout."""


def forward_and_backward(layer: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """Eager autograd."""

    def run(x: torch.Tensor, gradient: torch.Tensor) -> tuple[Any, Any]:
        given = x.detach().requires_grad_()
        y = layer(given)
        (dx,) = torch.autograd.grad(y, given, gradient)
        return y.detach(), dx

    return run
