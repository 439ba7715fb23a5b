"""Validation of the fields of a record when it is read, and of a worker's result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import UserError, unknown
from bench.core.kinds import KINDS, kind
from bench.core.schema import metrics
from bench.core.schema.shapes import (
    AMOUNT,
    COUNT,
    NUMBER,
    NUMBERS,
    OBJECT,
    TEXT,
    TIME,
    Shape,
    is_number,
    object_of,
    optional,
    table_of,
)

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

_PARITY_TEXTS = (
    *("status", "problem", "key", "variant", "framework", "head", "execution", "device", "method"),
    *("weights_sha256", "batches_sha256", "batch_norm", "devices_check"),
)

_VERSIONS = table_of(optional(TEXT))
_FIGURE = object_of({}, {"worst": NUMBER, "bound": NUMBER, "where": TEXT})
_PREPROCESSING = object_of({}, {"mean": NUMBERS, "std": NUMBERS, "pixel_range": NUMBER})
_LIST = Shape("a list", lambda value: type(value) is list)
_WEIGHTS = {"preprocessing": _PREPROCESSING, "layers": _LIST, "initialised": _LIST}
_GPU_FACTS = object_of({}, dict.fromkeys(("memory_bytes", "power_limit_watts"), AMOUNT))
_GPU = Shape(
    "an object or a text",
    lambda value: type(value) is str or _GPU_FACTS.holds(value),
    _GPU_FACTS.parts,
)
_LOAD = {
    **dict.fromkeys(("load", "others", "steal", "throttled"), AMOUNT),
    "swapped_bytes": AMOUNT,
}
_FIELDS: dict[str, Shape] = {
    "error": optional(TEXT),
    "unit": TEXT,
    "started_at": TIME,
    "images_per_sample": optional(COUNT),
    "peak_memory_bytes": optional(COUNT),
    "seconds": NUMBER,
    "case": OBJECT,
    "metrics": OBJECT,
    "summary": table_of(optional(NUMBER)),
    "dataset": object_of(
        {}, {"name": TEXT, "fingerprint": TEXT, "train_images": COUNT, "test_images": COUNT}
    ),
    "parity": object_of(
        {},
        {
            **dict.fromkeys(_PARITY_TEXTS, TEXT),
            **dict.fromkeys(("batch_size", "devices", "input_size", "steps"), COUNT),
            "devices_distance": AMOUNT,
            "versions": _VERSIONS,
            "figures": table_of(_FIGURE),
        },
    ),
    "settings": object_of(
        {},
        {
            "recipe": OBJECT,
            "weights": object_of({}, _WEIGHTS),
            "compilation": object_of(
                {}, dict.fromkeys(("graphs", "graph_breaks", "recompilations"), COUNT)
            ),
        },
    ),
    "environment": object_of(
        {},
        {
            **dict.fromkeys(("alexbench", "commit", "cpu", "os", "python", "governor"), TEXT),
            **dict.fromkeys(("cores", "memory_bytes", "memory_limit_bytes", "cpu_quota"), AMOUNT),
            "versions": _VERSIONS,
            "gpu": _GPU,
            "machine_state": object_of({}, {**_LOAD, "before": object_of({}, _LOAD)}),
        },
    ),
}
"""Those parts of a record that readers use; a worker may say more of settings and machine."""


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
        check_depth(name, value[name])
        if fault := _FIELDS[name].fault(name, value[name]):
            raise UserError(fault)
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


def check_texts(value: Any) -> None:
    """Raise UserError where a text is half a character, which no file can hold as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError("a text with half a character (a surrogate), which is no UTF-8") from None


def _known(what: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        raise unknown(what, name, known)


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
