"""The waterfall as numbers: what each default costs in accuracy and in images/s.

One row per network, framework and stage, and below them the gap between the frameworks at both
ends. Every change is paired by seed: the same seed's run at a stage and at the stage before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from bench.analysis.experiments import Data, framework_place
from bench.analysis.rows import IDENTITY, Row
from bench.core.case import WATERFALL, Case
from bench.core.errors import UserError
from bench.core.records import Record
from bench.networks.variants import VARIANTS
from bench.stats import estimates
from bench.training.defaults import OWN, STAGES, chain
from bench.training.frameworks import FRAMEWORKS

GAP_OWN, GAP_SHARED = "gap at own defaults", "gap when all is shared"

UNKNOWN = estimates.Estimate(math.nan, None, None)


@dataclass(frozen=True)
class Step:
    """One stage of one framework on one network, with what was measured there."""

    stage: str
    title: str
    default: str
    """What the framework does by default, in words."""
    shared: str
    """The value it is switched to, in words; empty at the first stage."""
    why: str
    measured: bool
    """Whether it has runs of its own: not where the framework shares the value anyway."""
    records: tuple[Record, ...] = ()

    def accuracies(self) -> dict[int, float]:
        """Test accuracy by seed."""
        return {record.case.seed: record.samples[0] for record in self.records if record.ok}

    def rates(self) -> dict[int, float]:
        """Training images/s by seed, where there is one."""
        found = {r.case.seed: steady_rate(r) for r in self.records if r.ok}
        return {seed: rate for seed, rate in found.items() if rate is not None}


Ladder = list[Step]


def steady_rate(record: Record) -> float | None:
    """Images/s of training behind the first evaluated point, so without trace and compile.

    The median over the stretches between evaluations; None where there is no second point.
    """
    curve = record.metrics.get("curve") or []
    rates = [
        (after["images"] - before["images"]) / (after["seconds"] - before["seconds"])
        for before, after in pairwise(curve)
        if after["seconds"] > before["seconds"]
    ]
    return median(rates) if rates else None


def ladders(records: Sequence[Record]) -> dict[Case, dict[str, Ladder]]:
    """Steps in order, by network (a case without framework, stage and seed) and by framework."""
    groups: dict[Case, dict[str, list[Record]]] = {}
    for record in records:
        if record.case.track == WATERFALL and record.kind == "accuracy":
            network = replace(record.case, framework="", seed=0, defaults="")
            groups.setdefault(network, {}).setdefault(record.case.framework, []).append(record)
    places = {name: place for place, name in enumerate(VARIANTS)}
    networks = sorted(groups, key=lambda c: (places.get(c.variant, len(places)), c.id))
    return {
        network: {
            name: _ladder(network, name, groups[network][name])
            for name in sorted(groups[network], key=framework_place)
        }
        for network in networks
    }


def _ladder(network: Case, framework: str, records: Sequence[Record]) -> Ladder:
    by_stage: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.case.seed):
        by_stage.setdefault(record.case.defaults, []).append(record)
    own = FRAMEWORKS[framework].defaults if framework in FRAMEWORKS else None
    words = own.words if own else {}
    switchable = _switchable(network, framework)
    first = Step(OWN, "own defaults", "", "", "", True, tuple(by_stage.get(OWN, ())))
    steps = [first]
    for stage in STAGES:
        measured = stage.name in by_stage or stage.name in switchable
        if measured or _applies(network, stage.name):
            found = tuple(by_stage.get(stage.name, ()))
            default = words.get(stage.name, "")
            steps.append(
                Step(stage.name, stage.title, default, stage.shared, stage.why, measured, found)
            )
    return steps


def _switchable(network: Case, framework: str) -> list[str]:
    """The stages that a framework here would be measured at; none where it is unknown here."""
    try:
        return chain(VARIANTS[network.variant].architecture(), framework)
    except (KeyError, UserError):
        return []  # the records of somebody's extension: only what they hold is known


def _applies(network: Case, name: str) -> bool:
    if network.variant not in VARIANTS:
        return False
    architecture = VARIANTS[network.variant].architecture()
    return any(stage.applies(architecture) for stage in STAGES if stage.name == name)


def ablation_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per stage, and two per framework beside the first one for the gap at both ends.

    Accuracies are fractions: means over seeds with t intervals. Images/s are geometric means, their
    changes ratios; `delta` and `ratio` are to the stage before that was run, paired by seed. A
    stage whose runs failed leaves the one behind it without a change, since two switches would be
    in it; stages that were never asked for are passed over.
    """
    rows = []
    for network, frameworks in ladders(records).items():
        for name, steps in frameworks.items():
            rows += _rows_of(replace(network, framework=name), steps, data)
        rows += _gap_rows(network, frameworks, data)
    return rows


