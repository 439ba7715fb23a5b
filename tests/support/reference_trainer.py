"""The numpy reference as a trainer: lets the certificate be tested where no framework is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from bench.networks.init import initial_weights
from bench.networks.weights import check_weights
from bench.parity.reference_training import Reference
from bench.training.interfaces import Gradients, Setup, StepInput


class ReferenceTrainer:
    """:class:`bench.training.interfaces.CertifiableTrainer` in float64; float32 where it is asked
    for."""

    reference: type[Reference] = Reference

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._dtype = setup.case.precision
        self._losses: list[float] = []
        self._state = self._at(initial_weights(setup.architecture, 0))

    def _at(self, weights: Mapping[str, Any]) -> Reference:
        setup = self._setup
        pixels = (setup.mean, setup.std)
        return self.reference.at(setup.architecture, setup.recipe, pixels, weights, setup.rates)

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        check_weights(self._setup.architecture, weights, self._dtype)
        self._state.weights.update({k: np.array(v, np.float64) for k, v in weights.items()})

    def export_weights(self) -> dict[str, Any]:
        return {k: v.astype(self._dtype) for k, v in self._state.weights.items()}

    def export_state(self) -> Iterator[tuple[str, Any]]:
        """The weights, the optimiser's slots and its step."""
        yield from ((f"weights/{name}", array) for name, array in self._state.weights.items())
        for name, slots in self._state._slots.items():
            yield from ((f"slots/{name}/{place}", array) for place, array in enumerate(slots))
        yield "step", np.array(self._state._step)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take them."""
        self._state._step = int(state["step"])
        self._state._slots.clear()
        for name in state:
            kind, _, rest = name.partition("/")
            if kind == "weights":
                self._state.weights[rest] = np.array(state[name])
            elif kind == "slots":  # in the order of their places
                of, _, _ = rest.rpartition("/")
                self._state._slots.setdefault(of, []).append(np.array(state[name]))

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        for given, _ in zip(inputs, range(steps), strict=False):
            self._losses.append(self._state.train(given))
            after_step()

    def losses(self) -> list[float]:
        taken, self._losses = self._losses, []
        return taken

    def predict(self, images: Any) -> Any:
        return self._state.predict(images).astype(self._dtype)

    def sync(self) -> None:
        """Nothing is queued."""

    def gradients(self, step_input: StepInput) -> Gradients:
        return self._state.gradients(step_input)

    def activations(self, images: Any) -> dict[str, Any]:
        return dict(self._state.activations(images))
