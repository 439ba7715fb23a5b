"""What a run was begun with (``run.json``), and records that are not of it or that are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.audit.durations import Found
from bench.analysis.caveats import answers
from bench.core.records import Record
from bench.core.run_file import read_run_file
from bench.core.run_paths import RUN_FILE

_DATA = ("name", "fingerprint", "train_images", "test_images")


def begun_of(folder: Path) -> Mapping[str, Any] | None:
    """What the run in a folder was begun with; None where an older version has begun it.

    Raises:
        UserError: The file is damaged.
    """
    return read_run_file(folder / RUN_FILE)


def matrix(records: Sequence[Record], begun: Mapping[str, Any]) -> Found:
    """Tasks of the run without a record; none of a run that an older version has begun.

    A case that was not measured has a record that says why; one of a run that was stopped has none.
    """
    if any(answers(record, "matrix") for record in records):
        return
    there = {record.key for record in records}
    for task in begun.get("tasks") or ():
        if tuple(task) not in there:
            words = "it was to be measured, and there is no record that has it or says why not"
            yield " ".join(task), words


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
