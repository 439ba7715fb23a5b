"""What must be the same of two records before one is held against the other.

The rules are data: which settings and machine facts, in which track. What is unknown of either
side (None, or not recorded) is never a reason to refuse: some frameworks cannot be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.experiments import Experiment
from bench.core.records import Record
from bench.core.text import flatten, without_folders
from bench.training.tracks import track

_SHOWN = 60  # characters of a value: enough to tell two apart
_DIGEST = 12  # and of a hash


@dataclass(frozen=True)
class Rule:
    """Keys that must be equal where both are known."""

    where: str
    """The field of a record that holds them: ``settings`` or ``environment``."""
    keys: str
    """A regular expression for whole dotted keys."""
    certified: bool = False
    """Whether only certified tracks promise it; else every track does."""
    per_seed: bool = False
    """Whether two seeds differ in it rightly."""

    def holds(self, name: str, *, same_seed: bool) -> bool:
        """Whether it is asked of two records of the track `name`."""
        return (track(name).certified or not self.certified) and (same_seed or not self.per_seed)


ROWS = (
    # One had more of the machine than the other, whatever the track promises beside that.
    Rule("settings", r".*affinity.*"),
    Rule("settings", r".*thread.*"),
    Rule("settings", r"device"),
    Rule("environment", r"cpu|cores|gpu"),
    # The closed track's promise. Layout and execution are each framework's own and may differ.
    Rule("settings", r"weight_dtype|compute_dtype|accumulat.*", certified=True),
    Rule("settings", r".*tf32.*", certified=True),
    Rule("settings", r"initial_weights_sha256|batch_plan_sha256", certified=True, per_seed=True),
    Rule("settings", r"recipe\.(?!description$).*", certified=True),
)
"""Two frameworks in one table: what the track says they share."""

RUNS = (
    *ROWS,
    Rule("settings", r"recipe\.(?!description$).*"),
    # One framework, one case: execution, compilation, layout, determinism and whatever else it
    # says of itself, but for what differs from start to start.
    Rule("settings", r"(?!(recipe|pid|port|started_at|seconds|load_average)\b).*"),
)
"""The same case in two runs: all that is known."""


@dataclass(frozen=True)
class Difference:
    """One key that is known of two records and not equal."""

    key: str
    one: str
    other: str

    @property
    def words(self) -> str:
        """``intra_op_threads 2 against 1``."""
        return f"{self.key} {self.one} against {self.other}"


def differences(
    one: Record, other: Record, rules: Iterable[Rule] = ROWS, *, same_seed: bool = True
) -> list[Difference]:
    """What the rules of the first record's track forbid, in the order of the rules."""
    facts = {
        where: (flatten(getattr(one, where)), flatten(getattr(other, where)))
        for where in ("settings", "environment")
    }
    found: dict[str, Difference] = {}
    for rule in rules:
        if not rule.holds(one.case.track, same_seed=same_seed):
            continue
        left, right = facts[rule.where]
        for key in left:
            if re.fullmatch(rule.keys, key) and _unequal(key, left, right):
                shown = (_shown(key, left[key]), _shown(key, right[key]))
                found.setdefault(key, Difference(key, *shown))
    return list(found.values())


def differences_between(one: Experiment, other: Experiment) -> list[Difference]:
    """What keeps two rows of a table from being compared, seed by seed."""
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


def _unequal(key: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    values = left[key], right.get(key)
    if None in values:
        return False
    if key == "device":
        return _device(values[0]) != _device(values[1])
    return bool(values[0] != values[1])


def _device(name: Any) -> str:
    """``cuda:0``, ``cuda`` and ``gpu`` are one device, called by three frameworks."""
    base = str(name).lower().partition(":")[0].strip("/")
    return "gpu" if base == "cuda" else base


def _shown(key: str, value: Any) -> str:
    length = _DIGEST if key.endswith("sha256") else _SHOWN
    return without_folders(str(value))[:length]
