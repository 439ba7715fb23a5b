"""Speed-up of training on several devices: strong and weak scaling, efficiency, communication."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analysis.comparison.comparability import in_words
from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, caveats_of_both, counts, identity
from bench.core.kinds import KINDS
from bench.stats import estimates
from bench.stats.estimates import UNKNOWN

STRONG, WEAK = "strong", "weak"
"""The same global batch, or the same batch on every device."""


def scaling_rows(results: Results) -> list[Row]:
    """Every throughput on several devices compared with that on one.

    ``efficiency`` is the ratio of images/s over the number of devices: 1 where nothing is lost, and
    not a number where the two were measured on unlike machines (``not_compared``). ``doubt`` is why
    a speed of the two may be none.
    """
    kinds = [kind.name for kind in KINDS.values() if kind.throughput and kind.parallel]
    found = {(e.case, e.kind): e for e in results.experiments(*kinds) if e.ok}
    return [
        _row(results, experiment, found[base, kind], scaling)
        for (case, kind), experiment in found.items()
        if case.devices > 1
        for scaling, base in _bases(experiment)
        if (base, kind) in found
    ]


def _bases(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """Cases on one device that the experiment may be compared with."""
    case = experiment.case
    yield STRONG, replace(case, devices=1)
    yield WEAK, replace(case, devices=1, batch_size=case.batch_size // case.devices)


def _row(results: Results, several: Experiment, one: Experiment, scaling: str) -> Row:
    ratio, devices = results.ratio(several, one), several.case.devices
    elsewhere = [d for d in results.between(several, one) if d.where == "environment"]
    value, low, high = UNKNOWN if elsewhere else ratio.ratio
    found = (r.metrics["parallel"] for r in several.ok if "parallel" in r.metrics)
    metric: dict[str, Any] = next(found, {})
    parity = several.ok[0].parity
    row = identity(several, results.data) | counts(several) | caveats_of_both(several, one)
    return row | {
        "scaling": scaling,
        "images_per_second": results.rate(several).value,
        "one_images_per_second": results.rate(one).value,
        "speed_up": value,
        "efficiency": value / devices,
        "efficiency_low": None if low is None else low / devices,
        "efficiency_high": None if high is None else high / devices,
        "pairs": ratio.pairs,
        "disturbed": ratio.disturbed,
        "doubt": ratio.doubt or None,
        "not_compared": in_words(elsewhere) or None,
        "reference": "itself on one device",
        **_communication(metric),
        "method": metric.get("method"),
        "batch_norm": metric.get("batch_norm"),
        "same_as_one": parity.get("devices_check"),
    }


def _communication(metric: dict[str, Any]) -> Row:
    """Share of a step that is saved without exchange, with the interval of its pairs of blocks."""
    names = ("communication", "communication_low", "communication_high")
    with_it, without = metric.get("with_exchange"), metric.get("without_exchange")
    if not with_it or not without:
        return dict.fromkeys(names)
    # Paired: a block without exchange over the one next to it.
    value, low, high = estimates.paired_ratio(without, with_it)
    shares = [None if end is None else float(np.clip(1 - end, 0, 1)) for end in (value, high, low)]
    return dict(zip(names, shares, strict=True))
