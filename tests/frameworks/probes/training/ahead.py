"""Steps whose inputs were brought to the device ahead, and the end of the device's queue."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from typing import Any
from unittest import mock

import numpy as np

from bench.data.batching import crops_of
from bench.networks.init import DropoutMasks
from bench.training.frameworks import FRAMEWORKS
from bench.training.interfaces import StepInput
from bench.worker.device.ahead import made_ahead
from bench.worker.device.time import DeviceQueue
from tests.frameworks.probes.training.held import BATCH, CLOSED, SPLIT, batches
from tests.frameworks.support.networks import IDIOMATIC, TINY, seeded_weights, setup
from tests.frameworks.support.trainers import create_loaded

STEPS = 4


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    modules = FRAMEWORKS[framework].modules
    arrays: dict[str, Any] = {}
    facts: dict[str, Any] = {"ends": _queue_ends(framework)}
    with _pretended_stream() if "torch" in modules else nullcontext():
        for ahead in (True, False):
            trainer = _trainer(framework, CLOSED)
            given = [trainer.bring_ahead(one) if ahead else one for one in _inputs()]
            if ahead:
                facts["of_the_host"] = sum(isinstance(part, np.ndarray) for part in _used(given))
            trainer.train(iter(given[:1]), 1, lambda: None)  # compiles
            with _transfers_refused() if ahead and "jax" in modules else nullcontext():
                trainer.train(iter(given[1:]), STEPS - 1, lambda: None)
            trainer.sync()
            weights = trainer.export_weights()
            arrays |= {f"{ahead}/{name}": weight for name, weight in weights.items()}
    if "jax" in modules:
        facts["refused"] = _unbrought_is_refused(framework)
        facts["late"] = _late(framework)
        facts["waited_in_fit"] = _waited_in_fit(framework)
    return facts, arrays


def _trainer(framework: str, track: str) -> Any:
    trainer = create_loaded(framework, setup(TINY, steps=STEPS, track=track), seeded_weights(TINY))
    assert trainer.hold_images(SPLIT.images, SPLIT.labels, 3)
    return trainer


def _inputs() -> list[StepInput]:
    """Made ahead, as those of an accelerator."""
    masks, planned = DropoutMasks(TINY, 1), list(batches(3))

    def made(step: int) -> StepInput:
        batch = planned[step]
        labels = SPLIT.labels[batch.indices]
        images, crops = SPLIT.images[:0], crops_of(batch)
        return StepInput(images, labels, masks.at(step, BATCH), 0.02 / (1 + step), crops)

    with made_ahead(made, 0, STEPS) as inputs:
        return list(inputs)


def _used(given: list[StepInput]) -> Any:
    """What is drawn for each step."""
    return chain.from_iterable((one.crops, *one.masks.values()) for one in given)


def _pretended_stream() -> Any:
    """A stream of transfers where there is no CUDA."""
    from models_torch.devices import Transfers  # noqa: PLC0415

    def made(self: Any, device: Any) -> None:
        self._device, self._stream = device, mock.Mock()

    stack = mock.patch.multiple(Transfers, __init__=made)
    import torch  # noqa: PLC0415

    torch.cuda.stream = lambda stream: nullcontext()  # type: ignore[assignment,misc]
    return stack


def _transfers_refused() -> Any:
    """A context in which JAX raises when an array of the host is given to a device."""
    import jax  # noqa: PLC0415

    return jax.transfer_guard_host_to_device("disallow")


def _unbrought_is_refused(framework: str) -> str:
    trainer, (first, second, *_) = _trainer(framework, CLOSED), _inputs()
    trainer.train(iter([first]), 1, lambda: None)
    brought = trainer.bring_ahead(second)
    with _transfers_refused():
        try:
            trainer.train(iter([replace(brought, masks=second.masks)]), 1, lambda: None)
        except Exception as error:  # of XLA
            return str(error)
    return ""


def _queue_ends(framework: str) -> int:
    """In a step of every track's loop: how often the end of the queue was reached."""
    found = 0
    for track in (CLOSED, IDIOMATIC):
        trainer, given = _trainer(framework, track), _inputs()

        def after_step(trainer: Any = trainer) -> None:
            nonlocal found
            trainer.through_queue()
            found += 1

        trainer.train(iter(given), STEPS, after_step)
    return found


def _late(framework: str) -> list[str]:
    """What is said of work that is queued when a ``sync`` has returned early: JAX computes
    in the background on a CPU as well."""
    import jax  # noqa: PLC0415

    trainer = _trainer(framework, CLOSED)
    step = trainer._backend
    trainer.sync = lambda: None
    jax.block_until_ready(_slow(step._count))  # compiled
    queue, said = DeviceQueue(trainer), []
    for work in (0, 0, 1, 0, 1):
        if work:
            step._count = _slow(step._count)
        try:
            queue.finish()
            said.append("")
        except RuntimeError as error:
            said.append(str(error))
    return said


def _slow(value: Any) -> Any:
    """The same value after some tenths of a second, which JAX does not wait for."""
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    @jax.jit
    def slow(value: Any, x: Any) -> Any:
        return value + 0 * jax.lax.fori_loop(0, 200, lambda _, y: jnp.tanh(y @ y), x)[0, 0]

    return slow(value, jnp.ones((400, 400)))


def _waited_in_fit(framework: str) -> list[bool]:
    """Within ``fit``: whether the newest state is there before ``sync``, and after it."""
    trainer, given = _trainer(framework, IDIOMATIC), _inputs()
    found: list[bool] = []

    def after_step() -> None:
        state = trainer._trained._jax_state
        last = state["trainable_variables"][-1] = _slow(state["trainable_variables"][-1])
        trainer._last.logs = {}  # of a metric, which is there earlier
        found.append(last.is_ready())
        trainer.sync()
        found.append(last.is_ready())

    trainer.train(iter(given[:1]), 1, after_step)
    return found
