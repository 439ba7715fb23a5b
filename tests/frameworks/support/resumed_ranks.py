"""A training of PyTorch on two CPUs, and the same gone on with from its state.

``python -m tests.frameworks.support.resumed_ranks`` prints, as JSON, the losses after the state of
both, whether a rank draws other masks than at its beginning, and whether both end alike.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from models_torch.data_parallel import DataParallelTrainer
from tests.frameworks.support.networks import IDIOMATIC, TINY, seeded_weights, setup, step_input

STEPS = 3


def main() -> None:
    given = setup(TINY, steps=2 * STEPS, devices=2, batch_size=8, track=IDIOMATIC)
    losses: list[list[float]] = []

    def train(trainer: Any) -> Any:
        trainer.train([step_input(TINY, 8, {}, 0.01)] * STEPS, STEPS, lambda: None)
        trainer.sync()
        losses.append(trainer.losses())
        return trainer.export_weights()

    trainer = DataParallelTrainer(given)
    trainer.load_weights(seeded_weights(TINY))
    before = dict(trainer.export_state())
    train(trainer)
    state = {name: np.array(value) for name, value in trainer.export_state()}
    expected = train(trainer)
    trainer.close()

    resumed = DataParallelTrainer(given)
    resumed.load_state(state)
    found = train(resumed)
    resumed.close()
    same = (np.array_equal(found[name], weight) for name, weight in expected.items())
    moved = not np.array_equal(before["ranks/1/cpu"], state["ranks/1/cpu"])
    facts = {"losses": losses[1:], "masks differ": moved, "weights equal": all(same)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
