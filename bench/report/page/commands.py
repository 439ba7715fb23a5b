"""The command that measures a record's case again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.run_file import read_run_file
from bench.core.run_paths import RUN_FILE
from bench.data.sources import NAMES
from bench.training.tracks import track

Begun = Mapping[str, Any]
"""The options that a run was begun with, by their name in ``run.json``."""

_OF_WEIGHTS = ("key", "channel_order", "partial")
"""How pretrained weights are read."""
_SIGNIFICANT = ("profile", "data", "resize", "validation", "threads", "keep_env", *_OF_WEIGHTS)
"""Options that change what is measured, and that no record repeats."""
_WEIGHTS = "weights"
_DATA = "data"
_DEVICES = "devices"
"""Where it is given, one device of the CPU is a share of its cores."""


def begun(folder: Path) -> Begun:
    """The options of the run in a folder; empty where they are not known."""
    try:
        found = (read_run_file(folder / RUN_FILE) or {}).get("options", {})
    except UserError:
        return {}
    known = {name: found[name] for name in (*_SIGNIFICANT, _DEVICES) if found.get(name)}
    # Their folders are of the machine that measured.
    if found.get(_WEIGHTS):
        known[_WEIGHTS] = Path(found[_WEIGHTS]).name
    if found.get(_DATA):
        known[_DATA] = _without_folder(str(found[_DATA]))
    return known


def _without_folder(data: str) -> str:
    """The last name of a path to images, never one that stands for other data."""
    if data in NAMES:
        return data
    name = Path(data).name
    return f"./{name}" if not name or name in NAMES else name


def command_of(record: Record, options: Begun | None = None) -> str:
    """A command line that measures the case of a record again, and nothing else of its kind.

    A training with a seed above 0 is measured with the seeds before it: runs count them from 0.

    Args:
        record: Of a measurement, with a result or without.
        options: What its run was begun with (`begun`).
    """
    case, row, conditions = record.case, kind(record.kind), track(record.case.track)
    options = options or {}
    pretrained = case.init == "pretrained"
    recipe, _, budget = case.recipe.partition("@")
    words = {
        "--variants": case.variant,
        "--frameworks": case.framework,
        "--tracks": case.track,
        "--kinds": record.kind,
        "--inits": case.init,
        "--weights": _weights(case, options) if pretrained else "",
        "--heads": case.head,
        "--recipes": recipe if row.trained else "",
        "--budget": budget if row.trained else "",
        "--precisions": "" if conditions.shared_precision else case.precision,
        "--executions": case.execution,
        "--batch-sizes": "" if row.batch_size is not None else str(case.batch_size),
        "--input-sizes": str(case.input_size),
        "--stages": case.defaults,
        "--seeds": str(case.seed + 1) if row.trained else "",
        "--devices": str(case.devices) if case.devices > 1 or _DEVICES in options else "",
        "--device": case.device,
    }
    parts = ["alexbench", "run", *_options(options, pretrained=pretrained)]
    parts += [part for name, value in words.items() if value for part in (name, value)]
    return shlex.join(parts)


def _weights(case: Case, options: Begun) -> str:
    """The name of a source, or of the file that the command named: labels have no suffix."""
    label = (case.weights or "").partition("@")[0]
    given = str(options.get(_WEIGHTS) or "")
    return given if label and given.startswith(label) else label


def _options(options: Begun, *, pretrained: bool) -> list[str]:
    """What the run was begun with, as on the command line."""
    parts = []
    for name in _SIGNIFICANT:
        if name in _OF_WEIGHTS and not pretrained:
            continue
        value, flag = options.get(name), f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(flag)
        elif isinstance(value, list):
            parts += [part for one in value for part in (flag, str(one))]
        elif value:
            parts += [flag, str(value)]
    return parts
