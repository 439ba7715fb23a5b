"""Records as a pandas DataFrame: one row per record, one column per fact. The public ``load``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.analysis.certified import status_of
from bench.analysis.runs import read
from bench.analysis.values import UNITS, own_estimate
from bench.core.case import Case
from bench.core.records import Record
from bench.core.run_paths import Folder
from bench.core.samples import by_process
from bench.stats.estimates import Estimate

CASE_COLUMNS = tuple(field.name for field in dataclasses.fields(Case))
COLUMNS = {
    "run": "name of the run's folder",
    "case": "id of the case, unique within a run for each kind",
    **dict.fromkeys(CASE_COLUMNS, "a field of `bench.Case`"),
    "kind": "what was measured: `startup`, `train_throughput`, `inference`, `latency`, `accuracy`",
    "status": "`ok`, `failed`, `timeout`, `oom` or `skipped`",
    "error": "why there is no result",
    "value": "the result in `unit`: images/s, median latency, mean start-up or accuracy",
    "unit": "of `value`, `low` and `high`: `images/s`, `s` or `fraction`",
    "low": "lower end of the 95 % interval of `value`, where one record has an interval",
    "high": "upper end of that interval",
    "images_per_second": "`value` where it is a throughput",
    "p50": "median latency of one image (s)",
    "p90": "90th percentile of the latency (s)",
    "p99": "99th percentile of the latency (s)",
    "accuracy": "top-1 accuracy on the test set (fraction)",
    "train_seconds": "time spent training, evaluations excluded (s)",
    "diverged": "whether the training loss became infinite or not a number",
    "first_step_seconds": "time of the first step, compilation included (s)",
    "samples": "number of raw samples; `bench.records` has the samples themselves",
    "processes": "number of processes that took them",
    "disturbed": "share of the blocks during which others used the CPUs",
    "dataset": "name of the data set, with the size of a subset",
    "dataset_fingerprint": "digest of its images and labels",
    "train_images": "number of training images",
    "test_images": "number of test images",
    "parity": "status of the certificate: `pass`, `fail`, `unchecked` or `not applicable`",
    "versions": "of the framework's packages, as `torch 2.15.0, torchvision 0.29.2`",
    "alexbench": "version of alexbench",
    "commit": "of alexbench's checkout, with `+` after it where files were changed",
    "python": "version of Python",
    "cpu": "processor and its instruction sets",
    "cores": "number of cores that could be used",
    "started_at": "when the measurement began (UTC)",
    "wall_seconds": "wall time of the measurement, build and warm-up included (s)",
    "peak_memory_bytes": "peak resident memory of the worker",
    "caveats": "what a reader must know of the record, as `seconds: another program ran`",
    "schema_version": "version of the record's format",
}
"""Columns of `load`, in order, with what they hold; docs/api.md has the same list."""


def load(*runs: Folder) -> pd.DataFrame:
    """The records of one or more runs as a DataFrame.

    Args:
        *runs: Folders of runs, each with a ``records.jsonl``; or such files.

    Returns:
        One row per record, failed ones included, in the order of ``runs`` and of measuring. The
        columns are those of `COLUMNS`, always all of them; what a kind does not measure is missing
        (NaN, None or NaT).

    Raises:
        UserError: A folder has no ``records.jsonl``, or a line of it is not a record.

    Example:
        >>> frame = bench.load("results/main")
        >>> frame[frame.kind == "inference"].groupby("framework").value.median()
    """
    return frame_of(record for run in read(runs) for record in run.records)


def frame_of(records: Iterable[Record]) -> pd.DataFrame:
    """The same of records that are read already."""
    rows = [_row(record) for record in records]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["started_at"] = pd.to_datetime(frame["started_at"], utc=True, format="ISO8601")
    return frame


def _row(record: Record) -> dict[str, Any]:
    """The cells of a record; those that are left out are missing."""
    metrics, dataset, machine = record.metrics, record.dataset, record.environment
    return {
        "run": record.run,
        "case": record.case.id,
        **{name: getattr(record.case, name) for name in CASE_COLUMNS},
        "kind": record.kind,
        "status": record.status,
        "error": record.error,
        **_result(record),
        "train_seconds": metrics.get("train_seconds"),
        "diverged": metrics.get("diverged"),
        "first_step_seconds": metrics.get("first_step_seconds"),
        "samples": len(record.samples),
        "processes": len(by_process(record)) if record.samples else 0,
        "disturbed": metrics.get("disturbed"),
        "dataset": dataset.get("name"),
        "dataset_fingerprint": dataset.get("fingerprint"),
        "train_images": dataset.get("train_images"),
        "test_images": dataset.get("test_images"),
        "parity": status_of(record),
        "versions": ", ".join(f"{k} {v}" for k, v in (machine.get("versions") or {}).items()),
        **{name: machine.get(name) for name in ("alexbench", "commit", "python", "cpu", "cores")},
        "started_at": record.started_at or None,
        "wall_seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "caveats": "; ".join(f"{c['on']}: {c['why']}" for c in record.caveats) or None,
        "schema_version": record.schema_version,
    }


def _result(record: Record) -> dict[str, Any]:
    """The value of a record with unit and interval, and again under the name of its quantity."""
    summary = record.summary
    named = {name: summary.get(name) for name in ("images_per_second", "p50", "p90", "p99")}
    named["accuracy"] = summary.get("fraction")
    key = next((name for name in UNITS if name in summary), None)
    if key is None:
        return named
    own = own_estimate(record)
    found = own._asdict() if own else dict.fromkeys(Estimate._fields)
    return {**found, "unit": UNITS[key], **named}
