"""A training of PyTorch on two CPUs whose rank 1 is lost.

``python -m tests.frameworks.support.lost_rank killed|memory|start`` prints, as JSON, what a record
would have of it, and the seconds of the end. Rank 1 is killed in its first step, or has no memory
there, or none to start with.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import models_torch.data_parallel as parallel
from bench.networks.init import DropoutMasks
from bench.training.interfaces import Setup
from bench.worker.failures import failure
from models_torch.trainer import TorchTrainer
from tests.frameworks.probes.training.held import CLOSED
from tests.frameworks.support.networks import TINY, seeded_weights, setup, step_input

HOW = sys.argv[1]


class Lost(TorchTrainer):
    """It is lost at its start or in its first step."""

    def __init__(self, given: Setup) -> None:
        if HOW == "start":
            raise MemoryError
        super().__init__(given)

    def train(self, *arguments: Any) -> None:
        if HOW == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if HOW == "memory":
            raise MemoryError
        super().train(*arguments)


if __name__ != "__main__":  # a rank imports this module under another name
    parallel.TorchTrainer = Lost  # type: ignore[misc]


def main() -> None:
    given = setup(TINY, steps=8, devices=2, batch_size=8, track=CLOSED)
    began = time.perf_counter()
    try:
        trainer = parallel.DataParallelTrainer(given)
        masks = DropoutMasks(TINY, 0).at(0, 8)
        began = time.perf_counter()
        trainer.load_weights(seeded_weights(TINY))
        trainer.train([step_input(TINY, 8, masks, 0.01)] * 8, 8, lambda: None)
        trainer.sync()
    except Exception as error:
        found = failure(error, given.case)
        print(json.dumps({**found, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
