"""Data-parallel training in Keras: ``keras.distribution.DataParallel``, which is for JAX.

Keras 3.15 has no other backend of it: that of TensorFlow is a prototype whose source says not to
use it, and that of PyTorch does not exist (docs/scaling.md).
"""

from __future__ import annotations

from typing import Any

import keras

from bench.core.errors import UserError
from bench.networks.architecture import BatchNorm
from bench.training.interfaces import DeviceClock, ParallelFacts, Setup
from models_keras.backend import Backend, current


def distribute(backend: Backend, setup: Setup) -> None:
    """Divide batches among the case's devices from now on; before a network is built.

    Raises:
        UserError: The backend cannot, or the batch cannot be divided.
    """
    case = setup.case
    make: Any = getattr(backend, "distribute", None)
    if make is None:
        if case.devices == 1:
            return
        raise UserError(f"--devices {case.devices}: {case.framework} trains on one device alone")
    if case.batch_size % case.devices:
        raise UserError(
            f"--devices {case.devices}: batches of {case.batch_size} images cannot be divided "
            "by it; give a multiple with --batch-sizes"
        )
    make(setup.device_kind, case.devices)


class OnDevices:
    """What all Keras trainers share: memory and clock of the device, and their part of
    :class:`bench.training.interfaces.ParallelTrainer`. One process computes on all devices."""

    processes: tuple[int, ...] = ()
    _setup: Setup

    def device_memory(self) -> int | None:
        """As the backend counts it."""
        return current().peak_memory()

    def reserved_memory(self) -> int | None:
        """As the backend counts it."""
        return current().peak_reserved()

    def device_clock(self) -> DeviceClock | None:
        """The backend's, where it has one."""
        return current().device_clock()

    def parallel(self) -> ParallelFacts:
        """XLA computes the step of the whole batch: BatchNorm takes the moments of all of it."""
        normalised = any(isinstance(row, BatchNorm) for row in self._setup.architecture.layers)
        return ParallelFacts(
            method="keras.distribution.DataParallel",
            backend="XLA",
            batch_norm="synchronised" if normalised else None,
        )

    def without_exchange(self) -> None:
        """None: the exchange is an operation of the compiled step."""

    def close(self) -> None:
        """Later trainers are on one device."""
        keras.distribution.set_distribution(None)
