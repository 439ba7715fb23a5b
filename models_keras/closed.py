"""The closed track in Keras: one compiled step of given weights, bytes, masks and arithmetic.

What a backend does in its own way (trace, compile, differentiate, keep state) is one small file
each: ``step_tensorflow.py``, ``step_jax.py``, ``step_torch.py``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from bench.training.interfaces import Gradients, Images, Logits, Setup, StepInput
from bench.training.recipes.base import Recipe
from models_keras import alexnet, precision
from models_keras.layers.lrn import prepare_for
from models_keras.settings import in_force


@dataclass(frozen=True)
class Network:
    """What a backend's step is made from."""

    prepare: keras.layers.Layer
    training: keras.Model
    """[pictures, *masks] -> logits"""
    evaluation: keras.Model
    """pictures -> logits, over the same layers"""
    recipe: Recipe
    rates: list[float]
    """Fraction of the learning rate of every trainable variable, in their order."""


class BackendStep(Protocol):
    """A compiled training step and a compiled forward pass of one backend."""

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step; return its loss as the backend's scalar."""

    def forward(self, images: Any) -> Any:
        """Queue the evaluation-mode forward pass of uint8 pictures."""

    def sync(self) -> None:
        """Wait for all queued work."""

    def store(self) -> None:
        """Write the state back to the Keras variables."""

    def reload(self) -> None:
        """Take the state from the Keras variables."""

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits, and the gradients of the trainable variables in their order."""

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """n steps on one prepared batch, synced at the end."""

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """n evaluation-mode forward passes of one prepared batch, synced at the end."""

    def settings(self) -> dict[str, Any]:
        """``execution`` and ``jit_compile`` of a step."""


class ClosedTrainer:
    """:class:`bench.training.interfaces.Trainer` over a backend's step."""

    def __init__(self, setup: Setup) -> None:
        keras.utils.set_random_seed(setup.case.seed)
        backend = importlib.import_module(f"models_keras.step_{keras.backend.backend()}")
        backend.configure(setup.threads, deterministic=setup.deterministic)
        backend.use_precision(setup.case.precision)
        self._dtype = "float64" if setup.case.precision == "float64" else "float32"
        precision.use(self._dtype)
        self._architecture = setup.architecture
        self._models = alexnet.build_closed(setup.architecture)
        self.network = self._models.training
        self._masks = list(setup.architecture.dropouts())
        prepare = prepare_for(setup, self._dtype)
        models = (self._models.training, self._models.evaluation)
        network = Network(prepare, *models, setup.recipe, self._rates(setup))
        self._prepare = prepare
        self._backend: BackendStep = backend.Step(network)
        self._losses: list[Any] = []

    def _rates(self, setup: Setup) -> list[float]:
        names = {v.path: n for n, v in alexnet.variables(self.network, self._architecture).items()}
        return [setup.rate_of(names[v.path]) for v in self.network.trainable_variables]

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take all weights by name."""
        alexnet.load_weights(self.network, self._architecture, weights)
        self._backend.reload()

    def export_weights(self) -> dict[str, NDArray[Any]]:
        """All weights and statistics in the core's layout."""
        self._backend.store()
        return alexnet.export_weights(self.network, self._architecture)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps."""
        for given, _ in zip(inputs, range(steps), strict=False):
            self._losses.append(self._backend.train(*self._arguments(given)))
            after_step()

    def gradients(self, step_input: StepInput) -> Gradients:
        """Through the differentiation that the backend's step is made of."""
        images, labels, masks, _ = self._arguments(step_input)
        loss, logits, found = self._backend.gradients(images, labels, masks)
        names = {v.path: n for n, v in alexnet.variables(self.network, self._architecture).items()}
        trained = [names[v.path] for v in self.network.trainable_variables]
        by_name = alexnet.to_core(dict(zip(trained, found, strict=True)), self._architecture)
        return Gradients(float(loss), keras.ops.convert_to_numpy(logits), by_name)

    def activations(self, images: Images) -> dict[str, NDArray[Any]]:
        """The evaluation model, layer by layer, not compiled."""
        self._backend.store()
        pictures = self._prepare(keras.ops.convert_to_tensor(images))
        prepared = keras.ops.convert_to_numpy(pictures)
        return {
            "input": alexnet.picture_to_core(prepared),
            **alexnet.activations(self._models, self._architecture, pictures),
        }

    def _arguments(self, given: StepInput) -> tuple[Any, Any, list[Any], float]:
        masks = [given.masks[name] for name in self._masks]
        return given.images, given.labels, masks, given.learning_rate

    def losses(self) -> list[float]:
        """Loss of every step since the last call."""
        values = [float(loss) for loss in self._losses]
        self._losses.clear()
        return values

    def predict(self, images: Images) -> Logits:
        """Evaluation-mode logits, on the host."""
        logits = np.asarray(keras.ops.convert_to_numpy(self._backend.forward(images)))
        return alexnet.features_to_core(logits, self._architecture)

    def sync(self) -> None:
        """Wait for all queued work."""
        self._backend.sync()

    def settings(self) -> dict[str, Any]:
        """Read back from Keras and the backend."""
        return in_force(self.network, self._backend.settings()).to_json()

    def device_memory(self) -> int | None:
        """Not read on the CPU."""
        return None

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        """The backend's own hand-written loop on one prepared batch."""
        return self._backend.bare(*self._arguments(step_input))

    def bare_predict(self, images: Images) -> Callable[[int], None]:
        """The backend's own forward pass on one prepared batch."""
        return self._backend.bare_forward(images)
