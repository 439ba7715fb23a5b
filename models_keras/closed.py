"""The closed track in Keras: one compiled step of given weights, images, masks and arithmetic.

Tracing, compiling, differentiating and holding the state is each backend's own
(`models_keras.backend`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UnavailableError, UserError
from bench.training.interfaces import (
    Gradients,
    Images,
    Logits,
    ParallelFacts,
    Setup,
    StepInput,
)
from models_keras import alexnet
from models_keras.backend import BackendStep, Network, current
from models_keras.crops import bordered
from models_keras.data_parallel import OnDevices, distribute
from models_keras.preprocess import prepare_for
from models_keras.settings import in_force, use_precision
from models_keras.state import export_closed, load_closed


class ClosedTrainer(OnDevices):
    """:class:`bench.training.interfaces.Trainer` over a backend's step."""

    def __init__(self, setup: Setup) -> None:
        keras.utils.set_random_seed(setup.case.seed)
        self._of_backend = backend = current()
        setup.refuse_executions("the closed track of Keras", graphs=backend.GRAPHS, xla=backend.XLA)
        if setup.case.xla and setup.deterministic:
            raise UnavailableError(
                f"execution {setup.case.execution}: the closed track is deterministic on the CPU, "
                "and XLA has no deterministic gradient of a pool in TensorFlow; take another "
                "track, or an accelerator"
            )
        backend.configure(setup.threads, setup.deterministic, setup.device_kind, setup.tf32)
        self._setup = setup
        distribute(backend, setup)
        backend.use_precision(setup.case.precision)
        self._dtype = "float64" if setup.case.precision == "float64" else "float32"
        use_precision(self._dtype)
        self._architecture = setup.architecture
        self._models = alexnet.build_closed(setup.architecture)
        self.network = self._models.training
        self._masks = list(setup.architecture.dropouts())
        prepare = prepare_for(setup, self._dtype)
        network = Network(
            prepare,
            self._models.training,
            self._models.evaluation,
            setup.recipe,
            self._rates(setup),
            compiled=setup.compiled,
            graphs=setup.graphs,
            xla=bool(setup.case.xla),
            side=setup.side,
        )
        self._prepare = prepare
        self._backend: BackendStep = backend.Step(network)
        self._losses: list[Any] = []
        self._held: Any = None

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

    def hold_images(self, images: Images, labels: NDArray[np.int64], padding: int) -> bool:
        """In memory of the device, with their border."""
        if self._setup.case.devices > 1:
            return False
        found = bordered(images, padding)
        dtype = self._of_backend.held_dtype()
        self._held = None if found is None else keras.ops.convert_to_tensor(found, dtype)
        return self._held is not None

    def parallel(self) -> ParallelFacts:
        """How it trains on several devices, which are read back from the step's arrays."""
        wanted, found = self._setup.case.devices, self._backend.devices()
        if found != wanted:
            raise UserError(f"--devices {wanted}: the step's arrays are on {found}")
        return super().parallel()

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Variables of the network, and the slots of the backend's step."""
        return export_closed(self.network, self._backend)

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        load_closed(self.network, self._backend, state)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps."""
        for given, _ in zip(inputs, range(steps), strict=False):
            self._losses.append(self._backend.train(*self._arguments(given)))
            after_step()

    def bring_ahead(self, step_input: StepInput) -> StepInput:
        """As the backend does."""
        images, labels, masks, rate = self._backend.bring(*self._arguments(step_input))
        given = {"crops": images[1]} if isinstance(images, tuple) else {"images": images}
        named = dict(zip(self._masks, masks, strict=True))
        return replace(step_input, labels=labels, masks=named, learning_rate=rate, **given)

    def gradients(self, step_input: StepInput) -> Gradients:
        """By the same differentiation as the backend's step."""
        images, labels, masks, _ = self._arguments(step_input)
        loss, logits, found = self._backend.gradients(images, labels, masks)
        names = {v.path: n for n, v in alexnet.variables(self.network, self._architecture).items()}
        trained = [names[v.path] for v in self.network.trainable_variables]
        by_name = alexnet.to_core(dict(zip(trained, found, strict=True)), self._architecture)
        return Gradients(float(loss), keras.ops.convert_to_numpy(logits), by_name)

    def activations(self, images: Images) -> dict[str, NDArray[Any]]:
        """The evaluation model, layer by layer, not compiled."""
        self._backend.store()
        prepared = self._prepare(keras.ops.convert_to_tensor(images))
        return {
            "input": alexnet.map_to_core(keras.ops.convert_to_numpy(prepared)),
            **alexnet.activations(self._models, self._architecture, prepared),
        }

    def _arguments(self, given: StepInput) -> tuple[Any, Any, list[Any], float]:
        masks = [given.masks[name] for name in self._masks]
        images = given.images if given.crops is None else (self._held, given.crops)
        return images, given.labels, masks, given.learning_rate

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

    def through_queue(self) -> None:
        """As the backend does."""
        self._backend.through_queue()

    def settings(self) -> dict[str, Any]:
        """Read back from Keras and the backend."""
        return in_force(self.network, self._backend.settings(), self._backend.compiled_step())

    def bare_loop(self, step_input: StepInput) -> Callable[[int], None]:
        """The backend's own hand-written loop on one prepared batch."""
        return self._backend.bare(*self._arguments(step_input))

    def bare_predict(self, images: Images) -> Callable[[int], None]:
        """The backend's own forward pass on one prepared batch."""
        return self._backend.bare_forward(images)
