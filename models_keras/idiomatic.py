"""``compile`` and ``fit``, with the arithmetic of Keras's optimisers: the idiomatic track in Keras.

The waterfall trains in the same way; its stages reach Keras as the network's constants, as initial
weights, and as the optimiser of `defaults`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bench.networks.architecture import Architecture
from bench.training.interfaces import Images, Logits, Setup, StepInput
from bench.training.recipes.base import Recipe
from bench.training.tracks import track
from models_keras import alexnet, defaults
from models_keras.layers.lrn import prepare_for
from models_keras.optimizer import optimizer_for
from models_keras.rates import slow
from models_keras.rounded import RoundedCopy
from models_keras.settings import in_force

JIT = {"tensorflow": False, "jax": True, "torch": False}
"""``jit_compile`` on the CPU. XLA's convolutions make it several times slower on TensorFlow, and
without it JAX would run operation by operation."""


class _AfterStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands control to the harness after every batch."""

    def __init__(self, after_step: Callable[[], None]) -> None:
        super().__init__()
        self._after_step = after_step
        self.logs: Mapping[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the logs: reading their loss waits for the step that wrote it."""
        self.logs = logs or {}
        self._after_step()

    def wait(self) -> None:
        """Wait for the step whose logs came last."""
        if "loss" in self.logs:
            float(self.logs["loss"])


class IdiomaticTrainer:
    """:class:`bench.training.interfaces.Trainer` over ``model.fit``."""

    def __init__(self, setup: Setup) -> None:
        keras.utils.set_random_seed(setup.case.seed)
        backend = importlib.import_module(f"models_keras.step_{keras.backend.backend()}")
        backend.configure(setup.threads, deterministic=setup.deterministic)
        self._fed: Callable[[Iterable[Any]], Any] = backend.fed
        mixed = setup.case.precision == "bfloat16"
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
        self._architecture = setup.architecture
        self._waterfall = track(setup.case.track).stages
        on_cpu = setup.case.device == "cpu"
        self.network = alexnet.build(setup.architecture, tuned=on_cpu and not self._waterfall)
        given = _input(self._architecture)
        self._prepare = prepare_for(setup)
        self._model = keras.Model(given, self.network(self._prepare(given)))
        self._compile(setup)
        self._mixed = mixed
        self._copy: RoundedCopy | None = None
        self._serving = self._model
        self._losses: list[float] = []
        self._last = _AfterStep(lambda: None)

    def _compile(self, setup: Setup) -> None:
        on_cpu = setup.case.device == "cpu"
        self._jit = JIT[keras.backend.backend()] or (
            not on_cpu and keras.backend.backend() != "torch"
        )
        self._model.compile(
            optimizer=self._optimizer_for(setup),
            loss=_loss(setup.recipe, self._architecture.classes),
            jit_compile=self._jit,
        )

    def _optimizer_for(self, setup: Setup) -> keras.optimizers.Optimizer:
        optimizer = optimizer_for(setup)
        if setup.rates:
            names = alexnet.variables(self.network, self._architecture).items()
            slow(optimizer, {variable.path: setup.rate_of(name) for name, variable in names})
        return optimizer

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take all weights by name."""
        alexnet.load_weights(self.network, self._architecture, weights)
        self._weights_changed()

    def export_weights(self) -> dict[str, NDArray[np.float32]]:
        """All weights and statistics in the core's layout."""
        return alexnet.export_weights(self.network, self._architecture)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """One ``fit`` over ``steps`` batches."""
        batches = ((given.images, given.labels) for given in islice(inputs, steps))
        self._last = _AfterStep(after_step)
        try:
            history = self._model.fit(
                self._fed(batches),
                steps_per_epoch=steps,
                epochs=1,
                verbose=0,
                callbacks=[self._last],
            )
        finally:
            self._weights_changed()
        self._losses.extend(float(loss) for loss in history.history["loss"])

    def losses(self) -> list[float]:
        """Mean loss of every ``fit`` since the last call."""
        values, self._losses = self._losses, []
        return values

    def predict(self, images: Images) -> Logits:
        """``predict_on_batch``, under a mixed policy of the copy whose weights are rounded."""
        if self._mixed:
            self._serve_rounded()
        logits = np.asarray(self._serving.predict_on_batch(images), np.float32)
        return alexnet.features_to_core(logits, self._architecture)

    def _serve_rounded(self) -> None:
        if self._copy is None:  # not before it is asked for: a training alone has no use for it
            self._copy = RoundedCopy(self.network)
            given = _input(self._architecture)
            self._serving = keras.Model(given, self._copy.network(self._prepare(given)))
            self._serving.compile(jit_compile=self._jit)
        self._copy.refresh()

    def _weights_changed(self) -> None:
        if self._copy is not None:
            self._copy.outdate()

    def sync(self) -> None:
        """Wait for the last step."""
        self._last.wait()

    def settings(self) -> dict[str, Any]:
        """Read back from Keras and the backend."""
        execution = {
            "execution": "fit, eager" if self._model.run_eagerly else "fit",
            "jit_compile": bool(self._model.jit_compile),
        }
        shared = {"defaults": self._defaults()} if self._waterfall else {}
        return {**in_force(self.network, execution).to_json(), **shared}

    def _defaults(self) -> dict[str, Any]:
        return defaults.in_force(self.network, self._model.optimizer)

    def device_memory(self) -> int | None:
        """Not read on the CPU."""
        return None

    def bare_loop(self, step_input: StepInput) -> None:
        """``fit`` is the loop that Keras's users write."""

    def bare_predict(self, images: Images) -> None:
        """``predict_on_batch`` is the call that Keras's users write."""


def _input(architecture: Architecture) -> Any:
    if architecture.features is not None:
        return keras.Input(architecture.input_shape, dtype="float32")
    return keras.Input((32, 32, 3), dtype="uint8")


def _loss(recipe: Recipe, classes: int) -> keras.losses.Loss | Callable[[Any, Any], Any]:
    if not recipe.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    smoothed = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    return lambda labels, logits: smoothed(ops.one_hot(ops.reshape(labels, (-1,)), classes), logits)
