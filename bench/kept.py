"""What one run keeps in the cache for the next."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def keep(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, whole or not at all; a cache that cannot be written only costs the
    next run its time."""
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
