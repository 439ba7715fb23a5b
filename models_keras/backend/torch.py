"""Keras on PyTorch: the closed track's training step, settings and operations, eager unless
compiled execution is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import torch
from numpy.typing import NDArray
from torch.optim.sgd import sgd

from bench.training.interfaces import Run
from models_keras.backend import Convolutions, Network
from models_keras.optimizer import cross_entropy
from models_torch import settings, state
from models_torch.devices import (
    DeviceClock,
    Transfers,
    clock_of,
    device_of,
    fused_divides,
    on_device,
    synchronise,
)
from models_torch.devices import peak_memory as device_peak
from models_torch.devices import peak_reserved as device_reserved
from models_torch.devices import through_queue as through_stream
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.passes import Compiler, counts
from models_torch.settings import layout, of_device, of_process, set_deterministic

Loss = Callable[..., tuple[Any, Any]]
"""(images or input, labels, masks) -> loss and logits"""
JIT = False
"""Keras on PyTorch is eager."""
COMPILES = False
GRAPHS = True
XLA = False
STEPS_PER_EXECUTION = False
KEEPS_CONSTANTS = True
CONVOLUTIONS = Convolutions(faster_as_dense=True)


_scope: Any = None
"""Keras's choice of the device, entered for the rest of the process."""


def configure(threads: int, deterministic: bool, device: str, tf32: bool) -> None:
    """Threads and determinism as in every framework."""
    global _scope
    settings.configure(threads, tf32=tf32)
    set_deterministic(deterministic)
    # Left alone, Keras takes an accelerator wherever it finds one.
    _scope = keras.device(str(device_of(device)))
    _scope.__enter__()


def use_precision(precision: str) -> None:
    """PyTorch computes in the type of the variables."""


def fed(batches: Iterable[Any]) -> Iterable[Any]:
    """``fit`` takes the batches as they are; on an accelerator as tensors there, which Keras would
    else copy from pageable memory and wait for."""
    device = _device()
    if device.type == "cpu":
        return batches
    return (tuple(on_device(part, device) for part in batch) for batch in batches)


def _device() -> torch.device:
    """The device that Keras's new tensors are on."""
    found: torch.Tensor = keras.ops.zeros(())
    return found.device


def held_dtype() -> str:
    """Bytes."""
    return "uint8"


def wait(model: keras.Model) -> None:
    """Wait for the device."""
    synchronise(_device())


def through_queue(model: keras.Model) -> None:
    """By an operation in the stream of the steps."""
    through_stream(_device())


def peak_memory() -> int | None:
    """Of PyTorch's allocator."""
    return device_peak(_device())


def peak_reserved() -> int | None:
    """Of PyTorch's allocator."""
    return device_reserved(_device())


def device_clock() -> DeviceClock | None:
    """By PyTorch's events."""
    return clock_of(_device())


def compilation(step: Any, *, jit: bool) -> dict[str, int | float] | None:
    """Dynamo's counters of this process.

    ``fit`` has many graph breaks: Keras's own code around the network (its optimiser's variables,
    its metrics) is no code that Dynamo traces in one piece.
    """
    return dict(counts()) if jit else None


def export_random() -> Iterator[tuple[str, NDArray[Any]]]:
    """PyTorch's generators: Keras's dropout draws from them."""
    return state.export_random(_device())


def load_random(states: Mapping[str, NDArray[Any]]) -> None:
    """Set them."""
    state.load_random(states, _device())


