"""What two runs of one case have in common when they are equal to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.networks.weights import weights_digest
from bench.training.interfaces import Trainer


def training_digests(trainer: Trainer, losses: Sequence[float]) -> dict[str, str]:
    """sha256 of the losses of a training, in order, and of the weights that it ended with.

    A float32 loss is exact in float64, so one bit more or less in any loss is another digest.
    """
    return {
        "losses_sha256": hashlib.sha256(np.array(losses, "<f8").tobytes()).hexdigest(),
        "trained_weights_sha256": weights_digest(trainer.export_weights()),
    }
