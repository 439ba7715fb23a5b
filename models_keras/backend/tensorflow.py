"""Keras on TensorFlow: the closed track's training step, settings and operations, as graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from bench.training.interfaces import Run
from bench.training.state import check_names, checked
from models_keras.backend import Convolutions, Network, unusable
from models_keras.optimizer import Sgd, cross_entropy, update_for

JIT = False
"""XLA's convolutions make training several times slower on the CPU."""
KEEPS_CONSTANTS = False
COMPILES = True
"""Into a graph; XLA is another switch."""
GRAPHS = False
XLA = True
STEPS_PER_EXECUTION = True
CONVOLUTIONS = Convolutions(slow_in_groups=True)


def configure(threads: int, deterministic: bool, device: str, tf32: bool) -> None:
    """Set the thread pools; must come before the first operation of the process.

    The deterministic mode is the process's and has no public way back. TensorFlow takes the
    accelerator that the process sees.
    """
    if device != "cpu":
        _share(device)
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _share(device: str) -> None:
    """Have memory of the device taken as it is needed: others that are compared are on it, too."""
    found = tf.config.list_physical_devices("GPU")
    if not found:
        install = "pip install 'tensorflow[and-cuda]' for CUDA"
        raise unusable(device, f"TensorFlow {tf.__version__}", install)
    if not tf.config.experimental.get_memory_growth(found[0]):
        tf.config.experimental.set_memory_growth(found[0], True)


def held_dtype() -> str:
    """Bytes; on a GPU float16, which holds them exactly: TensorFlow gathers no bytes there, and
    would copy all images to the host in every step.

    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/gather_op.cc
    """
    return "float16" if tf.config.list_physical_devices("GPU") else "uint8"


def wait(model: keras.Model) -> None:
    """Wait for the devices."""
    tf.test.experimental.sync_devices()


def through_queue(model: keras.Model) -> None:
    """By an operation on the last weight."""
    _read(model.trainable_variables[-1].value)


def _read(variable: Any) -> None:
    """Read a sum by an operation of its own: a device has one stream of operations, and a transfer
    to the host waits for it."""
    tf.reduce_sum(variable).numpy()


def peak_memory() -> int | None:
    """Of TensorFlow's allocator."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def peak_reserved() -> None:
    """TensorFlow reports what its allocator gave out, not what it has taken."""


def device_clock() -> None:
    """TensorFlow has no public interface to time stamps of a device: its profiler writes a
    trace."""


def compilation(step: Any, *, jit: bool) -> dict[str, int | float] | None:
    """Traces of the ``tf.function`` of the step: one graph each, the later ones for other shapes or
    values. A graph has no breaks: what cannot be traced is an error."""
    traced = _traces(step)
    return {"graphs": traced, "recompilations": traced - 1} if traced else None


def _traces(step: Any) -> int:
    # What ``fit`` calls is a closure around a tf.function, and around a jitted one within that.
    cells = getattr(step, "__closure__", None) or ()
    counters = (
        getattr(function, "experimental_get_tracing_count", None)
        for function in (step, *(cell.cell_contents for cell in cells))
    )
    return max((int(counter()) for counter in counters if counter), default=0)


def use_precision(precision: str) -> None:
    """TensorFlow computes in the type of the variables."""


def fed(batches: Iterable[Any]) -> Any:
    """A ``tf.data.Dataset`` of the batches without autotuning.

    From a generator Keras makes one whose buffers TensorFlow tunes as it runs. The tuning thread
    sleeps for 10 ms, 20, 40 and so on, and does not always wake up when the dataset ends: ``fit``
    then returns after up to twice the time of its steps. In every track the batches are the
    harness's, not the framework's.
    """
    rest = iter(batches)
    first = next(rest)
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in first)
    made = tf.data.Dataset.from_generator(lambda: chain([first], rest), output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.prefetch(1).with_options(options)


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def export_random() -> Iterator[tuple[str, NDArray[Any]]]:
    """None that a step draws from: Keras's dropout is stateless there."""
    yield from ()


def load_random(states: Mapping[str, NDArray[Any]]) -> None:
    """There is none."""


