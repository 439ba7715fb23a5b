"""Settings of one trainer, in a process that has done nothing else.

``python -m tests.frameworks.support.fresh FRAMEWORK THREADS [TRACK [EXECUTION]]`` prints them as
JSON. With an execution it is trained, and ``losses`` are there, too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from bench.training.frameworks import framework
from bench.worker.device.blocking import block
from tests.frameworks.probes.ablation import undropped
from tests.frameworks.support.networks import TINY, seeded_weights, setup, step_input
from tests.frameworks.support.trainers import create, create_loaded

STEPS = 3


def main() -> None:
    row, threads = framework(sys.argv[1]), int(sys.argv[2])
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints stays off the pipe
    block(row.blocked)
    track, execution = [*sys.argv[3:], *("idiomatic", "")[len(sys.argv) - 3 :]]
    rows = undropped(TINY) if execution else TINY
    given = dataclasses.replace(setup(rows, steps=STEPS, track=track), threads=threads)
    case = dataclasses.replace(given.case, framework=row.name, execution=execution)
    given = dataclasses.replace(given, case=case)
    if not execution:
        pipe.write(json.dumps(create(row.name, given).settings()))
        pipe.close()
        return
    trainer, losses = create_loaded(row.name, given, seeded_weights(rows)), []
    for _ in range(STEPS):
        trainer.train(iter([step_input(rows, 8, {}, 0.02)]), 1, lambda: None)
        trainer.sync()
        losses += trainer.losses()
    pipe.write(json.dumps({**trainer.settings(), "losses": losses}))
    pipe.close()


if __name__ == "__main__":
    main()
