"""Loss scaling for float16: PyTorch's ``torch.amp.GradScaler``, as its documentation has it.

Gradients of float16 are too small for its exponent unless the loss is multiplied before it is
differentiated. A step whose gradients overflow is left out, and the scale is halved.

https://docs.pytorch.org/docs/stable/notes/amp_examples.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.training.state import State, check_names, checked, part
from models_torch.passes import Precision

_NUMBERS = {"scale": "scale", "steps": "_growth_tracker"}
"""What changes of a scaler's state, by the name here; the rest are its settings."""


def scaler_for(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """The scaler of a precision; None where none is needed."""
    return torch.amp.GradScaler(device.type) if precision.half is torch.float16 else None


def scaled(loss: Tensor, scaler: torch.amp.GradScaler | None) -> Tensor:
    """The loss to differentiate."""
    return loss if scaler is None else scaler.scale(loss)


def update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> None:
    """One step of the optimiser, unless gradients have overflowed.

    A fused optimiser divides by the scale in its kernel, and the host waits for nothing.
    """
    if scaler is None:
        optimizer.step()
        return
    scaler.step(optimizer)
    scaler.update()


def export_scale(
    scaler: torch.amp.GradScaler | None,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Scale, and steps since it was changed; nothing without a scaler."""
    if scaler is not None:
        state = scaler.state_dict()
        for name, key in _NUMBERS.items():
            yield f"scaler/{name}", np.array(state[key], np.float64)


def load_scale(scaler: torch.amp.GradScaler | None, state: State) -> None:
    """Take them; UserError where the state is that of another precision."""
    names = [f"scaler/{name}" for name in _NUMBERS] if scaler else []
    check_names(part(state, "scaler"), names)
    if scaler is None:
        return
    own = scaler.state_dict()
    for name, key in _NUMBERS.items():
        value = checked(state, f"scaler/{name}", (), np.dtype(np.float64)).item()
        own[key] = type(own[key])(value)
    scaler.load_state_dict(own)
