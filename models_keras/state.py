"""The state of a training in Keras: variables of the model, of the optimiser, and within a ``fit``
those of its mean loss.

Variables are named by their place: Keras numbers names through a process, so that the same model
has other ones when it is the second there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bench.training.state import State, check_names, checked, part
from models_keras.backend import BackendStep, current

Named = Iterator[tuple[str, NDArray[Any]]]


class FitState(keras.callbacks.Callback):  # type: ignore[misc]
    """The state of a compiled model, between two calls of ``fit`` and within one.

    A callback of every ``fit``: that resets the mean loss when it begins, and this one restores it.
    """

    def __init__(self, model: keras.Model, network: keras.Model) -> None:
        """``model`` is what ``fit`` trains; ``network`` has its weights, and no images that the
        device holds."""
        super().__init__()
        self._trained, self._network = model, network
        self._within = False
        self._pending: dict[str, NDArray[Any]] = {}
        """What is restored when ``fit`` begins."""

    def export(self) -> Named:
        """Everything that the next steps depend on; see ``Trainer.export_state``."""
        model = self._trained
        # On JAX the variables do not follow a fit, which has the state in arrays of its own.
        getattr(model, "jax_state_sync", lambda: None)()
        yield from _values("network", self._network.variables)
        yield from _values("optimizer", model.optimizer.variables)
        if self._within:
            yield from _values("loss", model.metrics_variables)
        for name, array in current().export_random():
            yield f"random/{name}", array

    def load(self, state: State) -> None:
        """Take it; UserError where it is of another network or optimiser."""
        model = self._trained
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        _assign("network", self._network.variables, state)
        _assign("optimizer", model.optimizer.variables, state)
        restored = [*part(state, "loss"), *part(state, "random")]
        self._pending = {name: np.array(state[name]) for name in restored}

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Restore the mean loss, which ``fit`` has just reset; between two calls there is none."""
        self._within = True
        if part(self._pending, "loss"):
            _assign("loss", self._trained.metrics_variables, self._pending)
        else:
            self._restore_random()

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Restore generators within a call: before its first batch PyTorch's loader has drawn."""
        if self._pending:
            self._restore_random()

    def _restore_random(self) -> None:
        names = part(self._pending, "random")
        if names:
            current().load_random({name.partition("/")[2]: self._pending[name] for name in names})
        self._pending = {}

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """The mean loss of this ``fit`` has been read."""
        self._within = False


def export_closed(network: keras.Model, step: BackendStep) -> Named:
    """The state of the closed track's training step."""
    step.store()
    yield from _values("network", network.variables)
    for name, array in step.export_slots():
        yield f"optimizer/{name}", array


def load_closed(network: keras.Model, step: BackendStep, state: State) -> None:
    """Take it; UserError where it is of another network or optimiser."""
    _assign("network", network.variables, state)
    step.reload()
    slots = part(state, "optimizer")
    step.load_slots({name.partition("/")[2]: np.array(state[name]) for name in slots})


def _values(name: str, variables: Sequence[Any]) -> Named:
    for place, variable in enumerate(variables):
        # A copy: some backends give a view of memory that they reuse.
        yield f"{name}/{place}", np.array(keras.ops.convert_to_numpy(variable))


def _assign(name: str, variables: Sequence[Any], state: State) -> None:
    names = [f"{name}/{place}" for place in range(len(variables))]
    check_names(part(state, name), names)
    for key, variable in zip(names, variables, strict=True):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        variable.assign(checked(state, key, variable.shape, dtype))
