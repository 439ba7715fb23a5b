"""SGD on TensorFlow with its arithmetic in two operations a weight, where Keras takes nine."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FewPassesSGD(keras.optimizers.SGD):  # type: ignore[misc]
    """Keras's SGD with momentum: the same update but for rounding, in half the memory traffic."""

    def __init__(self, rate: Any, momentum: float, nesterov: bool, decay: float) -> None:
        super().__init__(rate, momentum, nesterov)
        self._decay = decay

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decay the weight, v = m·v - lr·g, and w += v, or m·v - lr·g with Nesterov."""
        rate = tf.cast(learning_rate, variable.dtype)
        if self._decay:
            variable.assign_sub(variable * (rate * self._decay))
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=rate,
            grad=tf.cast(gradient, variable.dtype),
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )
