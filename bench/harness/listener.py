"""The interface of what displays a run (`bench.cli.progress`)."""

from __future__ import annotations

from typing import Protocol

from bench.core.records import Record
from bench.harness.certificates import Certificate
from bench.harness.matrix import Task
from bench.harness.plan import TimePlan


class Listener(Protocol):
    """The calls that report the progress of a run."""

    def planned(self, plan: TimePlan) -> None:
        """The time plan of the run, before it begins."""

    def started(self, task: Task) -> None:
        """A measurement begins."""

    def progress(self, done: float, note: str) -> None:
        """The fraction of the current measurement that is done, and a few words on it."""

    def note(self, text: str) -> None:
        """A line for the user about a measurement that continues."""

    def finished(self, record: Record) -> None:
        """The record of a measurement is written."""

    def certifying(self, done: float, note: str) -> None:
        """A parity certificate is being made."""

    def certificate_done(self, certificate: Certificate) -> None:
        """A certificate was made, or found in the cache."""

    def waiting(self, done: float, note: str) -> None:
        """Groups are measured on other machines: the fraction that has come back."""
