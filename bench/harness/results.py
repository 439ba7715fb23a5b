"""Validation of a worker's results, interleaved or not, before they become a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.core.errors import UserError
from bench.core.kinds import LATENCY
from bench.core.schema import record_fields
from bench.core.system.machine import BlockState
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


def checked(result: Any, name: str | None = None) -> dict[str, Any]:
    """A worker's result, unchanged.

    Args:
        result: As the worker sent it.
        name: Name of the kind that was measured, whose samples are checked; None where blocks have
            had them.

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
        if name:
            record_fields.check_samples(name, result["samples"], result["images_per_sample"])
        json.dumps(result, allow_nan=False)
        record_fields.check_texts(result)
    except (UserError, ValueError) as error:
        raise WorkerError("failed", f"the worker's result is refused: {error}") from error
    return result


class TimedBlock(NamedTuple):
    """The samples of one block, and the machine's state meanwhile; None where it is not known."""

    samples: list[float]
    state: BlockState | None = None


def checked_block(block: Mapping[str, Any]) -> TimedBlock:
    """One block of a worker: the fields of `bench.worker.events.WAITING`.

    Raises:
        WorkerError: The samples are no flat list of numbers, or the state is none.
    """
    state = block["machine"]
    try:
        record_fields.check_fields({"samples": block["samples"]})
        record_fields.check_samples(LATENCY, block["samples"], None)  # seconds, as of every block
        return TimedBlock(block["samples"], None if state is None else BlockState.from_json(state))
    except (UserError, ValueError) as error:
        raise WorkerError("failed", f"the worker's block is refused: {error}") from error


def checked_states(result: Mapping[str, Any]) -> list[BlockState]:
    """The machine during each block of a measurement that was not interleaved.

    Raises:
        WorkerError: One of them is no state.
    """
    try:
        return [BlockState.from_json(state) for state in result.get("machine", ())]
    except ValueError as error:
        raise WorkerError("failed", f"the worker's result is refused: {error}") from error
