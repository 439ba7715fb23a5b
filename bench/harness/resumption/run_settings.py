"""The settings that a run was started with (``run.json``), and what differs when it is resumed.

A run that goes on under other conditions would be two runs in one table. Every difference is named
and refused; with ``--anyway`` it becomes a caveat of the records that follow. More trainings to an
accuracy, such as more seeds, are no difference: what they end at does not depend on when they ran.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import __version__
from bench.core.errors import UserError, cannot_write, reason_of
from bench.core.files import write_whole
from bench.core.kinds import kind
from bench.core.run_file import read_run_file
from bench.core.run_paths import RUN_FILE
from bench.core.system.environment import commit
from bench.core.system.processor import processor
from bench.core.text import flatten
from bench.harness.profiles import Profile
from bench.harness.selection import AUTO_BATCH
from bench.harness.source_code import digest_of
from bench.training.frameworks import framework

PLACES = ("address",)
"""Options that say where a cluster is: it may have moved when a run goes on."""
SELECTING = (
    *("variants", "frameworks", "tracks", "kinds", "inits", "heads", "recipes", "seeds"),
    *("precisions", "executions", "stages"),
)
"""Options whose values are all in the case ids and kinds of the run's tasks."""
_FORMAT = 1

MEASURING = (
    "core",
    "networks",
    "data",
    "training",
    "parity",
    "worker",
    "weights",
    "harness",
    "executors",
)
"""Packages of ``bench`` whose code decides what is measured and how; a report may change."""
MODULES = ("models_torch", "models_keras")


