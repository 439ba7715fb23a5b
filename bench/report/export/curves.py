"""Curves of trainings for TensorBoard and MLflow, written by libraries of their own.

A training is a run there: accuracy and loss of the test set by step, losses of its first steps
where they were recorded, and case, recipe, data, versions and certificate as its parameters.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.caveats import with_valid_seconds
from bench.analysis.certified import status_of
from bench.core.errors import UserError, cannot_write
from bench.core.files import write_whole
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.text import flatten, without_folders

_SCALARS = {"test_accuracy": "test/accuracy", "train_loss": "train/loss"}
"""Entries of a curve, with their names there."""
_STEP_LOSS = "train/step_loss"
_BATCH = 1000
"""Metrics of one call to MLflow's server at most."""


class Scalar(NamedTuple):
    """A point of a curve."""

    name: str
    step: int
    value: float
    seconds: float
    """Since the epoch; of the measurement's begin where it is not known better."""


def trainings(records: Iterable[Record]) -> list[Record]:
    """The records that have a curve."""
    valid, _ = with_valid_seconds([r for r in records if r.ok and kind(r.kind).trained])
    return [record for record in valid if record.metrics.get("curve")]


def scalars(record: Record) -> Iterator[Scalar]:
    """The points of a training, curve by curve; losses that were not finite are left out."""
    began = datetime.fromisoformat(record.started_at).timestamp() if record.started_at else 0.0
    for key, name in _SCALARS.items():
        for entry in record.metrics["curve"]:
            if entry.get(key) is not None and entry.get("step") is not None:
                seconds = began + (entry.get("seconds") or 0.0)
                yield Scalar(name, entry["step"], entry[key], seconds)
    for step, loss in enumerate(record.metrics.get("step_losses") or (), start=1):
        if loss is not None:
            yield Scalar(_STEP_LOSS, step, loss, began)


def parameters(record: Record) -> dict[str, str]:
    """What a training was: its case, recipe and data."""
    case = {k: v for k, v in record.case.to_json().items() if v not in (None, "")}
    recipe = flatten({"recipe": record.settings.get("recipe") or {}})
    facts = {
        "dataset": record.dataset.get("name"),
        "dataset_fingerprint": record.dataset.get("fingerprint"),
        "parity": status_of(record),
        "commit": record.environment.get("commit"),
        **{f"version.{k}": v for k, v in (record.environment.get("versions") or {}).items()},
    }
    every = {**case, **recipe, **facts}
    return {name: without_folders(str(value)) for name, value in every.items() if value is not None}


def to_tensorboard(records: Iterable[Record], target: str) -> int:
    """Write event files below a folder, one folder per training; the number of trainings.

    Raises:
        UserError: tensorboardX is missing, or the folder cannot be written.
    """
    _need("tensorboardX", "tensorboard")
    from tensorboardX import SummaryWriter  # noqa: PLC0415  # an optional package
    from tensorboardX.record_writer import register_writer_factory  # noqa: PLC0415

    kept = _InMemory()
    # Its thread writes the files: what goes wrong there nobody can catch.
    register_writer_factory(_InMemory.PREFIX, kept)
    found = trainings(records)
    for record in found:
        below = f"{record.run}/{record.case.id.replace('/', '_')}"
        with SummaryWriter(logdir=f"{_InMemory.PREFIX}:{below}") as writer:
            for name, step, value, seconds in scalars(record):
                writer.add_scalar(name, value, step, walltime=seconds)
            rows = "\n".join(f"| {name} | {value} |" for name, value in parameters(record).items())
            writer.add_text("case", f"| | |\n|---|---|\n{rows}")
    try:
        for name, content in kept.files.items():
            path = Path(target) / name.removeprefix(f"{_InMemory.PREFIX}:")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, bytes(content))
    except OSError as error:
        raise cannot_write(Path(target), error, "give another folder with -o") from error
    return len(found)


class _InMemory:
    """A place of tensorboardX's for files, like its own for S3."""

    PREFIX = "alexbench-memory"

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}

    def directory_check(self, path: str) -> None:
        """No folder is needed."""

    def open(self, path: str) -> _Kept:
        """A file that nothing is in."""
        return _Kept(self.files.setdefault(path, bytearray()))


class _Kept:
    def __init__(self, content: bytearray) -> None:
        self._content = content

    def write(self, part: bytes) -> None:
        self._content += part

    def flush(self) -> None:
        """All is there."""

    def close(self) -> None:
        """All is there."""


def to_mlflow(records: Iterable[Record], target: str) -> int:
    """Write MLflow runs, one per training, into the experiment ``alexbench``; their number.

    Args:
        records: Of one or more runs.
        target: A folder, the address of a tracking server, or ``sqlite:///<file>``.

    Raises:
        UserError: mlflow is missing, or does not take the target.
    """
    _need("mlflow", "mlflow")
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # an optional package

    try:
        return _into_mlflow(records, target)
    except MlflowException as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{target}: MLflow does not take it ({reason})") from error


def _into_mlflow(records: Iterable[Record], target: str) -> int:
    from mlflow import MlflowClient  # noqa: PLC0415
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415

    if "://" not in target:  # since version 3 a folder has to be asked for
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        target = Path(target).resolve().as_uri()
    client = MlflowClient(target)
    found = trainings(records)
    there = client.get_experiment_by_name("alexbench")
    experiment = there.experiment_id if there else client.create_experiment("alexbench")
    for record in found:
        points = list(scalars(record))
        if not points:  # a record of another program: a curve without steps
            continue
        began = int(1000 * min(point.seconds for point in points))
        run = client.create_run(experiment, start_time=began, run_name=record.case.id)
        metrics = [Metric(p.name, p.value, int(1000 * p.seconds), p.step) for p in points]
        params = [Param(name, value[:500]) for name, value in parameters(record).items()]
        tags = [RunTag("alexbench.run", record.run), *_caveats(record, RunTag)]
        client.log_batch(run.info.run_id, params=params[:100], tags=tags)
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run.info.run_id, metrics=metrics[start : start + _BATCH])
        ended = int(1000 * max(point.seconds for point in points))
        client.set_terminated(run.info.run_id, end_time=ended)
    return len(found)


def _caveats(record: Record, tag: Any) -> list[Any]:
    words = "; ".join(f"{caveat['on']}: {caveat['why']}" for caveat in record.caveats)
    return [tag("alexbench.caveats", words)] if words else []


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise UserError(f"{module} is not installed: pip install 'alexbench[{extra}]'")


WRITERS = {"tensorboard": to_tensorboard, "mlflow": to_mlflow}
"""Writers by name: records and target to the number of trainings."""
