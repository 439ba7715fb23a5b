"""What Bencher 0.6.12 (commit 8d75325) takes of a file, read from its sources: fields and types.

Its adapters ignore fields that they do not name. A file that lacks one, or has it with another
type, is refused as a whole.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

_NAME_BYTES, _MEASURE_BYTES = 1024, 64
_IGNORED = ("_bencher_ignore", "BencherIgnore", "-bencher-ignore")
"""Ends of names whose results raise no alert."""


class Spread(NamedTuple):
    """A value in seconds and how far its bounds are from it."""

    value: float
    reach: float


def read_pytest(text: str) -> dict[str, tuple[Spread, Spread]]:
    """What the adapter ``python_pytest`` reads: by name the mean with the standard deviation, and
    the median with the interquartile range, which ``--average median`` takes.

    Raises:
        TypeError: A field is missing or of another type.
        ValueError: A name or a number is none that it takes.
    """
    found = json.loads(text)
    for name in ("machine_info", "commit_info"):
        _typed(found, name, dict)
    results = {}
    for row in _typed(found, "benchmarks", list):
        stats = _typed(row, "stats", dict)
        mean, deviation, median, range_ = (
            _number(stats, name) for name in ("mean", "stddev", "median", "iqr")
        )
        name = _named(_typed(row, "fullname", str))
        results[name] = Spread(mean, deviation), Spread(median, range_)
    return results


def read_json(text: bytes) -> dict[str, dict[str, dict[str, float]]]:
    """What the adapter ``json`` reads: measures by name, each a value and perhaps its bounds.

    Raises:
        TypeError: As `read_pytest`.
        ValueError: As `read_pytest`.
    """
    found = json.loads(text)
    for name, measures in found.items():
        _named(name)
        for measure, metric in measures.items():
            if not measure.strip() or len(measure.encode()) > _MEASURE_BYTES:
                raise ValueError(f"no name of a measure: {measure!r}")
            _number(metric, "value")
            for end in ("lower_value", "upper_value"):
                if metric.get(end) is not None:
                    _number(metric, end)
    return dict(found)


def _typed(found: Any, name: str, wanted: type) -> Any:
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, wanted):
        raise TypeError(f"{name} must be a {wanted.__name__}, got {value!r}")
    return value


def _number(found: Any, name: str) -> float:
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}")
    return float(value)


def _named(name: str) -> str:
    if not 0 < len(name.encode()) <= _NAME_BYTES or name.endswith(_IGNORED):
        raise ValueError(f"no name of a benchmark: {name!r}")
    return name
