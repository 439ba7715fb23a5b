"""An extension whose workers are killed once they have written a checkpoint."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from bench.worker import checkpoints

_write = checkpoints.write


def write(*given: Any) -> Path:
    """As `bench.worker.checkpoints.write`, and then the end."""
    _write(*given)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not reached")


checkpoints.write = write
