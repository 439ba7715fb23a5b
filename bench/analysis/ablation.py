"""The ablation of defaults: what each default of a framework costs in accuracy and in images/s.

A stage switches one more default to the value that all frameworks share. One row per network,
framework and stage, and below them the gap between the frameworks at both ends. A change in
accuracy is paired by seed where the runs of a seed share batches and initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from bench.analysis.comparison.comparability import ROWS, differences, in_words
from bench.analysis.comparison.pairing import AccuracyDifference, accuracy_difference
from bench.analysis.experiments import Data, framework_labels_of
from bench.analysis.rows import IDENTITY, Row, mean_over_seeds, provenance_columns
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.networks.variants import VARIANTS
from bench.stats import estimates
from bench.stats.seeds import welch_difference
from bench.training.defaults import OWN, STAGES, chain
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import track

_SHARES = tuple(rule for rule in ROWS if not rule.certified)
"""What speeds that are compared share in every track; stages switch settings of the others."""
GAP_DEFAULTS, GAP_SHARED = "gap at framework defaults", "gap at shared defaults"


@dataclass(frozen=True)
class StageResult:
    """One stage of one framework on one network, with its records.

    Attributes:
        stage: Name of the stage, that of the default it switches.
        title: The same for a reader.
        default: What the framework does by default, in words.
        shared: The value it is switched to, in words; empty at the first stage.
        why: Why that value is the shared one.
        measured: Whether it has runs of its own: not where the framework's default is the shared
            value.
        records: Records of accuracy, one per seed, with or without a result.
    """

    stage: str
    title: str
    default: str
    shared: str
    why: str
    measured: bool
    records: tuple[Record, ...] = ()

    @property
    def ok(self) -> tuple[Record, ...]:
        """The records with a result."""
        return tuple(record for record in self.records if record.ok)

    def accuracies(self) -> dict[int, float]:
        """Test accuracy by seed."""
        return {record.case.seed: record.samples[0] for record in self.ok}

    def rates(self) -> dict[int, float]:
        """Training images/s by seed, where there is one."""
        found = {r.case.seed: steady_rate(r) for r in self.ok}
        return {seed: rate for seed, rate in found.items() if rate is not None}


Stages = list[StageResult]


def steady_rate(record: Record) -> float | None:
    """Images/s of training after the first evaluation, so without trace and compile.

    The median over the stretches between evaluations; None where there is no second one, and where
    the training was resumed: trace and compile of its later processes are in a stretch.
    """
    if (record.metrics.get("parts") or 1) > 1:
        return None
    curve = record.metrics.get("curve") or []
    rates = [
        (after["images"] - before["images"]) / (after["seconds"] - before["seconds"])
        for before, after in pairwise(curve)
        if after.get("seconds", 0) > before.get("seconds", 0)
    ]
    return median(rates) if rates else None


def stages_by_network(records: Sequence[Record]) -> dict[Case, dict[str, Stages]]:
    """Stages in order, by network (a case without framework, stage and seed) and by the label of
    the framework, which names its execution where that is unusual."""
    groups: dict[Case, dict[str, list[Record]]] = {}
    for record in records:
        if track(record.case.track).stages and kind(record.kind).trained:
            network = replace(record.case, framework="", seed=0, defaults="")
            label = record.case.framework_label
            groups.setdefault(network, {}).setdefault(label, []).append(record)
    places = {name: place for place, name in enumerate(VARIANTS)}
    networks = sorted(groups, key=lambda c: (places.get(c.variant, len(places)), c.id))
    return {
        network: {
            label: _stages(network, groups[network][label])
            for label in framework_labels_of(some[0].case for some in groups[network].values())
        }
        for network in networks
    }


def _stages(network: Case, records: Sequence[Record]) -> Stages:
    framework = records[0].case.framework
    by_stage: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.case.seed):
        by_stage.setdefault(record.case.defaults, []).append(record)
    own = FRAMEWORKS[framework].defaults if framework in FRAMEWORKS else None
    words = own.words if own else {}
    switchable = _switchable(network, framework)
    first = StageResult(OWN, "framework defaults", "", "", "", True, tuple(by_stage.get(OWN, ())))
    steps = [first]
    for stage in STAGES:
        measured = stage.name in by_stage or stage.name in switchable
        if measured or _applies(network, stage.name):
            found = tuple(by_stage.get(stage.name, ()))
            default = words.get(stage.name, "")
            steps.append(
                StageResult(
                    stage.name, stage.title, default, stage.shared, stage.why, measured, found
                )
            )
    return steps


def _switchable(network: Case, framework: str) -> list[str]:
    """The stages that a framework here would be measured at; none where it is unknown here."""
    try:
        return chain(VARIANTS[network.variant].architecture(), framework)
    except (KeyError, UserError):
        return []  # an extension's network or framework: its records alone are known


def _applies(network: Case, name: str) -> bool:
    if network.variant not in VARIANTS:
        return False
    architecture = VARIANTS[network.variant].architecture()
    return any(stage.applies(architecture) for stage in STAGES if stage.name == name)


def ablation_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row per stage, and two per framework after the first one for the gap at both ends. Another
    execution of a framework has stages of its own, and no gap to the first.

    Accuracies are fractions: means over seeds with t intervals. Images/s are geometric means, their
    changes ratios. `delta` and `ratio` compare with the last stage before that was run; `pairs`
    seeds are paired in `delta`, None where they are independent. A stage whose runs failed leaves
    the next one without a change, since that would hold two switches; stages that were not run are
    passed over.
    """
    rows = []
    for network, frameworks in stages_by_network(records).items():
        for label, steps in frameworks.items():
            framework, _, execution = label.partition(" ")
            case = replace(network, framework=framework, execution=execution)
            rows += _rows_of(case, steps, data)
        rows += _gap_rows(network, frameworks, data)
    return rows


