"""Keras on JAX: the closed track's training step, settings and operations, compiled by XLA unless
eager execution is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.devices import DEVICE_KINDS
from bench.training.interfaces import Run
from bench.training.state import check_names, checked
from models_keras.backend import Convolutions, Network, unusable
from models_keras.optimizer import cross_entropy, update_for

JIT = True
"""Without it JAX would run operation by operation."""
KEEPS_CONSTANTS = False
COMPILES = True
GRAPHS = False
XLA = False
STEPS_PER_EXECUTION = True
CONVOLUTIONS = Convolutions(slow_on_small_maps=True, slow_in_groups=True, faster_as_dense=True)
SGD = keras.optimizers.SGD
"""Keras's own: XLA fuses its update into one pass."""


def configure(threads: int, deterministic: bool, device: str, tf32: bool) -> None:
    """JAX has no supported way to set its CPU threads; the affinity of the process binds them.

    Nor has it a deterministic mode on the CPU.
    """
    _compilations.clear()  # of an earlier trainer
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "highest")
    jax.config.update("jax_default_device", _device_of(device))


def distribute(kind: str, devices: int) -> Any:
    """Train on several devices: ``keras.distribution.DataParallel``, or None on one.

    Variables are copied to every device, and a batch is divided among them. XLA computes the step
    of the whole batch: moments of BatchNorm are those of all devices.
    """
    found = None
    if devices > 1:
        platform = "gpu" if kind == "cuda" else kind
        here = keras.distribution.list_devices(platform)
        if len(here) < devices:
            raise UserError(f"--devices {devices}: JAX sees {len(here)} of {platform}")
        found = keras.distribution.DataParallel(devices=here[:devices])
    keras.distribution.set_distribution(found)
    return found


def _device_of(kind: str) -> Any:
    """The first device of a kind: of an accelerator the only one that a worker sees."""
    try:
        return jax.devices(DEVICE_KINDS[kind].jax_platform)[0]
    except RuntimeError:
        install = "install its plugin (pip install 'jax[cuda13]' for CUDA)"
        raise unusable(kind, f"JAX {jax.__version__}", install) from None


def held_dtype() -> str:
    """Bytes."""
    return "uint8"


def wait(model: keras.Model) -> None:
    """Wait for the newest state."""
    jax.block_until_ready(_state(model))


def through_queue(model: keras.Model) -> None:
    """By an operation on the newest state."""
    _read(_state(model)[-1])


def _state(model: keras.Model) -> list[Any]:
    """The newest arrays: in a ``fit`` the model's variables are empty.

    Keras has them in a dictionary that is a leaf to JAX, which would wait for nothing.
    """
    state = getattr(model, "_jax_state", None)
    return keras.tree.flatten(state) if state else [v.value for v in model.variables]


def _read(array: Any) -> None:
    """Read an element of an array by an operation of its own.

    A device carries out one program after the other, in the order in which they were queued.
    """
    jax.device_get(jax.block_until_ready(_first_element(array)))  # on all of its devices


@jax.jit
def _first_element(array: Any) -> Any:
    return jnp.ravel(array)[0]


def peak_memory() -> int | None:
    """Of XLA's allocator."""
    device = jax.config.jax_default_device
    if device is None or device.platform == "cpu":
        return None
    found = device.memory_stats() or {}
    return found.get("peak_bytes_in_use")


def peak_reserved() -> int | None:
    """Of XLA's allocator, on platforms whose allocator counts it."""
    device = jax.config.jax_default_device
    if device is None or device.platform == "cpu":
        return None
    found = device.memory_stats() or {}
    return found.get("peak_pool_bytes") or found.get("peak_bytes_reserved")


def device_clock() -> None:
    """JAX has no public interface to time stamps of a device: its profiler writes a trace."""


_COMPILED = "/jax/core/compile/backend_compile_duration"
_compilations: list[tuple[str, float]] = []
"""Name of the function and seconds of everything that XLA has compiled for the newest trainer, but
for what reads the end of its queue."""


def _listen(event: str, seconds: float, **facts: Any) -> None:
    name = str(facts.get("fun_name"))
    if event == _COMPILED and _first_element.__name__ not in name:
        _compilations.append((name, seconds))


jax.monitoring.register_event_duration_secs_listener(_listen)


def compilation(step: Any, *, jit: bool) -> dict[str, int | float] | None:
    """Of the training step; ``seconds`` are those of everything that XLA has compiled for the
    trainer.

    A jitted function has no graph breaks: what cannot be traced is an error.
    """
    if not jit:
        return None
    steps = sum(bool(_STEP.search(name)) for name, _ in _compilations)
    if not steps:
        return None
    seconds = sum(seconds for _, seconds in _compilations)
    return {"graphs": steps, "recompilations": steps - 1, "seconds": seconds}


_STEP = re.compile(r"(pure_step|train_step)\)?$")
"""The function of the closed track, and that of Keras's ``fit``."""


