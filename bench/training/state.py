"""The state of a training as a flat mapping of names to arrays: what both frameworks' sides check
before they take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError

State = Mapping[str, NDArray[Any]]
"""As ``Trainer.export_state`` gives it; ``/`` separates the parts of a name."""


def part(state: State, name: str) -> list[str]:
    """The names in a part of the state, in order, with the part's name before them."""
    return [key for key in state if key.startswith(f"{name}/")]


def check_names(found: Iterable[str], expected: Iterable[str]) -> None:
    """Raise UserError where names are missing or unknown."""
    there, wanted = set(found), set(expected)
    if there != wanted:
        missing, extra = sorted(wanted - there), sorted(there - wanted)
        raise UserError(f"state of another training: missing {missing}, unknown {extra}")


def checked(state: State, name: str, shape: Iterable[int], dtype: Any) -> NDArray[Any]:
    """The array of a name, in memory of its own.

    Raises:
        UserError: It has another shape or type.
    """
    array = np.array(state[name])
    if array.shape != tuple(shape) or array.dtype != np.dtype(dtype):
        raise UserError(
            f"state of another training: {name} is {array.dtype} {array.shape}, expected "
            f"{np.dtype(dtype)} {tuple(shape)}"
        )
    return array