def _rows_of(case: Case, steps: Stages, data: Data) -> list[Row]:
    rows = []
    before: StageResult | None = None
    for step in steps:
        row = _identity(case, data) | {
            "stage": step.stage,
            "switched": step.title,
            "default": step.default,
            "shared": step.shared,
            "why": step.why,
            "status": "measured" if step.measured else "already its default",
        }
        row |= _counts(step) | provenance_columns(_compared(step, before))
        accuracies, rates = step.accuracies(), step.rates()
        row |= _columns("accuracy", mean_over_seeds(list(accuracies.values())))
        change = _accuracy_difference(before, step)
        row |= _columns("delta", change.estimate) | {"pairs": change.pairs}
        row |= _columns("images_per_second", geometric_mean(list(rates.values())))
        row |= _columns("ratio", rate_change(before, step))
        rows.append(
            row | _refusal(before, step, f"the stage before ({before.title})" if before else "")
        )
        before = step if step.records else before
    return rows


def _compared(step: StageResult, before: StageResult | None) -> list[Record]:
    """The records with a result that a row rests on."""
    return [*step.ok, *(before.ok if before else ())]


def _gap_rows(network: Case, frameworks: Mapping[str, Stages], data: Data) -> list[Row]:
    """The gap of each framework to the first one, at framework defaults and at shared ones."""
    (reference, base), *others = frameworks.items()
    rows = []
    for name, steps in others:
        if name.split()[0] == reference.split()[0]:
            continue  # another execution of it
        for title, at in ((GAP_DEFAULTS, 0), (GAP_SHARED, -1)):
            ours, theirs = ([s for s in stages if s.measured][at] for stages in (steps, base))
            row = _identity(replace(network, framework=f"{name} − {reference}"), data)
            row |= {"stage": title, "switched": title, "default": "", "shared": "", "why": ""}
            change = _accuracy_difference(theirs, ours)
            row |= provenance_columns([*ours.ok, *theirs.ok])
            row |= {"status": "gap", "seeds": change.seeds, "failed": 0, "diverged": 0}
            row |= _columns("accuracy", estimates.UNKNOWN)
            row |= _columns("delta", change.estimate) | {"pairs": change.pairs}
            row |= _columns("images_per_second", estimates.UNKNOWN)
            row |= _columns("ratio", rate_change(theirs, ours))
            refusal = _refusal(theirs, ours, f"{reference} {title.removeprefix('gap ')}")
            rows.append(row | refusal | ({"compared_as": name} if refusal else {}))
    return rows


def _identity(case: Case, data: Data) -> Row:
    facts = {name: getattr(case, name) for name in IDENTITY[2:]}
    return {"dataset": data.name, "fingerprint": data.fingerprint, **facts}


def _counts(step: StageResult) -> Row:
    got = [record for record in step.records if record.ok]
    return {
        "seeds": len(got),
        "failed": len(step.records) - len(got),
        "diverged": sum(bool(record.metrics.get("diverged")) for record in got),
    }


def _columns(name: str, estimate: estimates.Estimate) -> Row:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def accuracy_change(before: StageResult | None, stage: StageResult) -> estimates.Estimate:
    """Mean accuracy at a stage minus that before it, as a fraction, with its interval.

    Paired by seed only where both share batches and initial weights; else Welch's.
    """
    return _accuracy_difference(before, stage).estimate


def _accuracy_difference(before: StageResult | None, stage: StageResult) -> AccuracyDifference:
    return accuracy_difference(stage.ok, before.ok if before else ())


def rate_change(before: StageResult | None, stage: StageResult) -> estimates.Estimate:
    """Images/s at a stage over those before it, with its interval.

    Stages are trained one after the other, a process per seed and a rate per process: no pairs, and
    no blocks to estimate a spread within processes from. Hence Welch's interval of the logarithms.
    Unknown where the two had unlike shares of a machine.
    """
    if _unlike(before, stage):
        return estimates.UNKNOWN
    logarithms = ([math.log(r) for r in s.rates().values()] if s else [] for s in (stage, before))
    return _exponential(welch_difference(*logarithms))


def _unlike(before: StageResult | None, stage: StageResult) -> str:
    """What differs in machine, threads and device, in words: what a track's stages all share."""
    if before is None or not before.ok or not stage.ok:
        return ""
    return in_words(differences(stage.ok[0], before.ok[0], _SHARES, same_seed=False))


def _refusal(before: StageResult | None, stage: StageResult, reference: str) -> Row:
    """Why images/s are not compared, as columns; no column where they are."""
    words = _unlike(before, stage)
    return {"reference": reference, "not_compared": f"in images/s: {words}"} if words else {}


def geometric_mean(values: Sequence[float]) -> estimates.Estimate:
    """Geometric mean over seeds with the t interval of the logarithms, which is never below 0."""
    return _exponential(mean_over_seeds([math.log(value) for value in values]))


def _exponential(estimate: estimates.Estimate) -> estimates.Estimate:
    ends = (None if end is None else math.exp(end) for end in estimate[1:])
    return estimates.Estimate(math.exp(estimate.value), *ends)
