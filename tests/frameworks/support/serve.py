"""``python -m probes.serve FRAMEWORK``: answer questions about one framework until stdin ends.

A question is a line of JSON, {"concern": module of this package, "out": path}; the answer is a
.npz at that path and a line with the facts. One process answers many: importing a framework takes
longer than most answers.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import TextIO

import numpy as np

from bench.core.system.process import die_with_parent
from bench.training.frameworks import framework
from bench.worker.device.blocking import block
from tests.frameworks.support.networks import TINY, setup
from tests.frameworks.support.trainers import create


def main() -> None:
    die_with_parent(os.getppid())
    pipe = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints stays off the pipe
    row = framework(sys.argv[1])
    block(row.blocked)
    # TensorFlow's threads can be set before the first operation of a process only, and a trainer
    # sets them.
    create(row.name, setup(TINY))
    for line in sys.stdin:
        answer(pipe, row.name, **json.loads(line))


def answer(pipe: TextIO, name: str, concern: str, out: str) -> None:
    try:
        facts, arrays = importlib.import_module(f"tests.frameworks.probes.{concern}").run(name)
        np.savez(out, **arrays)
        reply = {"facts": facts}
    except BaseException:
        reply = {"error": traceback.format_exc()}
    pipe.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
