"""Samples by the process and the turn that they were taken in: which of them make a pair.

A record keeps its samples flat; ``metrics.interleaving`` says where each comes from. A record
without it is one process that was measured alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import median
from typing import Any, NamedTuple

from bench.core.records import Record


class Block(NamedTuple):
    """Where samples come from: samples are a flat list, in the order of taking."""

    process: int
    """Of the case, from 0."""
    turn: int
    """In that process, from 0: samples of others in the same turn are paired with it."""
    samples: int


Turn = tuple[int, int]
"""(process, turn)."""


class Timed(NamedTuple):
    """Samples with where they come from."""

    samples: Sequence[float]
    blocks: Sequence[Block]
    images_per_sample: int

    def by_process(self) -> list[list[float]]:
        """Samples of each process, in order."""
        found: dict[int, list[float]] = {}
        for block, part in self._by_block():
            found.setdefault(block.process, []).extend(part)
        return list(found.values())

    def speeds(self) -> dict[Turn, float]:
        """Images/s of each turn: of the median sample, where a turn has several."""
        return {
            (block.process, block.turn): self.images_per_sample / max(_middle(part), 1e-9)
            for block, part in self._by_block()
            if part
        }

    def parts(self) -> list[list[float]]:
        """Samples of each block, in order."""
        return [part for _, part in self._by_block()]

    def _by_block(self) -> list[tuple[Block, list[float]]]:
        ends = accumulate(block.samples for block in self.blocks)
        return [
            (block, list(self.samples[end - block.samples : end]))
            for block, end in zip(self.blocks, ends, strict=True)
        ]


def _middle(samples: Sequence[float]) -> float:
    return samples[0] if len(samples) == 1 else float(median(samples))


def timed(record: Record) -> Timed:
    """The samples of a record that is timed in seconds; calls count as one image each."""
    found = _interleaving(record).get("blocks")
    blocks = [Block(*block) for block in found] if found else [Block(0, 0, len(record.samples))]
    return Timed(record.samples, blocks, record.images_per_sample or 1)


def by_process(record: Record) -> list[list[float]]:
    """Samples of each process."""
    return timed(record).by_process()


def interleaved_together(one: Record, other: Record) -> bool:
    """Whether the two were measured in one interleaved run."""
    group = group_of(one)
    return group is not None and group == group_of(other)


def group_of(record: Record) -> str | None:
    """Id of the interleaved run that a record was measured in; None where it was in none."""
    return _interleaving(record).get("group")


Pairs = Sequence[tuple[float, float]]
"""Speeds of two in every turn of a process that both took."""


def ratios(one: Timed, other: Timed) -> list[list[float]]:
    """Speed of ``one`` over that of ``other`` in every turn that both took, by process."""
    return [ratios_of(process) for process in pairs(one, other)]


def ratios_of(process: Pairs) -> list[float]:
    """Speed of the first over that of the second in every turn."""
    return [left / right for left, right in process]


def fastest_ratio(process: Pairs) -> float:
    """Speed of the first over that of the second, of the fastest turn of either."""
    left, right = zip(*process, strict=True)
    return float(max(left) / max(right))


def pairs(one: Timed, other: Timed) -> list[Pairs]:
    """Speeds of both in every turn that both took, by process."""
    left, right = one.speeds(), other.speeds()
    found: dict[int, list[tuple[float, float]]] = {}
    for process, turn in sorted(left.keys() & right.keys()):
        found.setdefault(process, []).append((left[process, turn], right[process, turn]))
    return [*found.values()]


def _interleaving(record: Record) -> Mapping[str, Any]:
    found = record.metrics.get("interleaving")
    return found if isinstance(found, Mapping) else {}
