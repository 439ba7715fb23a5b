"""Weights of other publishers in the names of the core."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bench.errors import UserError

TORCHVISION_NAMES = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "dense1",
    "classifier.4": "dense2",
    "classifier.6": "dense3",
}
"""torchvision/models/alexnet.py: module path -> row of the ``torchvision`` variant."""


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
