"""What one run keeps in the cache for the next."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs


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


def cache_folder() -> Path:
    """$ALEXBENCH_CACHE, else the user's cache folder; it may not exist yet."""
    named = os.environ.get("ALEXBENCH_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("alexbench")


def writable(folder: Path) -> Path:
    """`folder`, made where it is missing, or the temporary folder where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return temporary_folder()


@functools.cache
def temporary_folder() -> Path:
    """A folder that is gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="alexbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