def use_precision(precision: str) -> None:
    """Enable float64 for parity checks, and disable it for everything else."""
    jax.config.update("jax_enable_x64", precision == "float64")


def fed(batches: Iterable[Any]) -> Iterable[Any]:
    """``fit`` takes the batches as they are."""
    return batches


def export_random() -> Iterator[tuple[str, NDArray[Any]]]:
    """JAX has no generators of its own."""
    yield from ()


def load_random(states: Mapping[str, NDArray[Any]]) -> None:
    """There is none."""


class Step:
    """The training step as a pure function, compiled by XLA; every step returns a new state."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._distribution = keras.distribution.distribution()
        self._update = update_for(network.recipe)
        self._weights: list[Any] = []
        self._statistics: list[Any] = []
        self.reload()
        self._slots = [
            [jnp.zeros_like(w) for _ in range(self._update.slots)] for w in self._weights
        ]
        self._dtype = self._weights[0].dtype
        self._count = jnp.zeros((), self._dtype)
        self._step: Callable[..., Any] = partial(self._pure_step, prepared=False)
        self._bare_step: Callable[..., Any] = self._pure_step_of_prepared
        self._forward: Callable[..., Any] = self._pure_forward
        self._bare_forward: Callable[..., Any] = self._pure_logits
        self._gradients: Callable[..., Any] = self._pure_gradients
        if network.compiled:
            donated = ("weights", "statistics", "slots", "count")
            self._step = jax.jit(self._step, donate_argnames=donated)
            self._bare_step = jax.jit(self._bare_step, donate_argnames=donated)
            self._forward = jax.jit(self._forward)
            self._bare_forward = jax.jit(self._bare_forward)
            self._gradients = jax.jit(self._gradients)

    def _loss(
        self, weights: list[Any], statistics: list[Any], x: Any, labels: Any, masks: list[Any]
    ) -> tuple[Any, tuple[Any, list[Any]]]:
        logits, statistics = self._network.training.stateless_call(
            weights, statistics, [x, *masks], training=True
        )
        smoothing = self._network.recipe.label_smoothing
        return cross_entropy(labels, logits, smoothing), (logits, statistics)

    def _pure_step(
        self, *, weights: Any, statistics: Any, slots: Any, count: Any, inputs: Any, prepared: bool
    ) -> tuple[Any, ...]:
        images, labels, masks, rate = inputs
        x = images if prepared else self._network.prepared(images)
        differentiate = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (_, statistics)), gradients = differentiate(weights, statistics, x, labels, masks)
        count = count + 1
        updated = [
            self._update(w, g, s, count, rate if part == 1 else part * rate)
            for w, g, s, part in zip(weights, gradients, slots, self._network.rates, strict=True)
        ]
        return [w for w, _ in updated], statistics, [s for _, s in updated], count, loss

    def _pure_step_of_prepared(self, **given: Any) -> tuple[Any, ...]:
        return self._pure_step(**given, prepared=True)

    def _pure_gradients(
        self, weights: Any, statistics: Any, images: Any, labels: Any, masks: list[Any]
    ) -> tuple[Any, Any, list[Any]]:
        differentiate = jax.value_and_grad(self._loss, has_aux=True)
        x = self._network.prepared(images)
        (loss, (logits, _)), found = differentiate(weights, statistics, x, labels, masks)
        return loss, logits, found

    def _pure_forward(self, weights: Any, statistics: Any, images: Any) -> Any:
        return self._pure_logits(weights, statistics, self._network.prepared(images))

    def _pure_logits(self, weights: Any, statistics: Any, x: Any) -> Any:
        logits, _ = self._network.evaluation.stateless_call(weights, statistics, x, training=False)
        return logits

    def _run(self, step: Callable[..., tuple[Any, ...]], inputs: tuple[Any, ...]) -> Any:
        self._weights, self._statistics, self._slots, self._count, loss = step(
            weights=self._weights,
            statistics=self._statistics,
            slots=self._slots,
            count=self._count,
            inputs=inputs,
        )
        return loss

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step."""
        images, labels, masks = self._divided((images, labels, masks))
        return self._run(self._step, (images, labels, masks, jnp.asarray(rate, self._dtype)))

    def bring(self, images: Any, labels: Any, masks: list[Any], rate: float) -> tuple[Any, ...]:
        """By ``device_put``, which returns before the transfer is done; the step waits for it."""
        batch = self._divided((images, labels, masks))
        return tuple(jax.device_put((*batch, np.asarray(rate, self._dtype))))

    def devices(self) -> int:
        """Devices that hold the weights and a part of each batch, read back from the arrays."""
        batch = self._divided(np.zeros((self._mesh_size(), 1), np.float32))
        parts = {shard.device for shard in batch.addressable_shards}
        return min(len(parts), len(self._weights[0].sharding.device_set))

    def _mesh_size(self) -> int:
        distribution = self._distribution
        return 1 if distribution is None else int(distribution.device_mesh.devices.size)

    def _divided(self, batch: Any) -> Any:
        """The arrays of a batch, each divided among the devices."""
        distribution = self._distribution
        if distribution is None:
            return batch

        def divided(array: Any) -> Any:
            layout = distribution.get_data_layout(np.shape(array))
            return keras.distribution.distribute_tensor(jnp.asarray(array), layout)

        return jax.tree_util.tree_map(divided, batch)

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        found: tuple[Any, Any, list[Any]] = self._gradients(
            self._weights, self._statistics, images, labels, masks
        )
        return found

    def forward(self, images: Any) -> Any:
        """Evaluation-mode logits."""
        return self._forward(self._weights, self._statistics, images)

    def sync(self) -> None:
        """Wait for the newest state: everything before it is done then."""
        jax.block_until_ready((self._weights, self._statistics, self._slots, self._count))

    def through_queue(self) -> None:
        """By an operation on the counter of steps."""
        _read(self._count)

    def store(self) -> None:
        """Copy the state into the Keras variables."""
        model = self._network.training
        for variable, value in zip(model.trainable_variables, self._weights, strict=True):
            variable.assign(value)
        for variable, value in zip(model.non_trainable_variables, self._statistics, strict=True):
            variable.assign(value)

    def reload(self) -> None:
        """Copies, since a step gives its old state's memory to the new one."""
        model = self._network.training
        self._weights = [jnp.array(v.value, copy=True) for v in model.trainable_variables]
        self._statistics = [jnp.array(v.value, copy=True) for v in model.non_trainable_variables]

    def export_slots(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Slots of all weights in their order, then the number of steps."""
        arrays = [*chain.from_iterable(self._slots), self._count]
        return ((str(place), np.array(array)) for place, array in enumerate(arrays))

    def load_slots(self, slots: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        own = [*chain.from_iterable(self._slots), self._count]
        names = [str(place) for place in range(len(own))]
        check_names(slots, names)
        found = [checked(slots, n, a.shape, a.dtype) for n, a in zip(names, own, strict=True)]
        *flat, self._count = map(jnp.array, found)
        rest = iter(flat)
        self._slots = [[next(rest) for _ in row] for row in self._slots]

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """The same step on one prepared batch that stays on the device."""
        inputs = self.bring(self._network.prepared(images), labels, masks, rate)

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._run(self._bare_step, inputs)
            self.sync()

        return loop

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """The same forward pass on one prepared batch that stays on the device."""
        x = jax.device_put(self._network.prepare(images))

        def loop(passes: int) -> None:
            for _ in range(passes):
                logits = self._bare_forward(self._weights, self._statistics, x)
            jax.block_until_ready(logits)

        return loop

    def settings(self) -> dict[str, Any]:
        """How a step runs."""
        jit = self._network.compiled and not jax.config.jax_disable_jit
        return {"execution": "jax.jit" if jit else "eager", "jit_compile": jit}

    def compiled_step(self) -> Any:
        """The jitted step."""
        return self._step


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`.

    JAX reports neither its threads (the affinity binds them) nor the instruction set that XLA
    generates code for, and it has no switch for oneDNN or for determinism on the CPU.
    """
    device = next(iter(kernel.devices()))
    precision = jax.config.jax_default_matmul_precision
    return {
        "intra_op_threads": None,
        "inter_op_threads": None,
        "device": device.platform,
        "device_name": None if device.platform == "cpu" else device.device_kind,
        "memory_layout": _layout(activation, axes),
        "weight_layout": _layout(kernel, "HWIO"),
        "blas": None,
        "onednn": None,
        "instruction_set": None,
        # None leaves the choice to the platform.
        "tf32": precision and precision not in ("highest", "float32"),
        "float32_matmul_precision": precision,
        "deterministic": None,
    }


def _layout(array: Any, axes: str) -> str | None:
    """``axes`` from the slowest to the fastest; None in versions of JAX that do not report it."""
    layout = getattr(getattr(array, "format", None), "layout", None)
    order = getattr(layout, "major_to_minor", None)
    return None if order is None else "".join(axes[axis] for axis in order)


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """``jax.jit``; on the CPU each result is waited for, or several would be computed at a time. An
    accelerator computes one after the other."""
    jitted = jax.jit(function)
    one_by_one = next(iter(operands[0].devices())).platform == "cpu"

    def run(times: int) -> None:
        for _ in range(times):
            result = jitted(*operands)
            if one_by_one:
                jax.block_until_ready(result)
        jax.block_until_ready(result)

    return run


def own_lrn(x: Any, size: int, alpha: float, beta: float, k: float) -> None:
    """JAX has no such operation."""


def forward_and_backward(layer: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """``jax.vjp`` under ``jax.jit``."""

    @jax.jit
    def both(x: Any, gradient: Any) -> tuple[Any, Any]:
        y, pull_back = jax.vjp(layer, x)
        return y, pull_back(gradient)[0]

    return lambda x, gradient: jax.block_until_ready(both(x, gradient))
