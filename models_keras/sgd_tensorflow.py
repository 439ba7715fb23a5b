"""SGD on TensorFlow by the kernel with Keras's arithmetic: one operation a weight, not eight."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FewPassesSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD with momentum and its arguments: the same update but for rounding.

    What else an optimiser does, weight decay too, is Keras's own.
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
