"""The tuned track in Keras: ``fit`` with our own forms of what is slow on the CPU.

It differs from `idiomatic` in the layers, the preparation of images, SGD's update, and the network
that evaluates under a mixed policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.training.interfaces import Images, Logits, Setup, StepInput
from models_keras import alexnet
from models_keras.idiomatic import OwnPreparation
from models_keras.optimizer import optimizer_for
from models_keras.preprocess import input_for


class TunedTrainer(OwnPreparation):
    """:class:`bench.training.interfaces.Trainer` over ``model.fit``, made faster."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._copy: RoundedCopy | None = None
        self._evaluated = self._model
        """What ``predict`` runs."""

    def _build(self, setup: Setup) -> keras.Model:
        on_cpu = setup.device_kind == "cpu"
        return alexnet.build(setup.architecture, alexnet.TUNED if on_cpu else alexnet.SHARED)

    def _optimizer(self, setup: Setup) -> keras.optimizers.Optimizer:
        return optimizer_for(setup, self._backend.SGD)

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take all weights by name."""
        super().load_weights(weights)
        self._weights_changed()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take model and optimiser."""
        super().load_state(state)
        self._weights_changed()

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """One ``fit`` over ``steps`` batches."""
        try:
            super().train(inputs, steps, after_step)
        finally:
            self._weights_changed()

    def predict(self, images: Images) -> Logits:
        """``predict_on_batch``, under a mixed policy of the copy whose weights are rounded."""
        if self._setup.half:
            self._use_rounded_copy()
        return self._logits(self._evaluated, images)

    def _use_rounded_copy(self) -> None:
        if self._copy is None:  # made at the first evaluation: training alone needs none
            self._copy = RoundedCopy(self.network)
            images = input_for(self._setup)
            self._evaluated = keras.Model(images, self._copy.network(self._prepare(images)))
            same = self._model
            self._evaluated.compile(jit_compile=same.jit_compile, run_eagerly=same.run_eagerly)
        self._copy.refresh()

    def _weights_changed(self) -> None:
        if self._copy is not None:
            self._copy.outdate()


_LARGE = (keras.layers.Conv2D, keras.layers.Dense)
"""Layers that compute in 16 bits; BatchNorm computes in float32."""


class RoundedCopy:
    """A copy of a network under a mixed policy whose large weights have 16 bits already.

    Under a mixed policy Keras converts every weight in every call, which takes longer than
    evaluating an image. The copy's results are the same: the weights are converted only once.
    """

    def __init__(self, network: keras.Model) -> None:
        self._original = network
        self._stale = True
        self.network = keras.models.clone_model(network, clone_function=_rounded)

    def outdate(self) -> None:
        """Record that the original's weights have changed."""
        self._stale = True

    def refresh(self) -> None:
        """Copy the original's weights, if they have changed."""
        if not self._stale:
            return
        pairs = zip(self.network.variables, self._original.variables, strict=True)
        for variable, original in pairs:
            variable.assign(_converted(original.value, variable.dtype))
        self._stale = False


def _converted(value: Any, dtype: str) -> Any:
    """In memory of its own: JAX donates the original's buffers to its next training step."""
    same = keras.backend.standardize_dtype(value.dtype) == dtype
    return keras.ops.copy(value) if same else keras.ops.cast(value, dtype)


def _rounded(layer: keras.layers.Layer) -> keras.layers.Layer:
    config: dict[str, Any] = layer.get_config()
    if isinstance(layer, _LARGE):
        # Zeros: drawing millions of weights only to overwrite them takes seconds.
        config |= {"dtype": layer.compute_dtype, "kernel_initializer": "zeros"}
    return type(layer).from_config(config)
