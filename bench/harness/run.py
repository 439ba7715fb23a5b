"""A run: its folder, its data, its certificates, and every record as it comes."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, Self

from bench.core import signals
from bench.core.cache import cache_folder
from bench.core.case import Case
from bench.core.errors import OutputError, UserError, cannot_write
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.records import FILE, Record, RecordStore
from bench.core.run_paths import RUN_FILE
from bench.core.system.resources import check_measuring
from bench.core.text import printable, without_folders
from bench.data.contact_sheet import write_contact_sheet
from bench.data.dataset import Dataset
from bench.data.sources import open_dataset, prepared
from bench.harness.ceilings import RunCeilings
from bench.harness.certificates import Certificate, Subject, uncached
from bench.harness.executor import Executor, LocalExecutor
from bench.harness.interleaving.grouping import groups
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.harness.measure import NOTHING, Keys, measure, without
from bench.harness.measurer import Measurer
from bench.harness.plan import CERTIFICATES, PEAKS, Missing, TimePlan
from bench.harness.profiles import Profile
from bench.harness.resumption import checkpoints
from bench.harness.resumption.checkpoints import RunFiles
from bench.harness.resumption.run_folder import RunFolder
from bench.harness.resumption.run_settings import Begun, RunSettings
from bench.training.frameworks import why_one

_ALL_USABLE: Mapping[str, str] = MappingProxyType({})


@dataclass
class Run(Measurer):
    """One folder under ``results``: its data, its records, its report.

    A context manager: at its end other processes may measure into the folder.
    """

    folder: Path
    profile: Profile
    data: str = "auto"
    validation: bool = False
    """Whether a part of the training set stands in for the test set, which is then not touched."""
    certificates: dict[Subject, Certificate] = field(default_factory=dict)
    """Filled by ``certify``; a closed case without one is recorded as unchecked."""
    frameworks: tuple[str, ...] = ()
    """Whose ceilings are asked for; empty means the profile's. Those of a job are always."""
    ceilings: RunCeilings = field(default_factory=RunCeilings)
    save_weights: bool = False
    """Whether the final weights of trainings are saved."""
    resize: int | None = None
    """Side in pixels that images in class folders are brought to."""
    before: dict[str, Any] = field(default_factory=dict)
    """The machine before the run (`bench.harness.observer.Observer.state`)."""
    caveats: tuple[dict[str, Any], ...] = ()
    """Of every record to come: what is not as it was when the run was begun."""
    held: RunFolder | None = None
    """The folder, once it is this process's own."""
    plan: TimePlan | None = None
    """Of a profile with a limit for the run, once `make_plan` has made it."""
    began: float = field(default_factory=perf_counter)
    """When the run began: its time plan counts from here."""

    def __post_init__(self) -> None:
        self.store = RecordStore(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the folder to other processes."""
        if self.held:
            self.held.release()

    def hold(self, folder: RunFolder) -> None:
        """Take a folder that is locked for this process."""
        self.held, self.folder = folder, folder.path
        self.store = RecordStore(self.folder)

    @cached_property
    def dataset(self) -> Dataset:  # type: ignore[override]  # read when it is first needed
        """The images, cut to the numbers of this profile."""
        whole = open_dataset(self.data, resize=self.resize)
        if self.validation:
            whole = whole.validation()
        train = self.profile.train_images or len(whole.train.labels)
        test = self.profile.test_images or len(whole.test.labels)
        return whole.subset(train, test)

    @cached_property
    def data_folder(self) -> Path:  # type: ignore[override]
        """Folder that workers map the images from."""
        return prepared(self.dataset, cache_folder())

    def prepare(self) -> None:
        """Write the contact sheet; UserError before anything is measured."""
        try:
            write_contact_sheet(self.dataset, self.folder / "contact_sheet.png")
        except OSError as error:
            advice = "give a folder that can be written to with --results"
            raise cannot_write(self.folder, error, advice) from error

    def make_plan(
        self, found: Sequence[Sequence[Job]], certified: Iterable[Case], listener: Listener
    ) -> None:
        """Plan the time of a run that begins now; nothing where its profile has no limit for it.

        Args:
            found: The groups, in the order of measuring.
            certified: The cases whose certificates are made.
            listener: Is shown the plan.
        """
        throughput = {
            (job.case.framework, job.case.device)
            for group in found
            for job in group
            if any(kind(task.kind).throughput for task in job.tasks)
        }
        missing = Missing(
            uncached(self.without_certificate(certified)),
            sum(not self.ceilings.known(name, device) for name, device in throughput),
        )
        self.plan = TimePlan.of(self.profile, found, self.began, missing)
        if self.plan:
            self.plan.changed = self._keep_plan
            self._keep_plan()
            listener.planned(self.plan)

    def _keep_plan(self) -> None:
        """Write the plan into ``run.json``, with what it has come to; no run fails for that."""
        with suppress(UserError):
            settings = RunSettings.read(self.folder)
            if settings and self.plan:
                dataclasses.replace(settings, plan=self.plan.to_json()).write(self.folder)

    def keep_tasks(self, found: Iterable[Job]) -> None:
        """Write the tasks into ``run.json``, once their batch sizes are known."""
        settings = RunSettings.read(self.folder)
        if settings:
            tasks = [list(task.key) for job in found for task in job.tasks]
            dataclasses.replace(settings, tasks=tasks).write(self.folder)

    def stage(self, of: str | Sequence[Job]) -> AbstractContextManager[None]:
        """A stage of the time plan by its name or group, where there is one."""
        return self.plan.stage(of) if self.plan else nullcontext()

    def certify(self, cases: Iterable[Case], listener: Listener) -> None:
        """Get the certificates of the closed cases, before anything is measured."""
        cases = list(cases)
        if self.without_certificate(cases):
            with self.stage(CERTIFICATES):
                super().certify(cases, listener)

    def execute(
        self, group: Sequence[Job], listener: Listener, done: Keys = NOTHING
    ) -> Iterator[Record]:
        """Measure jobs together; yield each record when it is on the disk.

        Args:
            group: The jobs, those of their tasks among them that are done.
            listener: Called with all that happens.
            done: What has a record already.
        """
        rest = without(group, done)
        if any(kind(task.kind).throughput for job in rest for task in job.tasks):
            with self.stage(PEAKS):
                for job in rest:
                    self.prepare_ceilings(job, listener)
        # What a stopped run has left depends on the profile's limits, not on the time it had.
        files = RunFiles(self.folder, self.dataset, self.profile.limits, self.save_weights)
        found = measure(group, self.data_folder, self._limits_of(group), listener, files, done)
        with self.stage(group), closing(found):
            for record in found:
                yield self.write(self.completed(record, listener), listener)

    def _limits_of(self, group: Sequence[Job]) -> Limits:
        """The profile's limits; with a time plan a group has its share of the time that is left."""
        limits = self.profile.limits
        if self.plan is None or not kind(group[0].tasks[0].kind).timed:
            return limits
        networks = len({job.case.variant for job in group})
        # At least a second: 0 would be no limit.
        seconds = max(1.0, self.plan.seconds_for(group)) / networks
        return dataclasses.replace(limits, group_seconds=round(seconds, 1))

    def write(self, record: Record, listener: Listener) -> Record:
        """Append a complete record; it is on the disk when this returns."""
        return self.write_together([record], listener)[0]

    def write_together(self, records: Sequence[Record], listener: Listener) -> Sequence[Record]:
        """Append complete records, all or none: the disk is waited for once."""
        with signals.held():  # what is measured is written
            self._append(*records)
            trained = [r.case.id for r in records if r.ok and kind(r.kind).trained]
            if trained:
                checkpoints.prune(self.folder, trained)
            for record in records:
                listener.finished(record)
        return records

    def _append(self, *records: Record) -> None:
        complete = [
            dataclasses.replace(record, caveats=(*record.caveats, *self.caveats))
            for record in records
        ]
        try:
            if self.held:
                self.held.check()
            self.store.append(*complete)
        except OutputError as error:
            raise OutputError(f"{error}; {_rescued(complete)}") from error

    def skip(self, job: Job, reason: str, status: str = "skipped") -> list[Record]:
        """Write a row without a result for every task of a job that cannot be measured."""
        found = [
            Record(task.case, task.kind, status, error=reason, dataset=self.dataset.describe())
            for task in job.tasks
        ]
        self._append(*found)
        return found


def run_all(
    run: Run,
    jobs: list[Job],
    listener: Listener,
    *,
    done: Keys = NOTHING,
    parity: bool = True,
    unusable: Mapping[str, str] = _ALL_USABLE,
    executor: Executor | None = None,
) -> None:
    """Every job whose records are not there yet, in order; their certificates first.

    Args:
        run: Where the records go.
        jobs: What is measured.
        listener: Called with all that happens.
        done: What is there already.
        parity: Whether certificates are made.
        unusable: Frameworks that cannot use the device, with the reason: their rows are skipped.
        executor: Where the groups are measured; by default here, one after the other.
    """
    checkpoints.prune(run.folder, {case_id for case_id, name in done if kind(name).trained})
    usable: list[Job] = []
    for job in jobs:
        reason = unusable.get(job.case.framework) or why_one(job.case)
        if reason is None:
            usable.append(job)
            continue
        for rest in without([job], done):
            for record in run.skip(rest, reason):
                listener.finished(record)
    run.frameworks = tuple(dict.fromkeys(job.case.framework for job in usable))
    executor = executor or LocalExecutor(run)
    try:
        executor.prepare(without(usable, done), listener, parity=parity)
        # Those of all jobs: a group that lacks some of its records is completed, or what is left of
        # it is measured.
        for group in groups(usable, run.profile.together, executor.memory):
            if without(group, done):
                executor.submit(group, done)
        for _ in executor.records(listener):
            pass
    except BaseException:
        executor.cancel()
        raise
    checkpoints.remove_rounds(run.store)


def _rescued(records: Sequence[Record]) -> str:
    """Where records are that their run's folder does not take."""
    lines = "".join(json.dumps(record.to_json(), allow_nan=False) + "\n" for record in records)
    try:
        descriptor, path = tempfile.mkstemp(prefix="alexbench-record-", suffix=".jsonl")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(lines)
    except OSError:
        return "the measurement in hand is lost"
    return f"the measurement in hand is in {path}: append it to {FILE} before --resume"


def open_run(
    results: Path,
    name: str | None,
    resume: bool,
    profile: Profile,
    data: str,
    *,
    validation: bool = False,
    begun: Begun | None = None,
    anyway: bool = False,
    resize: int | None = None,
) -> tuple[Run, Keys]:
    """A new run's folder, or an old one to go on with and what it has already.

    The folder is this process's own until `Run.release`.

    Args:
        results: Folder of all runs.
        name: Of the run's folder; by default the time, or the newest run to resume.
        resume: Whether the run is there already.
        profile: How much is measured.
        data: Name or path of the data set.
        validation: See `Run.validation`.
        begun: What the command asks for, written to ``run.json`` and compared with what is there.
        anyway: Whether a run goes on although something differs.
        resize: See `Run.resize`.

    Raises:
        UserError: A new run's name is taken, there is nothing to resume, another process measures
            into the folder, or something differs and may not.
    """
    check_measuring()
    held = RunFolder(folder_to_resume(results, name)) if resume else None
    try:
        run = Run(held.path if held else results / (name or ""), profile, data, validation)
        run.resize = resize
        if name is not None and held is None:
            _check_name(name)
        _ = run.dataset  # opened first: a wrong path leaves no empty run behind
        if held is None:
            path = results / (name or _name_now())
            held = RunFolder.create(path, numbered=name is None)
        run.hold(held)
        if begun is None:
            _same_data(run, anyway=anyway)
        else:
            _compare(run, begun, anyway=anyway)
        run.prepare()
        return run, run.store.set_aside_failures()
    except BaseException:
        if held:
            held.release()
        raise


def _compare(run: Run, begun: Begun, *, anyway: bool) -> None:
    """Write ``run.json``, or compare with the one that is there."""
    now = RunSettings.now(begun, run.profile, run.dataset.describe())
    before = RunSettings.read(run.folder)
    if before is None:
        _same_data(run, anyway=anyway)
        now.write(run.folder)
        return
    differences = before.differences(now)
    more = before.added(now) > 0
    if more and (anyway or not differences):
        before = before.with_trainings(now)
    if not differences:
        if more:
            before.write(run.folder)
        return
    text = "; ".join(differences)
    if not anyway:
        raise UserError(
            f"{run.folder} was begun with {text}; go on under the same conditions, or with "
            "--anyway, which gives every further record a caveat"
        )
    before.with_resumption(now, differences).write(run.folder)
    why = f"measured after the run was resumed under other conditions: begun with {text}"
    answers = ["environment", "comparability"]
    run.caveats = ({"on": "all", "why": without_folders(why), "answers": answers},)


def _check_name(name: str) -> None:
    """Raise UserError for a name that no new run has: reports and commands could not repeat it."""
    try:
        os.fsencode(name).decode("utf-8")
    except UnicodeError:
        raise UserError(f"--run {name}: not UTF-8; give another name") from None
    parts = Path(name).parts
    if not printable(name).isprintable() or not parts or ".." in parts or Path(name).is_absolute():
        raise UserError(f"--run {name}: not the name of a folder below that of --results")
    if name.startswith(("~", "-")):
        raise UserError(
            f"--run {name}: a shell would take it for something else; give another name"
        )


def _name_now() -> str:
    """UTC to the second: names sort by age."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def folder_to_resume(results: Path, name: str | None) -> Path:
    """The folder of a run that goes on: by name or path, or the newest one.

    Raises:
        UserError: There is none.
    """
    if name:
        for folder in (results / name, Path(name)):
            if folder.is_dir() and (folder.parent == results or _holds_run(folder)):
                return folder
        if Path(name).is_file():
            raise UserError(f"--resume {name}: a file; give the folder of the run")
        where = "" if Path(name).parent != Path() else f" in {results}"
        raise UserError(f"no run {name!r} to resume{where}; start it without --resume")
    # A run that was stopped in its first group has no record yet, and rounds to go on from.
    # A name may have a folder in it.
    places = [f"{folder}/{name}" for name in (FILE, RUN_FILE) for folder in ("*", "*/*")]
    found = [path for place in places for path in results.glob(place)]
    if not found:
        raise UserError(f"no run to resume in {results}; start one without --resume")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def _holds_run(folder: Path) -> bool:
    return (folder / FILE).exists() or (folder / RUN_FILE).exists()


def _same_data(run: Run, *, anyway: bool) -> None:
    if anyway or not run.store.path.exists():
        return
    for record in run.store:
        known = str(record.dataset.get("fingerprint"))
        if known != run.dataset.fingerprint:
            name = record.dataset.get("name")
            raise UserError(
                f"{run.folder} was measured on {name} ({known[:12]}), --data is "
                f"{run.dataset.name} ({run.dataset.fingerprint[:12]}); resume with the same data"
            )
