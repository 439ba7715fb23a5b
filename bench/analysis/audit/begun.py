"""What a run was begun with (``run.json``), and records that are not of it or that are missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.audit.durations import Found
from bench.analysis.caveats import answers
from bench.core.errors import UserError
from bench.core.kinds import KINDS, kind
from bench.core.records import Record
from bench.training.frameworks import REFERENCE
from bench.training.recipes import RECIPES
from bench.training.tracks import TRACKS

RUN_FILE = "run.json"
_DATA = ("name", "fingerprint", "train_images", "test_images")

Cell = tuple[str, str, str, str]
"""Network, track, kind and framework."""


def begun_of(folder: Path) -> Mapping[str, Any] | None:
    """What the run in a folder was begun with; None where an older version has begun it.

    Raises:
        UserError: The file is damaged.
    """
    path = folder / RUN_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: not the settings of a run")
    return found


def matrix(records: Sequence[Record], begun: Mapping[str, Any]) -> Found:
    """Cases of the run's matrix without a record.

    A case that was not measured has a record that says why; one of a run that was stopped has none.
    """
    if any(answers(record, "matrix") for record in records):
        return
    if begun.get("tasks"):
        there = {record.key for record in records}
        missing = [" ".join(task) for task in begun["tasks"] if tuple(task) not in there]
    else:
        # Older versions did not write which frameworks were there.
        names = begun.get("frameworks") or list(dict.fromkeys(r.case.framework for r in records))
        cells = {(r.case.variant, r.case.track, r.kind, r.case.framework) for r in records}
        missing = [" ".join(cell) for cell in _matrix(begun, names) if cell not in cells]
    for name in missing:
        yield name, "it was to be measured, and there is no record that has it or says why not"


def data(records: Sequence[Record], begun: Mapping[str, Any]) -> Found:
    """Records of other data than the run was begun with."""
    of = begun.get("data") or {}
    for name in _DATA:
        values = {str(r.dataset[name]) for r in records if name in r.dataset}
        if name in of and (others := sorted(values - {str(of[name])})):
            yield (
                "",
                f"the run was begun with {name} {of[name]}, records have {', '.join(others)}",
            )


def versions(records: Sequence[Record], begun: Mapping[str, Any]) -> Found:
    """Records of other versions, or of another commit, than the run was begun with."""
    of = {**(begun.get("versions") or {}), "commit": begun.get("commit")}
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if answers(record, "environment"):
            continue
        facts = {**record.environment, **(record.environment.get("versions") or {})}
        for name, version in of.items():
            if None not in (version, facts.get(name)) and str(facts[name]) != str(version):
                found.setdefault(name, {})[str(facts[name])] = None
    for name, others in found.items():
        yield "", f"the run was begun with {name} {of[name]}, records have {', '.join(others)}"


def _matrix(begun: Mapping[str, Any], names: Sequence[str]) -> Iterator[Cell]:
    """What options and profile select, as `bench.harness.matrix` does; without seeds and what else
    tells the cases of a network apart (precision, batch size, weights)."""
    options, profile = begun.get("options") or {}, begun.get("profile") or {}
    one = names[:1] if REFERENCE not in names else (REFERENCE,)
    for name in _kinds(options):
        for variant in _variants(name, options, profile):
            for track in _tracks(name, variant, options, profile):
                alone = variant in (profile.get("in_one_framework") or ())
                for framework in one if alone and not options.get("variants") else names:
                    yield variant, track, name, framework


def _kinds(options: Mapping[str, Any]) -> Iterator[str]:
    devices = options.get("devices") or (1,)
    for name in options.get("kinds") or KINDS:
        row = KINDS.get(name)
        # A recipe is named for a training; several devices only train.
        trains = row is not None and (row.trained or bool(options.get("kinds")))
        if row is None or (options.get("recipes") and not trains):
            continue
        if 1 in devices or row.parallel:
            yield name


def _variants(name: str, options: Mapping[str, Any], profile: Mapping[str, Any]) -> Iterable[str]:
    """Networks of a kind; none where recipes or weights decide it."""
    chosen = [*(options.get("recipes") or ()), profile.get("recipe")]
    rows = [
        RECIPES[of.partition("@")[0]] for of in chosen if of and of.partition("@")[0] in RECIPES
    ]
    fixed = any(row.variant or row.starts_pretrained or row.init for row in rows)
    if kind(name).trained and (fixed or options.get("weights") or options.get("inits")):
        return ()
    return options.get("variants") or (profile.get("variants") or {}).get(name) or ()


def _tracks(
    name: str, variant: str, options: Mapping[str, Any], profile: Mapping[str, Any]
) -> Iterator[str]:
    tracks = options.get("tracks") or (profile.get("tracks") or {}).get(name) or ()
    own = None if options.get("variants") else (profile.get("tracks_of") or {}).get(variant)
    for found in tracks:
        stages = found in TRACKS and TRACKS[found].stages
        if (own is None or found in own) and not (stages and kind(name).timed):
            yield found
