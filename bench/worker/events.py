"""The events that a worker sends, and the check that each passes before the parent uses it.

An event is one line with a JSON object: ``event`` names it, the other keys are its fields. A
worker runs frameworks, extensions and what they load, so a line may be anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

Event = dict[str, Any]
Check = Callable[[Any], bool]
Fields = Mapping[str, Check]

_DIGITS = 40
"""Of a whole number."""
LONGEST_LINE = 1 << 26
"""Bytes. The longest result of a real run has about one MiB."""


def text(value: Any) -> bool:
    """Whether a field is a string."""
    return isinstance(value, str)


def number(value: Any) -> bool:
    """Whether a field is a number; `parse` accepts finite ones only."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def count(value: Any) -> bool:
    """Whether a field is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def numbers(value: Any) -> bool:
    """Whether a field is a list of numbers."""
    return isinstance(value, list) and all(map(number, value))


def mapping(value: Any) -> bool:
    """Whether a field is a JSON object."""
    return isinstance(value, dict)


def mappings(value: Any) -> bool:
    """Whether a field is a list of JSON objects."""
    return isinstance(value, list) and all(map(mapping, value))


def optional(check: Check) -> Check:
    """A check that also passes null."""
    return lambda value: value is None or check(value)


def status(value: Any) -> bool:
    """Whether a field is the status of a command that gave no result."""
    return value in ("failed", "oom", "skipped")


PROGRESS: Fields = {"done": number, "note": text}
ERROR: Fields = {"status": status, "error": text}
WAITING: Fields = {"samples": numbers, "machine": optional(mapping)}
MEASUREMENT: Fields = {
    "samples": numbers,
    "images_per_sample": optional(count),
    "unit": text,
    "metrics": mapping,
    "machine": mappings,
    "settings": mapping,
    "peak_memory_bytes": optional(count),
    "device_memory_bytes": optional(count),
}


def parse(line: bytes, reply: str, fields: Fields) -> Event:
    """The event in a line: progress, an error, or the reply that a command expects.

    Args:
        line: As the worker wrote it, without the newline.
        reply: Name of the expected reply.
        fields: Its fields; each has to be there and pass its check.

    Raises:
        ValueError: It is not JSON, not an object, another event, or a field is missing or of
            another type; the message says which, in one line.
    """
    event = _json(line)
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError("a line that is not an event")
    expected = {"progress": PROGRESS, "error": ERROR, reply: fields}
    name = event["event"]
    if name not in expected:
        raise ValueError(f"the event {name[:40]!r} in the place of {reply!r}")
    for field, check in expected[name].items():
        if field not in event:
            raise ValueError(f"the event {name!r} without {field!r}")
        if not check(event[field]):
            raise ValueError(f"the event {name!r} with a wrong {field!r}")
    return event


def _json(line: bytes) -> Any:
    try:
        return json.loads(
            line, parse_constant=_refuse, parse_float=_finite, parse_int=_not_too_long
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError("a line that is not JSON") from error


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(digits)
    return value


def _not_too_long(digits: str) -> int:
    if len(digits) > _DIGITS:  # no float holds it, and nothing that is counted has so many
        raise ValueError(digits[:_DIGITS])
    return int(digits)


def _refuse(constant: str) -> float:
    raise ValueError(constant)
