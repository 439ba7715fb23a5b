"""The results of one dataset: experiments, references, rates and ratios, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from bench.analysis.caveats import with_valid_seconds
from bench.analysis.clock import SyncAudit, sync_audit_of
from bench.analysis.comparison.comparability import Difference, differences_between, in_words
from bench.analysis.experiments import Data, Experiment, experiments
from bench.analysis.speeds import Interleaved, interleaved_versus, speeds, unpaired_versus
from bench.core.case import Case
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.stats import estimates
from bench.stats.estimates import Ratio

T = TypeVar("T")
Row = dict[str, Any]


class Results:
    """The records of one dataset, with all that several tables and plots need of them.

    Nothing is computed before it is asked for, and nothing twice: the tables, plots, headlines and
    the page of a report share one object for each dataset.

    Args:
        records: Records of one dataset only.
        data: That dataset.

    Attributes:
        records: The records without seconds that are no measurement (`bench.analysis.caveats`).
        removed: The records whose seconds were dropped for that, as they were.
    """

    def __init__(self, records: Iterable[Record], data: Data) -> None:
        valid, removed = with_valid_seconds(list(records))
        self.records = tuple(valid)
        self.removed = tuple(removed)
        self.data = data
        self._computed: dict[Hashable, Any] = {}
        self._experiments = experiments(self.records, tuple(KINDS))
        self._references: dict[tuple[Case, str], Experiment] = {}
        for experiment in self._experiments:  # framework by framework, the reference first
            if experiment.ok and experiment.certified:
                self._references.setdefault((experiment.peers, experiment.kind), experiment)

    def experiments(self, *kinds: str) -> list[Experiment]:
        """Experiments of these kinds in the order of tables."""
        return [experiment for experiment in self._experiments if experiment.kind in kinds]

    def once(self, function: Callable[[Results], T]) -> T:
        """What `function` returns for these results; it is called the first time only."""
        return self._once(function, lambda: function(self))

    def remember(self, function: Callable[[Results], T], value: T) -> None:
        """Take what `once` would compute from another process, which has computed it."""
        self._computed[function] = value

    def _once(self, key: Hashable, compute: Callable[[], T]) -> T:
        if key not in self._computed:
            self._computed[key] = compute()
        found: T = self._computed[key]
        return found

    def reference(self, experiment: Experiment) -> Experiment | None:
        """The experiment that this one is compared with; None when it has no result or certificate.

        It is the first framework with a result, pytorch where it is.
        """
        if not experiment.ok or not experiment.certified:
            return None
        return self._references.get((experiment.peers, experiment.kind))

    def peers(self, experiment: Experiment) -> list[Experiment]:
        """The other experiments of its kind on the same network under the same conditions."""
        groups = self._once("peers", self._by_peers)
        same = groups[experiment.peers, experiment.kind]
        return [other for other in same if other is not experiment]

    def _by_peers(self) -> dict[tuple[Case, str], list[Experiment]]:
        groups: dict[tuple[Case, str], list[Experiment]] = {}
        for experiment in self._experiments:
            groups.setdefault((experiment.peers, experiment.kind), []).append(experiment)
        return groups

    def between(self, one: Experiment, other: Experiment) -> list[Difference]:
        """The differences in settings and machine that forbid to compare the two."""
        return self._once(
            ("between", _key(one), _key(other)), lambda: differences_between(one, other)
        )

    def comparability(self, experiment: Experiment) -> Row:
        """Name of the reference, and in words what forbids to compare the row with it."""
        reference = self.reference(experiment)
        if reference is None:
            return {"reference": None, "not_compared": None}
        same = reference is experiment
        words = "" if same else in_words(self.between(experiment, reference))
        return {"reference": self.reference_name(reference), "not_compared": words or None}

    def reference_name(self, reference: Experiment) -> str:
        """The framework that others are compared with, and its precision where they have it in
        several."""
        own = reference.case
        several = self.has_several_precisions(reference)
        return f"{own.framework_label} {own.precision}" if several else own.framework_label

    def has_several_precisions(self, experiment: Experiment) -> bool:
        """Whether others that it may be compared with have its framework in another precision."""
        own = experiment.case
        return any(
            other.case.framework_label == own.framework_label
            and other.case.precision != own.precision
            for other in self.peers(experiment)
        )

    def rate(self, experiment: Experiment) -> estimates.Estimate:
        """Images/s (of calls and starts: a second) with its interval; NaN without a sample."""
        return self._once(("rate", _key(experiment)), lambda: _rate(speeds(experiment)))

    def interleaved(self, one: Experiment, other: Experiment) -> Interleaved | None:
        """Ratios of speeds by interleaved blocks; None where there are none."""
        return self._once(
            ("interleaved", _key(one), _key(other)), lambda: interleaved_versus(one, other)
        )

    def ratio(self, one: Experiment, other: Experiment) -> Ratio:
        """Ratio of speeds: by pairs of blocks where the two ran interleaved."""
        found = self.interleaved(one, other)
        if found is not None:
            return found.ratio
        return self._once(("unpaired", _key(one), _key(other)), lambda: unpaired_versus(one, other))

    def clock(self, experiment: Experiment) -> SyncAudit | None:
        """What the sync audit found; None where none was made."""
        return self._once(("clock", _key(experiment)), lambda: sync_audit_of(experiment))


def _key(experiment: Experiment) -> tuple[Case, str, bool]:
    return experiment.case, experiment.kind, experiment.certified


def _rate(processes: Sequence[Sequence[float]]) -> estimates.Estimate:
    return estimates.median_estimate(processes) if processes else estimates.UNKNOWN