class Step:
    """The training step as a graph (not XLA: on the CPU its convolutions are far slower), or
    operation by operation."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._update = update_for(network.recipe)
        self._weights = [v.value for v in network.training.trainable_variables]
        self._slots = [
            [tf.Variable(tf.zeros_like(w)) for _ in range(self._update.slots)]
            for w in self._weights
        ]
        self._dtype = self._weights[0].dtype
        self._count = tf.Variable(0.0, dtype=self._dtype)
        # None, not False: without XLA is the default.
        compiled = partial(tf.function, autograph=False, jit_compile=network.xla or None)
        graph = compiled if network.compiled else _unchanged
        self._step = graph(self._prepared_step)
        self._bare_step = graph(self._training_step)
        self._forward = graph(self._prepared_forward)
        self._bare_forward = graph(self._prepared_logits)
        self._gradients = graph(self._prepared_gradients)

    def _prepared_step(self, images: Any, labels: Any, masks: list[Any], rate: Any) -> Any:
        return self._training_step(self._network.prepared(images), labels, masks, rate)

    def _training_step(self, x: Any, labels: Any, masks: list[Any], rate: Any) -> Any:
        loss, _, gradients = self._differentiate(x, labels, masks)
        count = self._count.assign_add(1.0)
        rows = (self._weights, gradients, self._slots, self._network.rates)
        for weight, gradient, slots, part in zip(*rows, strict=True):
            self._apply(weight, gradient, slots, (count, rate if part == 1 else part * rate))
        return loss

    def _differentiate(self, x: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        with tf.GradientTape() as tape:
            logits = self._network.training([x, *masks], training=True)
            loss = cross_entropy(labels, logits, self._network.recipe.label_smoothing)
        return loss, logits, tape.gradient(loss, self._weights)

    def _prepared_gradients(self, images: Any, labels: Any, masks: list[Any]) -> Any:
        return self._differentiate(self._network.prepared(images), labels, masks)

    def _apply(
        self, weight: Any, gradient: Any, slots: list[Any], scalars: tuple[Any, Any]
    ) -> None:
        recipe = self._network.recipe
        if isinstance(self._update, Sgd):
            # This kernel is Sgd's arithmetic in one pass over memory instead of six.
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=slots[0].handle,
                lr=scalars[1],
                grad=gradient + recipe.weight_decay * weight if recipe.weight_decay else gradient,
                momentum=recipe.momentum,
                use_nesterov=recipe.nesterov and recipe.momentum > 0,
            )
            return
        new, moved = self._update(weight, gradient, slots, *scalars)
        for slot, value in zip(slots, moved, strict=True):
            slot.assign(value)
        weight.assign(new)

    def _prepared_forward(self, images: Any) -> Any:
        return self._prepared_logits(self._network.prepared(images))

    def _prepared_logits(self, x: Any) -> Any:
        return self._network.evaluation(x, training=False)

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step."""
        return self._step(*self.bring(images, labels, masks, rate))

    def bring(self, images: Any, labels: Any, masks: list[Any], rate: float) -> tuple[Any, ...]:
        """As tensors; what is one stays as it is. A transfer waits for what the device has queued,
        and its caller for the transfer."""
        return (
            _tensors(images),
            tf.convert_to_tensor(labels),
            [tf.convert_to_tensor(mask) for mask in masks],
            tf.convert_to_tensor(rate, self._dtype),
        )

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        *given, _ = self.bring(images, labels, masks, 0.0)
        found: tuple[Any, Any, list[Any]] = self._gradients(*given)
        return found

    def forward(self, images: Any) -> Any:
        """Evaluation-mode logits."""
        return self._forward(tf.constant(images))

    def sync(self) -> None:
        """Reading the step counter waits for the step that wrote it."""
        self._count.numpy()
        tf.test.experimental.sync_devices()

    def through_queue(self) -> None:
        """By an operation on the counter of steps."""
        _read(self._count)

    def store(self) -> None:
        """The Keras variables are the state."""

    def reload(self) -> None:
        """The Keras variables are the state."""

    def export_slots(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Slots of all weights in their order, then the number of steps."""
        return ((str(place), v.numpy()) for place, v in enumerate(self._state()))

    def load_slots(self, slots: Mapping[str, NDArray[Any]]) -> None:
        """Take them."""
        own = self._state()
        names = [str(place) for place in range(len(own))]
        check_names(slots, names)
        for name, variable in zip(names, own, strict=True):
            dtype = variable.dtype.as_numpy_dtype
            variable.assign(checked(slots, name, variable.shape, dtype))

    def _state(self) -> list[Any]:
        return [*chain.from_iterable(self._slots), self._count]

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """The same step on one prepared batch that stays on the device."""
        given, y, dropped, speed = self.bring(images, labels, masks, rate)
        x = self._network.prepared(given)

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._bare_step(x, y, dropped, speed)
            self.sync()

        return loop

    def bare_forward(self, images: Any) -> Callable[[int], None]:
        """The same forward pass on one prepared batch."""
        x = self._network.prepare(tf.constant(images))

        def loop(passes: int) -> None:
            for _ in range(passes):
                logits = self._bare_forward(x)
            logits.numpy()

        return loop

    def devices(self) -> int:
        """One: see `models_keras.data_parallel`."""
        return 1

    def settings(self) -> dict[str, Any]:
        """How a step runs."""
        eager = not self._network.compiled or tf.config.functions_run_eagerly()
        return {
            "execution": "eager" if eager else "tf.function",
            "jit_compile": _compiled_by_xla(self._step),
        }

    def compiled_step(self) -> Any:
        """The ``tf.function`` of the step."""
        return self._step


def _tensors(images: Any) -> Any:
    """Images, or held images and crops of them."""
    return (
        tuple(map(tf.convert_to_tensor, images))
        if isinstance(images, tuple)
        else tf.convert_to_tensor(images)
    )


class FewPassesSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD with momentum by TensorFlow's kernel for it: one operation a weight, not eight.

    The same arguments and the same update but for rounding; all else is Keras's own, weight decay
    too.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """v = m·v - lr·g, and w += v, or m·v - lr·g with Nesterov."""
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


SGD = FewPassesSGD


def in_backend(kernel: Any, activation: Any, axes: str) -> dict[str, Any]:
    """The backend's part of :class:`bench.training.settings.Settings`.

    A tensor of TensorFlow is dense in the order of its axes; it has no strides.
    """
    threading = tf.config.threading
    return {
        # 0 means that TensorFlow chooses, and it does not report its choice.
        "intra_op_threads": threading.get_intra_op_parallelism_threads() or None,
        "inter_op_threads": threading.get_inter_op_parallelism_threads() or None,
        **_device(kernel),
        "memory_layout": axes,
        "weight_layout": "HWIO",
        "blas": None,
        "onednn": _onednn(),
        "instruction_set": None,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "float32_matmul_precision": None,
        "deterministic": _deterministic(),
    }


def _device(kernel: Any) -> dict[str, Any]:
    spec = tf.DeviceSpec.from_string(kernel.device)
    physical = tf.config.list_physical_devices(spec.device_type)[spec.device_index]
    details = tf.config.experimental.get_device_details(physical)
    return {"device": spec.device_type.lower(), "device_name": details.get("device_name")}


def _onednn() -> bool | None:
    """The switch that TensorFlow's kernels read: private, but no guess.

    ``TF_ENABLE_ONEDNN_OPTS`` would only report the request, and is mostly unset.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port  # noqa: PLC0415

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return None


def _deterministic() -> bool | None:
    """There is a public function to switch it on, and only a private one to read it back."""
    try:
        from tensorflow.python.framework import config  # noqa: PLC0415

        return bool(config.is_op_determinism_enabled())
    except (ImportError, AttributeError):
        return None


_UNKNOWN = object()


def _compiled_by_xla(function: Any) -> bool | None:
    """Whether XLA compiles a ``tf.function``: its own setting, or the process's auto-clustering."""
    if tf.config.optimizer.get_jit():
        return True
    jit = getattr(function, "_jit_compile", _UNKNOWN)
    return None if jit is _UNKNOWN else bool(jit)


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """A ``tf.function``, not XLA: its convolutions are far slower on the CPU."""
    graph = tf.function(function, autograph=False)

    def run(times: int) -> None:
        for _ in range(times):
            graph(*operands)
        tf.test.experimental.sync_devices()

    return run


def own_lrn(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    """``tf.nn.local_response_normalization``, for odd sizes: it takes a radius.

    It does not divide alpha by the size.
    """
    if size % 2 == 0:
        return None
    return tf.nn.local_response_normalization(x, size // 2, k, alpha / size, beta)


def forward_and_backward(layer: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """A ``tf.function`` with a tape."""

    @tf.function
    def both(x: Any, gradient: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, gradient)

    def run(x: Any, gradient: Any) -> tuple[Any, Any]:
        y, dx = both(x, gradient)
        return y.numpy(), dx.numpy()  # on the CPU a view: it waits and copies nothing

    return run
