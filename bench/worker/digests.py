"""Digests of a training: equal for two runs of a case that agree to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.networks.weights import weights_digest
from bench.training.interfaces import Trainer


def training_digests(trainer: Trainer, losses: Sequence[float]) -> dict[str, str]:
    """sha256 of the losses of a training, in order, and of its final weights.

    A float32 loss is exact in float64, so a change of one bit in any loss changes the digest.
    """
    return {
        "losses_sha256": hashlib.sha256(np.array(losses, "<f8").tobytes()).hexdigest(),
        "trained_weights_sha256": weights_digest(trainer.export_weights()),
    }
