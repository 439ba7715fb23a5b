"""Settings of one idiomatic trainer, in a process that has done nothing else.

``python -m probes.fresh FRAMEWORK THREADS`` prints them as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from bench.training.frameworks import framework
from bench.worker.device.blocking import block
from tests.frameworks.support.networks import TINY, setup
from tests.frameworks.support.trainers import create


def main() -> None:
    row, threads = framework(sys.argv[1]), int(sys.argv[2])
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints stays off the pipe
    block(row.blocked)
    given = dataclasses.replace(setup(TINY, track="idiomatic"), threads=threads)
    pipe.write(json.dumps(create(row.name, given).settings()))
    pipe.close()


if __name__ == "__main__":
    main()
