"""The idiomatic track in Keras: ``compile`` and ``fit`` as the documentation recommends them.

Layers, optimisers and loops are Keras's own, the precision is a mixed policy, and
``jit_compile="auto"`` decides on compiling. The one layer that Keras lacks, local response
normalisation, is written as a user would (`models_keras.layers.lrn.StockLocalResponseNorm`).

https://keras.io/api/mixed_precision/, https://keras.io/api/models/model_training_apis/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from bench.training.interfaces import Images, Logits, Setup, StepInput
from bench.training.recipes.base import Recipe
from models_keras import alexnet
from models_keras.backend import current
from models_keras.crops import HeldImages, bordered
from models_keras.data_parallel import OnDevices, distribute
from models_keras.layers.conv import DenseConv2D
from models_keras.optimizer import optimizer_for, slow
from models_keras.preprocess import input_for, prepare_for, stock_prepare_for
from models_keras.settings import in_force
from models_keras.state import FitState


class _AfterStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Returns control to the harness after every batch.

    Keras calls it once for all steps of one call of the compiled function, with the number that the
    last of them would have in a whole call; the harness counts each.
    """

    def __init__(self, after_step: Callable[[], None], steps: int = 0) -> None:
        super().__init__()
        self._after_step = after_step
        self._steps, self._taken = steps, 0
        self.logs: Mapping[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the logs: reading their loss waits for the step that wrote it."""
        self.logs = logs or {}
        while self._taken < min(batch + 1, self._steps):
            self._taken += 1
            self._after_step()

    def wait(self) -> None:
        """Wait for the last step."""
        if "loss" in self.logs:
            float(self.logs["loss"])


class IdiomaticTrainer(OnDevices):
    """:class:`bench.training.interfaces.Trainer` over ``model.fit``.

    What another track does differently overrides a method: `tuned`, `defaults`.
    """

    def __init__(self, setup: Setup) -> None:
        keras.utils.set_random_seed(setup.case.seed)
        self._backend = current()
        self._setup = setup
        setup.refuse_executions(
            "fit of Keras", steps=self._backend.STEPS_PER_EXECUTION, xla=self._backend.XLA
        )
        self._backend.configure(setup.threads, setup.deterministic, setup.device_kind, setup.tf32)
        distribute(self._backend, setup)
        # Under mixed_float16 ``compile`` wraps the optimiser in one that scales the loss.
        policy = f"mixed_{setup.half}" if setup.half else "float32"
        keras.mixed_precision.set_dtype_policy(policy)
        self._architecture = setup.architecture
        self.network = self._build(setup)
        self._prepare = self._preparation(setup)
        images = input_for(setup)
        self._model = keras.Model(images, self.network(self._prepare(images)))
        self._compile(self._model)
        self._trained = self._model
        """What ``fit`` trains: from images, or from crops of images that the device holds."""
        self._state = FitState(self._model, self._model)
        self._losses: list[float] = []
        self._last = _AfterStep(lambda: None)

    def _compile(self, model: keras.Model) -> None:
        setup = self._setup
        model.compile(
            optimizer=self._slowed(self._optimizer(setup), setup),
            loss=_loss(setup.recipe, self._architecture.classes),
            **self._execution(setup),
        )

    def _execution(self, setup: Setup) -> dict[str, Any]:
        """``jit_compile`` and ``run_eagerly``: Keras's own choice where the case is executed as the
        backend does by default."""
        if setup.compiled == self._backend.COMPILES:
            steps, asked = setup.case.steps_per_execution, setup.case.xla
            jit = self._jit_compile(setup) if asked is None else asked
            return {"jit_compile": jit, "steps_per_execution": steps}
        return {"jit_compile": setup.compiled, "run_eagerly": not setup.compiled}

    def _build(self, setup: Setup) -> keras.Model:
        """The network: images that are prepared -> logits."""
        return alexnet.build(setup.architecture, alexnet.STOCK)

    def _preparation(self, setup: Setup) -> Callable[[Any], Any]:
        """From stored images to the network's input."""
        return stock_prepare_for(setup)

    def _optimizer(self, setup: Setup) -> keras.optimizers.Optimizer:
        return optimizer_for(setup)

    def _jit_compile(self, setup: Setup) -> bool | str:
        return "auto"

    def _slowed(
        self, optimizer: keras.optimizers.Optimizer, setup: Setup
    ) -> keras.optimizers.Optimizer:
        """With the fractions of the learning rate that the setup gives some layers."""
        if setup.rates:
            names = alexnet.variables(self.network, self._architecture).items()
            slow(optimizer, {variable.path: setup.rate_of(name) for name, variable in names})
        return optimizer

    def load_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take all weights by name."""
        alexnet.load_weights(self.network, self._architecture, weights)

    def export_weights(self) -> dict[str, NDArray[np.float32]]:
        """All weights and statistics in the core's layout."""
        return alexnet.export_weights(self.network, self._architecture)

    def hold_images(self, images: Images, labels: NDArray[np.int64], padding: int) -> bool:
        """As a variable of the model that ``fit`` trains; labels come with the steps."""
        found = None if self._setup.case.devices > 1 else bordered(images, padding)
        if found is None:
            return False
        dtype, size = self._backend.held_dtype(), images.shape[1]
        held = HeldImages(found.shape, size, dtype, dtype="uint8", name="held_images")
        crops = keras.Input((4,), dtype="int32")
        self._trained = keras.Model(crops, self.network(self._prepare(held(crops))))
        held.held.assign(found)
        self._compile(self._trained)
        self._state = FitState(self._trained, self._model)
        return True

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Variables of model and optimiser, and within a ``fit`` its mean loss so far."""
        return self._state.export()

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        self._state.load(state)

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """One ``fit`` over ``steps`` batches."""
        batches = (
            (given.images if given.crops is None else given.crops, given.labels)
            for given in islice(inputs, steps)
        )
        self._last = _AfterStep(after_step, steps)
        history = self._trained.fit(
            self._backend.fed(batches),
            steps_per_epoch=steps,
            epochs=1,
            verbose=0,
            callbacks=[self._state, self._last],
        )
        self._losses.extend(float(loss) for loss in history.history["loss"])

    def losses(self) -> list[float]:
        """Mean loss of every ``fit`` since the last call."""
        values, self._losses = self._losses, []
        return values

    def predict(self, images: Images) -> Logits:
        """``predict_on_batch``."""
        return self._logits(self._model, images)

    def _logits(self, model: keras.Model, images: Images) -> Logits:
        """(B, classes) float32, or features in the core's order."""
        logits = np.asarray(model.predict_on_batch(images), np.float32)
        return alexnet.features_to_core(logits, self._architecture)

    def sync(self) -> None:
        """Wait for the last step."""
        self._last.wait()
        self._backend.wait(self._trained)

    def through_queue(self) -> None:
        """As the backend does."""
        self._backend.through_queue(self._trained)

    def settings(self) -> dict[str, Any]:
        """Read back from Keras and the backend."""
        model = self._trained
        name = "fit, eager" if model.run_eagerly else "fit"
        if model.steps_per_execution > 1:
            name += f", {model.steps_per_execution} steps in a call"
        execution = {"execution": name, "jit_compile": bool(model.jit_compile)}
        found = in_force(self.network, execution, getattr(model, "train_function", None))
        scale = getattr(model.optimizer, "dynamic_scale", None)
        # The scale of an optimiser that no step has built is the one that it begins with.
        first = getattr(model.optimizer, "initial_scale", None)
        return found | {"loss_scale": first if scale is None else float(scale)}

    @property
    def small_maps_dense(self) -> bool:
        """Whether training computes small maps as dense layers (`models_keras.layers.conv`)."""
        return any(isinstance(layer, DenseConv2D) for layer in self.network.layers)

    def bare_loop(self, step_input: StepInput) -> None:
        """``fit`` is the loop that Keras's users write."""

    def bare_predict(self, images: Images) -> None:
        """``predict_on_batch`` is the call that Keras's users write."""


def _loss(recipe: Recipe, classes: int) -> keras.losses.Loss | Callable[[Any, Any], Any]:
    if not recipe.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    smoothed = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    return lambda labels, logits: smoothed(ops.one_hot(ops.reshape(labels, (-1,)), classes), logits)


class OwnPreparation(IdiomaticTrainer):
    """``fit`` with the closed track's preparation, compiled on a CPU wherever the backend can."""

    def _preparation(self, setup: Setup) -> Callable[[Any], Any]:
        layer: Callable[[Any], Any] = prepare_for(setup)
        return layer

    def _jit_compile(self, setup: Setup) -> bool | str:
        return self._backend.JIT if setup.device_kind == "cpu" else "auto"
