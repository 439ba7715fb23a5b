"""The shortest way from an empty process to one training step: ``python -m … VARIANT SIZE BATCH``.

Prints ``done`` after the step and ends. The worker's own start-up is compared with it. The backend
is that of ``KERAS_BACKEND``.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

from bench.networks.variants import variant
from models_keras.alexnet import STOCK, build


def main() -> None:
    """Import, build, compile, one step in float32 on synthetic images."""
    name, size, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    network = build(variant(name).architecture(10, input_size=size), STOCK)
    network.compile(
        keras.optimizers.SGD(0.01, 0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images = np.zeros((batch, size, size, 3), np.float32)
    network.train_on_batch(images, np.zeros(batch, np.int64))
    print("done", flush=True)


if __name__ == "__main__":
    main()
