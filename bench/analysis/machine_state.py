"""The machine while a run was measured, in one line for the first screen and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from bench.core.records import Record
from bench.core.system.machine import OTHERS, STEAL, THROTTLED, is_disturbed
from bench.core.text import many


def machine_line(records: Iterable[Record]) -> str | None:
    """One sentence: whether others used the CPUs during the measurements.

    Args:
        records: Records of one run or of several.

    Returns:
        None where no record says anything of it.
    """
    observed = [record for record in records if record.ok and record.metrics.get("machine")]
    if not observed:
        return None
    advice = f"Measure again on a quiet machine.{_swapped(observed)}"
    disturbed = [record for record in observed if is_disturbed(record.metrics)]
    if not disturbed:
        if all(_whole(record, "others") is None for record in observed):
            return None
        highest = {name: max(_whole(r, name) or 0.0 for r in observed) for name in _CAUSES}
        if causes := _over(highest):
            return (
                f"{causes[:1].upper()}{causes[1:]}, although no measurement counts as disturbed: "
                f"blocks were measured again, or are too short to tell. {advice}"
            )
        return (
            f"The machine was quiet: others used at most {math.ceil(100 * highest['others'])} % "
            f"of the CPUs.{_swapped(observed)}"
        )
    highest = {name: _highest(disturbed, name) for name in _CAUSES}
    found = f"{len(disturbed)} of {many(len(observed), 'measurement')}"
    verb = "gives" if len(disturbed) == 1 else "give"
    return f"DISTURBED: {found} {verb} no verdict on speed: {_over(highest)}. {advice}"


_CAUSES = {
    "others": (OTHERS, "other processes used up to {} of the CPUs"),
    "steal": (STEAL, "a hypervisor took up to {} of the CPUs"),
    "throttled": (THROTTLED, "the CPU quota held the processes back for up to {} of the time"),
}
"""What takes CPUs from a measurement: how much of them is tolerated, and its words."""


def _over(shares: Mapping[str, float]) -> str:
    """What took more than is tolerated, with its largest share."""
    return ", ".join(
        text.format(f"{100 * shares[name]:.0f} %")
        for name, (limit, text) in _CAUSES.items()
        if shares[name] > limit
    )


def _highest(records: Iterable[Record], name: str) -> float:
    shares = (share for r in records for share in r.metrics["machine"].get(name) or ())
    return max((share for share in shares if share is not None), default=0.0)


def _state(record: Record) -> dict[str, Any]:
    """The machine during the whole group of a record."""
    return record.environment.get("machine_state") or {}


def _whole(record: Record, name: str) -> float | None:
    """The share of a cause during a whole group: that of a short block is not known well.

    A group that went on after its last block has no state of its own: then the mean over the
    record's blocks.
    """
    whole: float | None = _state(record).get(name)
    if whole is not None:
        return whole
    blocks = record.metrics["machine"]
    pairs = zip(blocks.get(name) or (), blocks.get("seconds") or (), strict=False)
    known = [(share, seconds) for share, seconds in pairs if share is not None and seconds]
    total = sum(seconds for _, seconds in known)
    return sum(share * seconds for share, seconds in known) / total if total else None


def _swapped(records: Iterable[Record]) -> str:
    swapped = max((_state(record).get("swapped_bytes") or 0 for record in records), default=0)
    return f" The machine swapped {swapped / 2**20:,.0f} MiB meanwhile." if swapped else ""
