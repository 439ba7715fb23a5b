"""The shortest way from an empty process to one training step: ``python -m … VARIANT SIZE BATCH``.

Prints ``done`` after the step and ends. The worker's own start-up is compared with it.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

from bench.networks.variants import variant
from models_torch.alexnet import STOCK, build


def main() -> None:
    """Import, build, one step in float32 on synthetic images."""
    name, size, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    network = build(variant(name).architecture(10, input_size=size), STOCK)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(batch, 3, size, size), torch.zeros(batch, dtype=torch.long)
    nn.CrossEntropyLoss()(network(images), labels).backward()
    optimizer.step()
    print("done", flush=True)


if __name__ == "__main__":
    main()
