"""An operation of Keras's torch backend, run again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench.training.interfaces import Run


def compiled(function: Callable[..., Any], operands: Sequence[Any]) -> Run:
    """Eager calls, which on the CPU return when the result is there."""

    def run(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                function(*operands)

    return run
