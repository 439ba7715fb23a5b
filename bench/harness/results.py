"""Validation of what a worker reports, before any of it becomes a record."""

from __future__ import annotations

import json
from typing import Any

from bench.core import record_fields
from bench.core.errors import UserError
from bench.worker.client import WorkerError

_FIELDS = (
    "samples",
    "unit",
    "images_per_sample",
    "metrics",
    "settings",
    "peak_memory_bytes",
)
"""Of every result; a record takes them as they are."""


def checked(result: Any) -> dict[str, Any]:
    """A worker's result, unchanged.

    Raises:
        WorkerError: A field is missing, or no record could hold it.
    """
    try:
        if not isinstance(result, dict):
            raise UserError(f"an object is expected, got {type(result).__name__}")
        missing = [name for name in _FIELDS if name not in result]
        if missing:
            raise UserError(f"without {', '.join(missing)}")
        record_fields.check_fields({name: result[name] for name in _FIELDS})
        json.dumps(result, allow_nan=False)
    except (UserError, ValueError) as error:
        raise WorkerError("failed", f"the worker's result is refused: {error}") from error
    return result


def checked_samples(samples: Any) -> list[float]:
    """The samples of one block, unchanged.

    Raises:
        WorkerError: They are no flat list of numbers.
    """
    try:
        record_fields.check_fields({"samples": samples})
    except UserError as error:
        raise WorkerError("failed", f"the worker's block is refused: {error}") from error
    found: list[float] = samples
    return found
