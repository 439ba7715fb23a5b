"""What the measurements on one machine share: data, certificates, ceilings, its state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.system.devices import accelerated
from bench.core.system.resources import usable_cpus
from bench.data.dataset import Dataset
from bench.harness.ceilings import RunCeilings
from bench.harness.certificates import Certificate, Subject, obtain
from bench.harness.listener import Listener
from bench.harness.matrix import Job
from bench.harness.observer import MACHINE_STATE, look
from bench.harness.profiles import Profile
from bench.training.frameworks import REFERENCE, installed
from bench.training.tracks import track


class Measurer:
    """One machine that measures: a run on this one (`bench.harness.run.Run`), or a node of a
    cluster (`bench.executors.node`).

    Attributes:
        profile: How much is measured.
        dataset: The images.
        data_folder: Folder that workers map the images from.
        certificates: A closed case without one is recorded as unchecked.
        frameworks: Whose ceilings are asked for; empty means the profile's.
        ceilings: Peak FLOP/s of this machine.
        before: The machine before the run (`bench.harness.observer.Observer.state`).
    """

    profile: Profile
    dataset: Dataset
    data_folder: Path
    certificates: dict[Subject, Certificate]
    frameworks: tuple[str, ...]
    ceilings: RunCeilings
    before: dict[str, Any]

    def look_at_machine(self) -> str | None:
        """Note how busy the machine is before anything is measured; a warning where it is."""
        self.before, warning = look()
        return warning

    def without_certificate(self, cases: Iterable[Case]) -> list[Subject]:
        """What has to be certified first: the closed cases."""
        classes = len(self.dataset.classes)
        wanted = {Subject.of(case, classes): None for case in cases if track(case.track).certified}
        return [subject for subject in wanted if subject not in self.certificates]

    def certify(self, cases: Iterable[Case], listener: Listener) -> None:
        """Get the certificates of the closed cases, before anything is measured."""
        missing = self.without_certificate(cases)
        for subject, certificate in obtain(missing, listener.certifying):
            self.certificates[subject] = certificate
            listener.certificate_done(certificate)

    def prepare_ceilings(self, job: Job, listener: Listener) -> None:
        """Before the first throughput of the run; the cache has them after the first run."""
        if any(kind(task.kind).throughput for task in job.tasks):
            names = self.frameworks or installed(self.profile.frameworks)
            wanted = sorted([*names, job.case.framework], key=lambda name: name != REFERENCE)
            self.ceilings.prepare(wanted, listener.progress, job.case.device)

    def completed(self, record: Record, listener: Listener) -> Record:
        """The record of a measurement with its data, certificate, ceiling and machine."""
        parity = self._parity(record.case)
        complete = dataclasses.replace(record, dataset=self.dataset.describe(), parity=parity)
        return self._with_ceiling(self._with_state_before(complete), listener)

    def _parity(self, case: Case) -> dict[str, Any]:
        if not track(case.track).certified:
            return {"status": "not applicable"}
        subject = Subject.of(case, len(self.dataset.classes))
        unchecked = {"status": "unchecked", "problem": "no parity certificate was made in this run"}
        return self.certificates.get(subject, unchecked)

    def _with_state_before(self, record: Record) -> Record:
        if not self.before:
            return record
        state = {**record.environment.get(MACHINE_STATE, {}), "before": self.before}
        return dataclasses.replace(record, environment={**record.environment, MACHINE_STATE: state})

    def _with_ceiling(self, record: Record, listener: Listener) -> Record:
        if not kind(record.kind).throughput or not record.ok:
            return record
        speed = float(record.summary["images_per_second"] or 0.0)
        flops = speed * float(record.metrics.get("flops_per_image") or 0.0)
        tf32 = bool(record.settings.get("tf32"))
        if words := self._of_other_cpus(record.case):
            ceiling = {"ceiling": None, "ceiling_reason": words}
            return dataclasses.replace(record, metrics={**record.metrics, **ceiling})
        ceiling = self.ceilings.metrics(record.case, flops, listener.progress, tf32=tf32)
        return dataclasses.replace(record, metrics={**record.metrics, **ceiling})

    def _of_other_cpus(self, case: Case) -> str:
        """Why the peak of the CPU is none of a case, where it has a share of the CPUs alone."""
        limits, cpus = self.profile.limits, usable_cpus()
        own = limits.cpus_of(case.devices, cpus)
        if accelerated(case.device) or len(own) == len(cpus):
            return ""
        return f"the peak is of {len(cpus)} CPUs, and this row was measured on {len(own)}"
