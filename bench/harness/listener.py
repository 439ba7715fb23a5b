"""The interface of what displays a run (`bench.cli.progress`)."""

from __future__ import annotations

from typing import Protocol

from bench.core.records import Record
from bench.harness.certificates import Certificate
from bench.harness.matrix import Task
from bench.harness.plan import TimePlan


class Listener(Protocol):
    """Called with every measurement and parity check, as it goes."""

    def planned(self, plan: TimePlan) -> None:
        """The time plan of the run, before it begins."""

    def started(self, task: Task) -> None:
        """A measurement begins."""

    def progress(self, done: float, note: str) -> None:
        """Its done fraction."""

    def note(self, text: str) -> None:
        """Something that the user should know of a measurement that goes on, in one line."""

    def finished(self, record: Record) -> None:
        """Its record is written."""

    def certifying(self, done: float, note: str) -> None:
        """A parity certificate is being made."""

    def certificate_done(self, certificate: Certificate) -> None:
        """It is made, or was there."""

    def waiting(self, done: float, note: str) -> None:
        """Groups are measured on other machines: the share of them that has come back."""
