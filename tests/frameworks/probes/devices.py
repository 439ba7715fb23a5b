"""What is decided for devices that this machine does not have."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any
from unittest import mock

from bench.core.errors import UserError
from bench.training.frameworks import FRAMEWORKS


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    modules = FRAMEWORKS[framework].modules
    if "jax" in modules:
        return {"refused": _refused()}, {}
    if "keras" in modules and "torch" in modules:
        return {}, _without_the_fused_kernel()
    return (_of_torch() if framework == "pytorch" else {}), {}


def _of_torch() -> dict[str, Any]:
    import torch  # noqa: PLC0415

    from models_torch.devices import clock_of, fused_divides  # noqa: PLC0415

    kinds = ("cpu", "cuda", "mps", "xpu")
    with mock.patch("models_torch.devices.DeviceClock", lambda device: device.type):
        clocks = {name: clock_of(torch.device(name)) for name in kinds}
    return {
        "clocks": clocks,
        "divides": {name: fused_divides(torch.device(name)) for name in kinds},
        "compiler": _without_a_c_compiler(),
        "of_a_rank": [_of_a_rank(reached) for reached in (True, False)],
    }


def _of_a_rank(reached: bool) -> str:
    """What a rank says whose device has, or has not, done all that was queued before ``sync``."""
    from models_torch.data_parallel import synchronised  # noqa: PLC0415

    trainer = mock.Mock()
    trainer.device_clock.return_value.reached.return_value = reached
    try:
        synchronised(trainer)
    except RuntimeError as error:
        return str(error)
    return ""


def _without_a_c_compiler() -> str:
    import torch  # noqa: PLC0415

    from models_torch.passes import Compiler  # noqa: PLC0415

    environment = {name: value for name, value in os.environ.items() if name != "CC"}
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(shutil, "which", return_value=None),
    ):
        try:
            Compiler(torch.device("cuda"))
        except UserError as error:
            return f"{type(error).__name__}: {error}"
    return ""


def _without_the_fused_kernel() -> dict[str, Any]:
    """Weights and velocities of our SGD where the kernel ignores the divisor, and of Keras's."""
    import keras  # noqa: PLC0415

    from tests.frameworks.probes.sgd import _ours, _recipe, _trained  # noqa: PLC0415

    backend = importlib.import_module("models_keras.backend.torch")
    arrays = {}
    with mock.patch.object(backend, "fused_divides", return_value=False):
        ours = _trained(_ours(_recipe(0.9, True, 0.0)), compiled=False)
    rate = _ours(_recipe(0.9, True, 0.0))._learning_rate
    theirs = _trained(keras.optimizers.SGD(rate, 0.9, True), compiled=False)
    for who, values in (("ours", ours), ("theirs", theirs)):
        arrays |= {f"{who}/{place}": value for place, value in enumerate(values)}
    return arrays


def _refused() -> dict[str, str]:
    """The error of each device that JAX does not have here."""
    backend = importlib.import_module("models_keras.backend.jax")
    found = {}
    for kind in ("cuda", "mps", "xpu"):
        try:
            backend._device_of(kind)
        except UserError as error:
            found[kind] = str(error)
    return found
