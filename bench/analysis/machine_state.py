"""The machine while a run was measured, in one line for the first screen and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
        shares = [others for record in observed if (others := _others(record)) is not None]
        if not shares:
            return None
        if max(shares) > OTHERS:
            return (
                f"Other processes used up to {100 * max(shares):.0f} % of the CPUs, although no "
                f"measurement counts as disturbed: blocks were measured again, or are too "
                f"short to tell. {advice}"
            )
        return (
            f"The machine was quiet: others used at most {math.ceil(100 * max(shares))} % of the "
            f"CPUs.{_swapped(observed)}"
        )
    found = f"{len(disturbed)} of {many(len(observed), 'measurement')}"
    verb = "gives" if len(disturbed) == 1 else "give"
    return f"DISTURBED: {found} {verb} no verdict on speed: {_causes(disturbed)}. {advice}"


def _causes(records: Sequence[Record]) -> str:
    """What took more of the CPUs than is tolerated, with its largest share."""
    words = {
        "others": (OTHERS, "other processes used up to {} of the CPUs"),
        "steal": (STEAL, "a hypervisor took up to {} of them"),
        "throttled": (THROTTLED, "the CPU quota held them back for up to {} of the time"),
    }
    found = []
    for name, (limit, text) in words.items():
        highest = _highest(records, name)
        if highest > limit:
            found.append(text.format(f"{100 * highest:.0f} %"))
    return ", ".join(found)


def _highest(records: Iterable[Record], name: str) -> float:
    shares = (share for r in records for share in r.metrics["machine"].get(name) or ())
    return max((share for share in shares if share is not None), default=0.0)


def _state(record: Record) -> dict[str, Any]:
    """The machine during the whole group of a record."""
    return record.environment.get("machine_state") or {}


def _others(record: Record) -> float | None:
    """The share of others during a whole group: that of a short block is not known well.

    A group that went on after its last block has no state of its own: then the mean over the
    record's blocks.
    """
    whole: float | None = _state(record).get("others")
    if whole is not None:
        return whole
    blocks = record.metrics["machine"]
    pairs = zip(blocks.get("others") or (), blocks.get("seconds") or (), strict=False)
    known = [(share, seconds) for share, seconds in pairs if share is not None and seconds]
    total = sum(seconds for _, seconds in known)
    return sum(share * seconds for share, seconds in known) / total if total else None


def _swapped(records: Iterable[Record]) -> str:
    swapped = max((_state(record).get("swapped_bytes") or 0 for record in records), default=0)
    return f" The machine swapped {swapped / 2**20:,.0f} MiB meanwhile." if swapped else ""
