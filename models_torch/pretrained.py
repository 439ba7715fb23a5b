"""Weights of other publishers in the names of the core."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bench.core.errors import UserError
from bench.networks.weight_names import TORCHVISION_NAMES


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state of ``torchvision.models.alexnet()``; the layouts are the same.

    Raises UserError that names the tensors that are missing or do not belong there.
    """
    expected = {
        f"{theirs}.{part}": f"{ours}.{part}"
        for theirs, ours in TORCHVISION_NAMES.items()
        for part in ("weight", "bias")
    }
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or extra:
        raise UserError(
            f"not a torchvision AlexNet state: missing {sorted(missing)}, extra {sorted(extra)}"
        )
    return {ours: state[theirs] for theirs, ours in expected.items()}