class Step:
    """Forward, backward and update on the Keras variables in place."""

    def __init__(self, network: Network) -> None:
        self._network = network
        weights = [v.value for v in network.training.trainable_variables]
        # torch.optim defines the closed track's arithmetic, and Keras's variables are parameters.
        self._optimizer = optimizer_for(zip(network.rates, weights, strict=True), network.recipe)
        self._device = weights[0].device
        self._transfers = Transfers(self._device)
        compiled = network.compiled
        self._compiler = Compiler(self._device, graphs=network.graphs) if compiled else None
        self._loss, self._bare_loss = self._prepared_loss, self._network_loss
        self._forward, self._bare_forward = self._prepared_logits, self._network_logits
        if self._compiler:
            self._keep_constants()
            by = self._compiler.compiled
            self._loss, self._bare_loss = by(self._loss), by(self._bare_loss)
            self._forward, self._bare_forward = by(self._forward), by(self._bare_forward)

    def _keep_constants(self) -> None:
        """One eager pass: the constants of the layers are on the device before a compiler traces
        their first use."""
        prepare, evaluation = self._network.prepare, self._network.evaluation
        with torch.no_grad():
            if not isinstance(prepare, keras.layers.Identity):
                shape = (1, self._network.side, self._network.side, 3)
                prepare(torch.zeros(shape, dtype=torch.uint8, device=self._device))
            evaluation(keras.ops.zeros((1, *evaluation.input.shape[1:])), training=False)

    def _prepared_loss(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any]:
        return self._network_loss(self._network.prepared(images), labels, masks)

    def _network_loss(self, x: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any]:
        logits = self._network.training([x, *masks], training=True)
        return cross_entropy(labels, logits, self._network.recipe.label_smoothing), logits

    def _prepared_logits(self, images: Any) -> Any:
        return self._network_logits(self._network.prepared(images))

    def _network_logits(self, x: Any) -> Any:
        return self._network.evaluation(x, training=False)

    def _training_step(
        self, loss_of: Loss, x: Any, given: tuple[Any, list[Any]], rate: float
    ) -> Any:
        loss, _ = self._differentiate(loss_of, x, given)
        set_rate(self._optimizer, rate)
        self._optimizer.step()
        return self._compiler.lasting(loss) if self._compiler else loss

    def _differentiate(
        self, loss_of: Loss, x: Any, given: tuple[Any, list[Any]]
    ) -> tuple[Any, Any]:
        """Loss and logits; the gradients are in the variables' ``grad``."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._compiler:
            self._compiler.begin_step()
        loss, logits = loss_of(x, *given)
        loss.backward()
        return loss.detach(), logits.detach()

    def _given(self, labels: Any, masks: list[Any]) -> tuple[Any, list[Any]]:
        return self._tensor(labels), [self._tensor(mask) for mask in masks]

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        given = self._given(labels, masks)
        loss, logits = self._differentiate(self._loss, self._images(images), given)
        variables = self._network.training.trainable_variables
        return loss, logits, [v.value.grad for v in variables]

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step."""
        x, given = self._images(images), self._given(labels, masks)
        return self._training_step(self._loss, x, given, rate)

    def bring(self, images: Any, labels: Any, masks: list[Any], rate: float) -> tuple[Any, ...]:
        """In a stream of its own; the rate is the host's."""
        held, own = images if isinstance(images, tuple) else (None, images)
        own, labels, *masks = self._transfers.bring(own, labels, *masks)
        return own if held is None else (held, own), labels, masks, rate

    def forward(self, images: Any) -> Any:
        """Evaluation-mode logits."""
        with torch.no_grad():
            return self._forward(self._tensor(images))

    def _images(self, images: Any) -> Any:
        """On the device; held images are there."""
        if not isinstance(images, tuple):
            return self._tensor(images)
        held, crops = images
        return held, self._tensor(crops)

    def _tensor(self, array: NDArray[Any] | torch.Tensor) -> torch.Tensor:
        return on_device(array, self._device)

    def sync(self) -> None:
        """Wait for the device."""
        synchronise(self._device)

    def through_queue(self) -> None:
        """By an operation in the stream of the steps."""
        through_stream(self._device)

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
        with torch.no_grad():
            x = self._network.prepared(self._images(images))
        given = self._given(labels, masks)

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._training_step(self._bare_loss, x, given, rate)
            self.sync()

        return loop

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """The same forward pass on one prepared batch."""
        with torch.no_grad():
            x = self._network.prepare(self._tensor(images))

        def loop(passes: int) -> None:
            with torch.no_grad():
                for _ in range(passes):
                    logits = self._bare_forward(x)
            logits.cpu().numpy()

        return loop

    def devices(self) -> int:
        """One: see `models_keras.data_parallel`."""
        return 1

    def settings(self) -> dict[str, Any]:
        """How a step runs."""
        execution = self._compiler.execution if self._compiler else "eager"
        return {"execution": execution, "jit_compile": self._compiler is not None}

    def compiled_step(self) -> Any:
        """Forward pass and loss."""
        return self._loss


# The class that Keras makes on its torch backend: its update takes all weights at once. Without
# __init__ no variable is made, which Keras forbids while it traces the layer that imports this.
_KerasSGD: Any = type(keras.optimizers.SGD.__new__(keras.optimizers.SGD))


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
        weights = [variable.value for variable in variables]
        slots = [self.momentums[self._get_variable_index(v)].value for v in variables]
        apart = any(w.stride() != slot.stride() for w, slot in zip(weights, slots, strict=True))
        if apart or not fused_divides(weights[0].device):
            # On a CPU the kernel runs over memory, whatever the order of the elements.
            super()._parallel_update_step(grads, variables, learning_rate)
            return
        sgd(
            weights,
            [_laid_out_as(w, g) for w, g in zip(weights, grads, strict=True)],
            slots,
            fused=True,
            # The kernel divides by it as it reads the gradient, and writes the quotient back.
            grad_scale=_divisor(learning_rate, weights[0].device),
            found_inf=None,
            weight_decay=0.0,
            momentum=self.momentum,
            lr=-1.0,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )


SGD = FewPassesSGD


def _divisor(rate: Any, device: torch.device) -> torch.Tensor:
    """-1 / rate, for a rate of 0 minus infinity: computed where the rate is, or the host would
    wait for it."""
    given: torch.Tensor = keras.ops.convert_to_tensor(rate)
    return -1.0 / given.to(device, torch.float32)


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
        synchronise(operands[0].device)

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
