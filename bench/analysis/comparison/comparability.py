"""Comparability: what must be the same of two records before one is compared with the other.

The rules are data: which settings and machine facts, in which tracks. What is unknown of either
side (None, or not recorded) is never a reason to refuse: some frameworks do not report it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bench.analysis.experiments import Experiment
from bench.core.kinds import kind
from bench.core.records import Record
from bench.core.system.devices import DEVICE_KINDS, kind_read_back
from bench.core.text import flatten, without_folders
from bench.training.tracks import track

_OF_A_SEED = r"initial_weights_sha256|batch_plan_sha256"
_SHOWN = 100  # characters of a value
_DIGEST = 12  # and of a hash


@dataclass(frozen=True)
class Rule:
    """Keys that must be equal where both are known.

    Attributes:
        where: The field of a record that holds them: ``settings`` or ``environment``.
        keys: A regular expression for whole dotted keys.
        certified: Whether only certified tracks promise it; else every track does.
        per_seed: Whether two seeds rightly differ in it.
        one_device: Whether only cases on one device promise it: it is of the worker's process, and
            on several devices one framework has a process for each of them, another a single one.
        of_speeds: Whether only speeds depend on it: which CPUs compute changes no accuracy.
    """

    where: str
    keys: str
    certified: bool = False
    per_seed: bool = False
    one_device: bool = False
    of_speeds: bool = False

    def applies(self, record: Record, *, same_seed: bool) -> bool:
        """Whether it applies to a record and another of its kind, track and devices."""
        promised = track(record.case.track).certified or not self.certified
        alone = record.case.devices == 1 or not self.one_device
        asked = kind(record.kind).timed or not self.of_speeds
        return promised and alone and asked and (same_seed or not self.per_seed)


ROWS = (
    # Every track: the same share of the machine.
    Rule("settings", r".*affinity.*", of_speeds=True),
    Rule("settings", r"thread_affinities", one_device=True, of_speeds=True),
    Rule("settings", r"(?!thread_affinities).*thread.*"),
    Rule("settings", r"device"),
    Rule("settings", r"kept_environment"),
    Rule(
        "environment",
        r"cpu|cores|cpu_quota|memory_limit_bytes|node\.kind"
        r"|gpu(\.(name|driver|memory_bytes|power_limit_watts|mig))?",
    ),
    # The closed track's promise. Layout and execution are each framework's own and may differ.
    Rule("settings", r"weight_dtype|compute_dtype|accumulat.*", certified=True),
    Rule("settings", r".*tf32.*", certified=True),
    Rule("settings", r"batch_norm", certified=True),  # over a device's images, or over all devices'
    Rule("settings", _OF_A_SEED, certified=True, per_seed=True),
    Rule("settings", r"recipe\.(?!description$).*", certified=True),  # a new wording is no change
)
"""Two frameworks in one table: what the track says they share."""

RUNS = (
    *ROWS,
    Rule("settings", r"recipe\.(?!description$).*"),
    Rule("settings", _OF_A_SEED, per_seed=True),
    # One framework, one case: execution, compilation, layout, determinism and all else that it
    # reports, except what differs from start to start.
    Rule(
        "settings",
        r"(?!(recipe|pid|port|started_at|seconds|load_average|compilation|loss_scale)\b)"
        rf"(?!({_OF_A_SEED})$)"
        r"(?!.*affinit).*",
    ),
    Rule("settings", r".*affinit.*", of_speeds=True),
)
"""The same case in two runs: everything that was recorded."""


@dataclass(frozen=True)
class Difference:
    """One key that is known of two records and not equal.

    Attributes:
        key: Dotted, as ``threads.intra_op``.
        one: Its value in the first record, as a reader is shown it.
        other: Its value in the other record.
        where: The field of a record that holds it: ``settings`` or ``environment``.
    """

    key: str
    one: str
    other: str
    where: str = "settings"

    @property
    def words(self) -> str:
        """``intra_op_threads 2 against 1``."""
        return f"{self.key} {self.one} against {self.other}"


def differences(
    one: Record, other: Record, rules: Iterable[Rule] = ROWS, *, same_seed: bool = True
) -> list[Difference]:
    """What the rules of the first record's track forbid, in the order of the rules.

    Args:
        one: A record.
        other: The record that it is to be compared with, of the same track.
        rules: `ROWS` for two frameworks in one table, `RUNS` for one case in two runs.
        same_seed: Whether the two have the same seed, so that what follows from it must be equal.
    """
    facts = {where: _unequal_facts(one, other, where) for where in ("settings", "environment")}
    found: dict[str, Difference] = {}
    for rule in rules:
        if not rule.applies(one, same_seed=same_seed):
            continue
        for key, values in facts[rule.where].items():
            if re.fullmatch(rule.keys, key):
                found.setdefault(key, Difference(key, *_shown(key, *values), rule.where))
    return list(found.values())


def differences_between(one: Experiment, other: Experiment) -> list[Difference]:
    """What keeps two rows of a table from being compared, seed by seed.

    Args:
        one: An experiment with a result.
        other: The experiment that it is to be compared with, with a result.
    """
    seeds = {record.case.seed: record for record in other.ok}
    pairs = [(r, seeds[r.case.seed]) for r in one.ok if r.case.seed in seeds]
    if pairs:
        found = [difference for pair in pairs for difference in differences(*pair)]
    else:
        found = differences(one.ok[0], other.ok[0], same_seed=False)
    first: dict[str, Difference] = {}
    for difference in found:
        first.setdefault(difference.key, difference)
    return list(first.values())


def in_words(found: Sequence[Difference]) -> str:
    """The differences in one line; empty when there is none."""
    return "; ".join(difference.words for difference in found)


def _unequal_facts(one: Record, other: Record, where: str) -> dict[str, tuple[Any, Any]]:
    """Both values of every dotted key that both records know and that differs."""
    whole = (_facts(one, where), _facts(other, where))
    # Nearly all is equal, and flattening and matching it is what takes time.
    unequal = [key for key in whole[0] if whole[0][key] != whole[1].get(key)]
    left, right = (flatten({k: side[k] for k in unequal if k in side}) for side in whole)
    values = {key: (left[key], right.get(key)) for key in left}
    return {key: pair for key, pair in values.items() if _differ(key, *pair)}


def _facts(record: Record, where: str) -> Mapping[str, Any]:
    """A field of a record, with what several devices add to the settings; the CPUs are those of all
    processes that train together."""
    facts: Mapping[str, Any] = getattr(record, where)
    parallel = record.metrics.get("parallel") or {}
    if where != "settings" or not parallel:
        return facts
    found = {**facts, "batch_norm": parallel.get("batch_norm")}
    if shares := parallel.get("cpus"):
        found["cpu_affinity"] = sorted({cpu for share in shares for cpu in share})
    return found


def _differ(key: str, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    return bool(_device(one) != _device(other) if key == "device" else one != other)


def _device(name: Any) -> str:
    """``cuda:0``, ``cuda`` and ``gpu`` are one device in the words of three frameworks."""
    word = kind_read_back(name) or str(name).lower()
    return "gpu" if word in DEVICE_KINDS["cuda"].read_back else word


def _shown(key: str, *values: Any) -> tuple[str, str]:
    """Two values for a reader: short digests, long texts cut between words after what is equal."""
    if key.endswith("_bytes") and all(isinstance(value, int) for value in values):
        values = tuple(f"{value / 2**30:,.4g} GiB" for value in values)
    one, other = (without_folders(str(value)) for value in values)
    if key.endswith("sha256"):
        return one[:_DIGEST], other[:_DIGEST]
    if max(len(one), len(other)) <= _SHOWN:
        return one, other
    equal = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    )
    begin = one.rfind(" ", 0, equal) + 1 if equal > _SHOWN // 2 else 0
    return _cut(one, begin), _cut(other, begin)


def _cut(text: str, begin: int) -> str:
    """At most `_SHOWN` characters from `begin` on, an ellipsis for what is left out."""
    shown = text[begin:]
    if len(shown) > _SHOWN:
        shown = (shown[:_SHOWN].rpartition(" ")[0] or shown[:_SHOWN]) + " …"
    return f"… {shown}" if begin else shown
