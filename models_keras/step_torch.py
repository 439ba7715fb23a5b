"""One training step of the closed track on Keras's torch backend, eager."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from models_keras.closed import Network
from models_keras.update import cross_entropy
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.settings import set_deterministic


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
    """What ``fit`` is to be given for batches of (images, labels): themselves."""
    return batches


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
        """Loss and logits; the gradients stand at the variables."""
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._network.training([x, *masks], training=True)
        loss = cross_entropy(labels, logits, self._network.recipe.label_smoothing)
        loss.backward()
        return loss.detach(), logits.detach()

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        x = self._network.prepare(self._tensor(images))
        kept = [self._tensor(m) for m in masks]
        loss, logits = self._differentiate(x, self._tensor(labels), kept)
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

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """The same step on one prepared batch."""
        x, y = self._network.prepare(self._tensor(images)), self._tensor(labels)
        kept = [self._tensor(m) for m in masks]

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._training_step(x, y, kept, rate)
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
