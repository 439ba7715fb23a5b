"""The options of a run: those of the command line, or those that the run was begun with."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bench.core.errors import UserError
from bench.harness.devices import on_device, on_other_machines
from bench.harness.matrix import Job, jobs
from bench.harness.pretraining import provide
from bench.harness.profiles import Profile
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.harness.run import folder_to_resume
from bench.harness.selection import EXECUTOR_NAMES, Selection
from bench.worker.device.probing import DeviceChoice

NOT_SELECTING = (
    *("profile", "data", "validation", "no_parity", "device", "exclusive"),
    *("save_weights", "threads", "keep_env", "resize", "executor", "address"),
)
"""Options that are kept, and are no part of the selection."""


@dataclass(frozen=True)
class Choice:
    """What a call of ``alexbench run`` asks for.

    Attributes:
        results: Folder of all runs.
        name: Of the run's folder; None for a new one by the time.
        options: Those that select or change measurements: given on this command line, else those
            that the run was begun with, else the defaults.
        tasks: (case id, kind) of the run's measurements, where its options do not say them.
    """

    results: Path
    name: str | None
    options: dict[str, Any]
    tasks: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(
        cls,
        context: click.Context,
        options: dict[str, Any],
        results: Path,
        resume: str | None,
        name: str | None,
    ) -> Choice:
        """The choice of a command line.

        Args:
            context: Of the command: which options are given, and which have their defaults.
            options: Those that select or change measurements.
            results: Folder of all runs.
            resume: The run to go on with; empty for that of ``name`` or the newest; None for a new
                run.
            name: Of the run's folder.

        Raises:
            UserError: There is no run to resume, or its ``run.json`` is damaged.
        """
        if resume is None:
            return cls(results, name, options)
        if resume and name and resume != name:
            raise UserError(f"--resume {resume} and --run {name} name two runs; give one of them")
        folder = folder_to_resume(results, resume or name)
        if folder.name in ("", ".."):  # a run is opened by its name
            folder = folder.resolve()
        before = RunSettings.read(folder)
        tasks = None
        if before:
            kept = {key: _from_json(of) for key, of in before.options.items() if key in options}
            options |= {key: of for key, of in kept.items() if not _given(context, key)}
            if before.chosen:
                tasks = tuple((case, kind) for case, kind in before.tasks or ())
        return cls(folder.parent, folder.name, options, tasks or None)

    def jobs(self, profile: Profile, *, elsewhere: bool = False) -> tuple[list[Job], DeviceChoice]:
        """All jobs of the run, those done already among them, and the device they are for.

        Args:
            profile: What is measured unless the options say otherwise.
            elsewhere: Whether other machines measure it: what is installed here does not matter.
        """
        options = {key: of for key, of in self.options.items() if key not in NOT_SELECTING}
        chosen_device = on_other_machines if elsewhere else on_device
        selection, device = chosen_device(Selection(**options), profile, self.options["device"])
        if self.tasks is None:
            provide(selection, profile)
        found = jobs(selection, profile)
        if self.tasks is None:
            return found, device
        wanted = set(self.tasks)
        chosen = (
            replace(job, tasks=tuple(task for task in job.tasks if task.key in wanted))
            for job in found
        )
        return [job for job in chosen if job.tasks], device

    def begun(self, found: Sequence[Job], device: str) -> Begun:
        """What ``run.json`` says of it; ``device`` is what ``--device`` has come to: a run that
        ``auto`` has begun on an accelerator goes on there or not at all."""
        command = shlex.join(["alexbench", *sys.argv[1:]])
        frameworks = tuple(dict.fromkeys(job.case.framework for job in found))
        options = {**self.options, "device": device}
        if options.get("executor") == EXECUTOR_NAMES[0]:  # as in runs of before there were others
            options = {k: of for k, of in options.items() if k not in ("executor", "address")}
        tasks = tuple(task.key for job in found for task in job.tasks)
        return Begun(command, options, frameworks, tasks, chosen=self.tasks is not None)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _from_json(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
