"""An operation compiled by XLA, run again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from bench.training.interfaces import Run


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """``jax.jit``; each result is waited for, or several would be worked on at a time."""
    jitted = jax.jit(function)

    def run(times: int) -> None:
        for _ in range(times):
            jax.block_until_ready(jitted(*operands))

    return run