@dataclass(frozen=True)
class Begun:
    """What a command asks for.

    Attributes:
        command: As it was typed, for a reader.
        options: Name and value of every option that selects or changes measurements.
        frameworks: Names of those that are measured.
        tasks: (case id, kind) of all that is measured.
        chosen: Whether the tasks are fewer than the options select (``pytest -k``).
    """

    command: str
    options: Mapping[str, Any]
    frameworks: tuple[str, ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()
    chosen: bool = False


@dataclass(frozen=True)
class RunSettings:
    """The content of ``run.json``.

    Attributes:
        command: The command that has begun the run.
        options: Its options, as JSON.
        profile: The profile's values.
        data: ``name``, ``fingerprint`` and numbers of images.
        versions: Of Python, of this package, and of the packages of each framework.
        code: Digest over the source files that measure.
        commit: Of the checkout, where there is one.
        processor: Of the machine that measures; None where a cluster does, and in a file of an
            older version.
        tasks: See `Begun`; None in a file of an older version, unless they were chosen.
        chosen: See `Begun`.
        frameworks: See `Begun`; empty in a file of an older version.
        started_at: UTC, ISO 8601.
        resumed: When the run has gone on with differences, and with which, or with how many more
            trainings.
        plan: The time plan with what it has come to (`bench.harness.plan`); empty without one.
    """

    command: str
    options: dict[str, Any]
    profile: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]
    code: str
    commit: str | None
    tasks: list[list[str]] | None
    started_at: str
    resumed: list[dict[str, Any]] = field(default_factory=list)
    frameworks: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    chosen: bool = False
    processor: str | None = None
    format: int = _FORMAT

    @classmethod
    def now(cls, begun: Begun, profile: Profile, data: Mapping[str, Any]) -> RunSettings:
        """The settings of a run that begins or goes on now."""
        found = {
            "command": begun.command,
            "options": dict(begun.options),
            "profile": {**dataclasses.asdict(profile), "description": ""},
            "data": dict(data),
            "versions": _versions(begun.frameworks),
            "code": digest_of(MEASURING, MODULES)[:16],
            "commit": commit(),
            "processor": None if begun.options.get("executor") else processor(),
            "tasks": begun.tasks,
            "chosen": begun.chosen,
            "frameworks": begun.frameworks,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return cls(**json.loads(json.dumps(found, default=str)))

    @classmethod
    def read(cls, folder: Path) -> RunSettings | None:
        """The settings of the run in a folder; None where an older version has begun it.

        Raises:
            UserError: The file is damaged.
        """
        path = folder / RUN_FILE
        advice = "remove it to go on with options of your own"
        try:
            found = read_run_file(path)
        except UserError as error:
            raise UserError(f"{error}; {advice}") from error
        if found is None:
            return None
        found.setdefault("chosen", bool(found.get("tasks")))  # older versions listed no others
        names = {one.name for one in dataclasses.fields(cls)}
        try:
            return cls(**{name: found[name] for name in names & found.keys()})
        except TypeError as error:
            raise UserError(f"{path}: cannot be read ({reason_of(error)}); {advice}") from error

    def write(self, folder: Path) -> None:
        """Write ``run.json``. Raises UserError where it cannot be written."""
        text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        try:
            write_whole(folder / RUN_FILE, text)
        except OSError as error:
            raise cannot_write(folder, error, "give another folder with --results") from error

    def differences(self, now: RunSettings) -> list[str]:
        """The differences between the run as it was begun and now, a phrase each."""
        return list(self._differences(now))

    def _differences(self, now: RunSettings) -> Iterator[str]:
        passed = PLACES + (SELECTING if self.added(now) else ())
        old, new = (
            {k: of for k, of in o.items() if k not in passed} for o in (self.options, now.options)
        )
        yield from _changed(old, new, lambda name: f"--{name.replace('_', '-')}")
        if self.options.get("profile") == now.options.get("profile"):
            yield from _changed(self.profile, now.profile, lambda name: f"the profile's {name}")
        named = self.options.get("frameworks") != now.options.get("frameworks")
        follow = self.options == now.options or (self.added(now) and not named)
        if follow and self.frameworks and self.frameworks != now.frameworks:
            # Without --frameworks a run has those that are installed.
            yield f"frameworks {_text(self.frameworks)}, now {_text(now.frameworks)}"
        elif self.options == now.options and (lost := self._lost(now)):
            more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
            yield f"{lost[0]}{more} of the run, not selected now"
        if self.data.get("fingerprint") != now.data.get("fingerprint"):
            yield f"data {_label(self.data)}, now {_label(now.data)}"
        yield from _changed(self.versions, now.versions, str, both=True)
        if self.processor and now.processor and self.processor != now.processor:
            yield f"processor {self.processor}, now {now.processor}"
        if self.code != now.code:
            edited = "" if self.commit != now.commit else " with other edits"
            yield f"code of commit {self.commit}, now of {now.commit}{edited}"

    def added(self, now: RunSettings) -> int:
        """How many trainings to an accuracy there are now besides all that the run was begun with.

        0 where a task is missing now, where one that is timed was added (rounds of processes that
        are done cannot be interleaved with it), or where tasks were chosen one by one.
        """
        if self.chosen or now.chosen or not self.tasks or not now.tasks:
            return 0
        before, after = ({(case, of) for case, of in tasks} for tasks in (self.tasks, now.tasks))
        more = after - before
        return len(more) if before <= after and all(kind(of).trained for _, of in more) else 0

    def _lost(self, now: RunSettings) -> list[str]:
        """Measurements of the run, by case and kind, that the same options do not select any more,
        as those from weights whose file has changed."""
        if self.chosen or now.chosen or AUTO_BATCH in (self.options.get("batch_sizes") or ()):
            return []
        there = {(case, of) for case, of in now.tasks or ()}
        return [f"{of} of {case}" for case, of in self.tasks or () if (case, of) not in there]

    def with_trainings(self, now: RunSettings) -> RunSettings:
        """These settings, with the trainings that were added; what they differ in besides stays as
        the run was begun."""
        selected = {name: now.options[name] for name in SELECTING if name in now.options}
        entry = {"at": now.started_at, "command": now.command, "added": self.added(now)}
        return dataclasses.replace(
            self,
            options=self.options | selected,
            tasks=now.tasks,
            frameworks=now.frameworks,
            versions=now.versions | self.versions,
            resumed=[*self.resumed, entry],
        )

    def with_resumption(self, now: RunSettings, differences: Iterable[str]) -> RunSettings:
        """These settings, with what the run goes on with from now."""
        entry = {"at": now.started_at, "command": now.command, "differences": list(differences)}
        return dataclasses.replace(self, resumed=[*self.resumed, entry])


def _changed(
    before: Mapping[str, Any], now: Mapping[str, Any], label: Any, *, both: bool = False
) -> Iterator[str]:
    """A phrase per value that differs; with ``both`` only names that are in both."""
    old, new = flatten(before), flatten(now)
    for name in dict.fromkeys([*old, *new]):
        if both and not (name in old and name in new):
            continue
        # An option that did not exist when the run was begun counts as not given.
        if (old.get(name) or None) != (new.get(name) or None):
            yield f"{label(name)} {_text(old.get(name))}, now {_text(new.get(name))}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _label(data: Mapping[str, Any]) -> str:
    return f"{data.get('name')} ({str(data.get('fingerprint'))[:12]})"


def _versions(names: Iterable[str]) -> dict[str, str]:
    own = {"python": platform.python_version(), "alexbench": __version__, "numpy": version("numpy")}
    return own | {key: of for name in names for key, of in framework(name).versions().items()}
