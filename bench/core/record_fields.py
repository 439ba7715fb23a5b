"""Validation of the fields of a record when it is read, and of a worker's result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.core import metrics
from bench.core.errors import UserError
from bench.core.kinds import KINDS, kind

STATUSES = ("ok", "failed", "timeout", "oom", "skipped")
CAVEATS_ON = ("seconds", "speed", "accuracy", "all")
ANSWERABLE = (
    "load",
    "disturbance",
    "incomplete",
    "synchronisation",
    "certificate",
    "environment",
    "interval",
    "peak",
    "seeds",
    "comparability",
    "synthetic",
    "matrix",
)
"""Checks of an audit (`bench.analysis.audit`) that a caveat may answer by naming them: what is
missing, unlike or uncertain. What makes a figure untrue no words answer."""
LONGEST_SECONDS = 1e9
"""Of one sample: thirty years. With more, sums and ratios would not be finite."""
DEPTH = 24
"""Of nested lists and objects, at the most: readers walk them by recursion."""


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number that a float can hold."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and abs(value) <= sys.float_info.max


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**63)


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "error": (lambda value: value is None or isinstance(value, str), "a text or null"),
    "unit": (lambda value: isinstance(value, str), "a text"),
    "started_at": (lambda value: isinstance(value, str), "a text"),
    "images_per_sample": (_is_count, "a whole number or null"),
    "peak_memory_bytes": (_is_count, "a whole number or null"),
    "seconds": (is_number, "a number"),
} | dict.fromkeys(
    ("case", "summary", "metrics", "dataset", "parity", "settings", "environment"),
    (lambda value: isinstance(value, dict), "an object"),
)


def check(value: Mapping[str, Any]) -> None:
    """Validate all fields of a record but those of its case.

    Raises:
        UserError: A field has another type, or a value that it cannot have.
    """
    _known("kind", value["kind"], KINDS)
    _known("status", value["status"], STATUSES)
    check_fields({name: value[name] for name in ("samples", *_FIELDS)})
    if value["status"] == "ok" and not value["samples"]:
        raise UserError("status ok without samples")
    check_samples(value["kind"], value["samples"], value["images_per_sample"])
    _check_caveats(value["caveats"])


def check_fields(value: Mapping[str, Any]) -> None:
    """Validate those fields that are given.

    Raises:
        UserError: A field has another type, or a value that it cannot have.
    """
    samples = value.get("samples", [])
    if not isinstance(samples, list) or not all(map(is_number, samples)):
        raise UserError("samples must be a flat list of numbers")
    for name in _FIELDS.keys() & value.keys():
        holds, words = _FIELDS[name]
        if not holds(value[name]):
            raise UserError(f"{name} must be {words}, got {str(value[name])[:60]!r}")
        check_depth(name, value[name])
    metrics.check(value.get("metrics", {}))


def check_samples(name: str, samples: Sequence[float], images: int | None) -> None:
    """Validate the samples of a kind of measurement: summaries and ratios are made of them.

    Args:
        name: Name of the kind.
        samples: Numbers.
        images: Images of one sample, where that is known.

    Raises:
        UserError: Seconds are negative or longer than `LONGEST_SECONDS`, a fraction is not between
            0 and 1, or the images of a rate are missing.
    """
    row = kind(name)
    most, what = (LONGEST_SECONDS, "seconds") if row.unit == "s" else (1.0, "a fraction")
    for sample in samples:
        if not 0 <= sample <= most:
            raise UserError(f"samples of {name} are {what} from 0 to {most:g}, got {sample:g}")
    if row.throughput and samples and not images:
        raise UserError(f"{name} without images_per_sample")


def check_depth(name: str, value: Any) -> None:
    """Raise UserError where a JSON value is nested deeper than a reader can walk."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH - 1):
        if not level:
            return
        level = [
            inner
            for part in level
            for inner in (part.values() if isinstance(part, dict) else part)
            if isinstance(inner, (dict, list))
        ]
    if any(level):
        raise UserError(f"{name} is nested deeper than {DEPTH} levels")


def _known(what: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        raise UserError(f"unknown {what} {str(name)[:60]!r}; known: {', '.join(known)}")


def _check_caveats(value: Any) -> None:
    if not isinstance(value, list):
        raise UserError("caveats must be a list")
    for caveat in value:
        if not isinstance(caveat, dict) or caveat.keys() - {"answers"} != {"on", "why"}:
            raise UserError("a caveat has `on` and `why`, and may have `answers`")
        _known("caveat on", caveat["on"], CAVEATS_ON)
        if not isinstance(caveat["why"], str) or not caveat["why"].strip():
            raise UserError("a caveat says why")
        answers = caveat.get("answers", [])
        if not isinstance(answers, list) or not all(isinstance(name, str) for name in answers):
            raise UserError("`answers` of a caveat is a list of names of checks")
