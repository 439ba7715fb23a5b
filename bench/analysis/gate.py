"""A gate on an earlier run: which cases have become slower than a rule allows.

It goes by the interval, never by one statistic: noise alone must not fail a build, and a slowdown
that the interval cannot tell from noise is a tie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.compare import Comparison, as_text, compare
from bench.core.errors import UserError
from bench.core.records import Record, RecordStore


@dataclass(frozen=True)
class Rule:
    """``slower:5%``: fail where a case takes surely more than 5 % longer."""

    allowed: float
    """Fraction of time that may be added."""

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Raises UserError for anything that is not ``slower:<number>%``."""
        found = re.fullmatch(r"slower:(\d+(?:\.\d+)?)%", text.replace(" ", ""))
        if not found:
            raise UserError(f"--bench-fail-if {text!r}: must look like slower:5%")
        return cls(float(found[1]) / 100)

    def violations(self, comparisons: Iterable[Comparison]) -> list[str]:
        """A line for each case whose interval lies wholly above what is allowed."""
        return [
            f"{row.case} {row.kind}: {row.ratio:.3f} times as long "
            f"[{row.low:.3f}, {row.high:.3f}], surely more than {100 * self.allowed:g} % slower"
            for row in comparisons
            if row.ratio is not None and row.low is not None and row.low > 1 + self.allowed
        ]


@dataclass(frozen=True)
class Gate:
    """An earlier run to hold records against, and what must not happen."""

    earlier: Sequence[Record]
    rule: Rule | None

    @classmethod
    def of(cls, run: str | None, rule: str | None) -> Gate | None:
        """None where no run is named; UserError for a run that is none, or a rule without a run."""
        if run is None:
            if rule is not None:
                raise UserError("--bench-fail-if needs an earlier run: add --bench-compare RUN")
            return None
        return cls(RecordStore(Path(run)).read(), Rule.parse(rule) if rule else None)

    def compare(self, records: Iterable[Record]) -> list[Comparison]:
        """Case by case; what was not measured this time is no part of it."""
        found = compare(self.earlier, list(records))
        return [row for row in found if row.verdict != "only in A"]

    def violations(self, records: Iterable[Record]) -> list[str]:
        """A line for each case that broke the rule."""
        return self.rule.violations(self.compare(records)) if self.rule else []

    def as_text(self, records: Iterable[Record]) -> str:
        """The comparison for a terminal, A the earlier run and B this one."""
        return as_text(self.compare(records))
