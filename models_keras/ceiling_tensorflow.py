"""An operation as a graph of TensorFlow, run again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from bench.training.interfaces import Run


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """A ``tf.function``, not XLA: its convolutions are far slower on the CPU."""
    graph = tf.function(function, autograph=False)

    def run(times: int) -> None:
        for _ in range(times):
            graph(*operands)
        tf.test.experimental.sync_devices()

    return run
