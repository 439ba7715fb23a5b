"""One compiled training step of the closed track on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import tensorflow as tf

from models_keras.closed import Network
from models_keras.settings_tensorflow import compiled
from models_keras.update import Sgd, cross_entropy, update_for


def configure(threads: int, deterministic: bool) -> None:
    """Set the thread pools; must come before the first operation of the process.

    The deterministic mode is the process's and has no public way back.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def use_precision(precision: str) -> None:
    """TensorFlow computes in the type of the variables."""


def fed(batches: Iterable[Any]) -> Any:
    """What ``fit`` is to be given for batches of (images, labels): a dataset that is not tuned.

    Of a generator Keras makes one whose buffers TensorFlow tunes as it runs. The thread that does
    so sleeps for 10 ms, 20, 40 and so on, and does not always wake up when the dataset is done
    with: ``fit`` then returns after up to twice the time of its steps.
    """
    kept = iter(batches)
    first = next(kept)
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in first)
    made = tf.data.Dataset.from_generator(lambda: chain([first], kept), output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.prefetch(1).with_options(options)


class Step:
    """The training step as a graph (not XLA: on the CPU its convolutions are far slower)."""

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
        self._step = tf.function(self._prepared_step, autograph=False)
        self._bare_step = tf.function(self._training_step, autograph=False)
        self._forward = tf.function(self._prepared_forward, autograph=False)
        self._bare_forward = tf.function(self._prepared_logits, autograph=False)
        self._gradients = tf.function(self._prepared_gradients, autograph=False)

    def _prepared_step(self, images: Any, labels: Any, masks: list[Any], rate: Any) -> Any:
        return self._training_step(self._network.prepare(images), labels, masks, rate)

    def _training_step(self, x: Any, labels: Any, masks: list[Any], rate: Any) -> Any:
        loss, _, gradients = self._differentiate(x, labels, masks)
        count = self._count.assign_add(1.0)
        rows = (self._weights, gradients, self._slots, self._network.rates)
        for weight, gradient, slots, own in zip(*rows, strict=True):
            self._apply(weight, gradient, slots, (count, rate if own == 1 else own * rate))
        return loss

    def _differentiate(self, x: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        with tf.GradientTape() as tape:
            logits = self._network.training([x, *masks], training=True)
            loss = cross_entropy(labels, logits, self._network.recipe.label_smoothing)
        return loss, logits, tape.gradient(loss, self._weights)

    def _prepared_gradients(self, images: Any, labels: Any, masks: list[Any]) -> Any:
        return self._differentiate(self._network.prepare(images), labels, masks)

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
        new, kept = self._update(weight, gradient, slots, *scalars)
        for slot, value in zip(slots, kept, strict=True):
            slot.assign(value)
        weight.assign(new)

    def _prepared_forward(self, images: Any) -> Any:
        return self._prepared_logits(self._network.prepare(images))

    def _prepared_logits(self, x: Any) -> Any:
        return self._network.evaluation(x, training=False)

    def train(self, images: Any, labels: Any, masks: list[Any], rate: float) -> Any:
        """Queue one step."""
        return self._step(
            tf.constant(images),
            tf.constant(labels),
            [tf.constant(m) for m in masks],
            tf.constant(rate, self._dtype),
        )

    def gradients(self, images: Any, labels: Any, masks: list[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, logits and gradients."""
        kept = [tf.constant(m) for m in masks]
        found: tuple[Any, Any, list[Any]] = self._gradients(
            tf.constant(images), tf.constant(labels), kept
        )
        return found

    def forward(self, images: Any) -> Any:
        """Evaluation-mode logits."""
        return self._forward(tf.constant(images))

    def sync(self) -> None:
        """Reading the step counter waits for the step that wrote it."""
        self._count.numpy()
        tf.test.experimental.sync_devices()

    def store(self) -> None:
        """The Keras variables are the state."""

    def reload(self) -> None:
        """The Keras variables are the state."""

    def bare(
        self, images: Any, labels: Any, masks: list[Any], rate: float
    ) -> Callable[[int], None]:
        """The same step on one prepared batch that stays where it is."""
        x, y = self._network.prepare(tf.constant(images)), tf.constant(labels)
        kept, speed = [tf.constant(m) for m in masks], tf.constant(rate, self._dtype)

        def loop(steps: int) -> None:
            for _ in range(steps):
                self._bare_step(x, y, kept, speed)
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

    def settings(self) -> dict[str, Any]:
        """How a step runs."""
        eager = tf.config.functions_run_eagerly()
        return {
            "execution": "eager" if eager else "tf.function",
            "jit_compile": compiled(self._step),
        }
