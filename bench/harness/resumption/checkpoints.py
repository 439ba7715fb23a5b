"""The files in a run's folder that its measurements continue from, and its final weights.

``checkpoints/<digest of the case>/`` has the last checkpoint of a training that has no record yet,
``checkpoints/group-<digest>.json`` the rounds of an interleaved group that has none; both are
removed when the record is written. ``weights/<case>.safetensors`` stays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.limits import Limits
from bench.core.records import Record, RecordStore
from bench.core.run_paths import WEIGHTS
from bench.core.system.processor import processor
from bench.core.system.resources import usable_cpus
from bench.core.text import many
from bench.data.dataset import Dataset
from bench.harness.certificates import versions_of
from bench.harness.devices import conditions_of
from bench.harness.matrix import Task
from bench.harness.resumption.rounds import Rounds, kept_rounds, tasks_of
from bench.harness.source_code import code_digest
from bench.training.frameworks import framework
from bench.training.recipes import recipe
from bench.worker import checkpoints
from bench.worker.checkpoints import TrainingFiles

FOLDER = "checkpoints"

_PACKAGES = ("core", "networks", "data", "training", "worker")
"""Packages of ``bench`` whose code a training depends on."""
_LONGEST = 200
"""Letters of a file's name; most file systems take 255 bytes."""


@dataclass(frozen=True)
class RunFiles:
    """The files of a run that its measurements go on from, and those that they leave.

    Attributes:
        run: The run's folder.
        dataset: What is trained on.
        limits: How it is measured.
        weights: Whether the final weights of trainings are saved.
    """

    run: Path
    dataset: Dataset
    limits: Limits
    weights: bool = False

    def training(self, case: Case) -> tuple[TrainingFiles, str | None]:
        """The files of a training, with its checkpoint where there is one to go on from.

        A checkpoint that is damaged or belongs to another training is removed.

        Returns:
            The files, and what the user should know of the checkpoint, in one line; None where
            there is none.
        """
        folder = self.run / FOLDER / _digest(case.id)
        files = TrainingFiles(
            folder,
            self._training_key(case),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            weights=self.run / WEIGHTS / weights_name(case) if self.weights else None,
        )
        path = checkpoints.found(folder)
        if path is None:
            return files, None
        step = int(path.name.split("-")[1])
        try:
            about = checkpoints.read(path).about
            if other := _differences(about["key"], files.key):
                raise UserError(f"made with another {', '.join(other)}")
        except UserError as error:
            shutil.rmtree(folder, ignore_errors=True)
            reason = str(error).removeprefix(f"{path}: ")
            return files, (
                f"{case.id}: checkpoint at step {step} not used: {reason}; training begins again"
            )
        earlier = {"started_at": about["started_at"], "seconds": about["seconds"], "resume": path}
        files = dataclasses.replace(files, **earlier)
        return files, f"{case.id}: training goes on from step {step}"

    def group(self, tasks: Sequence[Task]) -> Rounds:
        """The rounds of processes of the tasks that are interleaved."""
        keys = [task.key for task in tasks]
        name = hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16]
        rows = {task.case.framework: framework(task.case.framework) for task in tasks}
        key = {
            "tasks": keys,
            "dataset": self.dataset.fingerprint,
            "limits": dataclasses.asdict(self.limits),
            "code": [code_digest(row.trainer, (*_PACKAGES, "harness")) for row in rows.values()],
            "versions": {name: versions_of(row) for name, row in rows.items()},
            "machine": _machine(tasks[0].case.device, tasks[0].case.framework),
        }
        return Rounds(self.run / FOLDER / f"group-{name}.json", key)

    def _training_key(self, case: Case) -> dict[str, Any]:
        """Everything that losses, points of the curve and seconds of a training depend on."""
        row = framework(case.framework)
        return {
            "case": case.id,
            "recipe": recipe(case.recipe).to_json(),
            "dataset": self.dataset.fingerprint,
            "limits": [self.limits.evaluations, self.limits.keep_features],
            "code": code_digest(row.trainer, _PACKAGES),
            "versions": versions_of(row),
            "machine": _machine(case.device, case.framework),
        }


def prune(run: Path, cases: Iterable[str]) -> None:
    """Remove the checkpoints of cases, by their ids, that have a record."""
    for name in cases:
        shutil.rmtree(run / FOLDER / _digest(name), ignore_errors=True)
    try:
        (run / FOLDER).rmdir()
    except OSError:
        pass  # there are others, or none


def remove_rounds(store: RecordStore) -> None:
    """Remove rounds of a run whose records are all there: those of a group that was killed after
    its last record, or between two records and then went on under other conditions."""
    left = list((store.folder / FOLDER).glob("group-*"))
    done = {record.key for record in store} if left and store.path.exists() else set()
    for path in left:
        tasks = tasks_of(path)
        if tasks is None or tasks <= done:
            path.unlink(missing_ok=True)
    prune(store.folder, ())


def begun(run: Path) -> str:
    """What measurements without a record go on from, in a few words; empty where there is
    nothing."""
    folder = run / FOLDER
    rounds = sum(map(kept_rounds, folder.glob("group-*.json")))
    trainings = sum(checkpoints.found(path) is not None for path in folder.glob("*"))
    parts = [
        f"{many(rounds, 'round')} of processes" * bool(rounds),
        f"{many(trainings, 'checkpoint')} of a training" * bool(trainings),
    ]
    return " and ".join(filter(None, parts))


def weights_name(case: Case) -> str:
    """Name of the file of a case's final weights."""
    name = re.sub(r"[^\w.@-]+", "_", case.id)
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 17]}_{_digest(case.id)}"
    return f"{name}.safetensors"


def saved_weights(records: Iterable[Record], run: Path) -> list[str]:
    """A line for each training whose weights were to be saved: the file, or why there is none."""
    lines = []
    for record in records:
        saved = record.metrics.get("saved_weights") or {}
        if "file" in saved:
            accuracy = record.metrics["test_accuracy"]
            lines.append(f"{run / WEIGHTS / saved['file']} ({100 * accuracy:.2f} % test accuracy)")
        elif saved:
            lines.append(f"{record.case.id}: {saved.get('problem')}")
    return lines


def _digest(case_id: str) -> str:
    return hashlib.sha256(case_id.encode()).hexdigest()[:16]


def _machine(device: str, framework: str) -> list[Any]:
    """A record names one machine, one card and one environment: samples of two are never in one."""
    return [processor(), len(usable_cpus()), conditions_of(device, framework)]


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of the entries that differ, as JSON has them."""
    one, other = (json.loads(json.dumps(key)) for key in (found, wanted))
    return [name for name in other if one.get(name) != other[name]]