def _rows_of(case: Case, steps: Ladder, data: Data) -> list[Row]:
    rows = []
    before: Step | None = None
    for step in steps:
        row = _identity(case, data) | {
            "stage": step.stage,
            "switched": step.title,
            "default": step.default,
            "shared": step.shared,
            "why": step.why,
            "status": "measured" if step.measured else "already its default",
        }
        row |= _counts(step)
        accuracies, rates = step.accuracies(), step.rates()
        row |= _columns("accuracy", mean(list(accuracies.values())))
        row |= _columns("delta", accuracy_change(before, step))
        row |= _columns("images_per_second", geometric_mean(list(rates.values())))
        row |= _columns("ratio", rate_change(before, step))
        rows.append(row)
        before = step if step.records else before
    return rows


def _gap_rows(network: Case, frameworks: Mapping[str, Ladder], data: Data) -> list[Row]:
    """How far each framework is from the first one, where both begin and where both end."""
    (reference, base), *others = frameworks.items()
    rows = []
    for name, steps in others:
        for title, at in ((GAP_OWN, 0), (GAP_SHARED, -1)):
            ours, theirs = ([s for s in ladder if s.measured][at] for ladder in (steps, base))
            row = _identity(replace(network, framework=f"{name} − {reference}"), data)
            row |= {"stage": title, "switched": title, "default": "", "shared": "", "why": ""}
            pairs = len(ours.accuracies().keys() & theirs.accuracies().keys())
            row |= {"status": "gap", "seeds": pairs, "failed": 0, "diverged": 0}
            row |= _columns("accuracy", UNKNOWN)
            row |= _columns("delta", accuracy_change(theirs, ours))
            row |= _columns("images_per_second", UNKNOWN)
            row |= _columns("ratio", rate_change(theirs, ours))
            rows.append(row)
    return rows


def _identity(case: Case, data: Data) -> Row:
    facts = {name: getattr(case, name) for name in IDENTITY[2:]}
    return {"dataset": data.name, "fingerprint": data.fingerprint, **facts}


def _counts(step: Step) -> Row:
    got = [record for record in step.records if record.ok]
    return {
        "seeds": len(got),
        "failed": len(step.records) - len(got),
        "diverged": sum(bool(record.metrics.get("diverged")) for record in got),
    }


def _columns(name: str, estimate: estimates.Estimate) -> Row:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def accuracy_change(before: Step | None, step: Step) -> estimates.Estimate:
    """Mean of the differences of a seed's accuracies (fractions), with its t interval."""
    pairs = _pairs(before.accuracies() if before else {}, step.accuracies())
    return mean([after - earlier for earlier, after in pairs])


def rate_change(before: Step | None, step: Step) -> estimates.Estimate:
    """Geometric mean of the ratios of a seed's images/s, with the t interval of its logarithm."""
    pairs = _pairs(before.rates() if before else {}, step.rates())
    return geometric_mean([after / earlier for earlier, after in pairs])


def _pairs(before: Mapping[int, float], after: Mapping[int, float]) -> list[tuple[float, float]]:
    return [(before[seed], after[seed]) for seed in sorted(before.keys() & after.keys())]


def mean(values: Sequence[float]) -> estimates.Estimate:
    """Mean over seeds with its t interval; not a number where there is none."""
    return estimates.mean_estimate(values) if values else UNKNOWN


def geometric_mean(values: Sequence[float]) -> estimates.Estimate:
    """A ratio of 2 and one of 1/2 cancel; the interval is never below 0."""
    middle = mean([math.log(value) for value in values])
    ends = (None if end is None else math.exp(end) for end in middle[1:])
    return estimates.Estimate(math.exp(middle.value), *ends)
