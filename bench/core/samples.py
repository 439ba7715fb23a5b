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
            (block.process, block.turn): self.images_per_sample / max(float(median(part)), 1e-9)
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


def ratios(one: Timed, other: Timed) -> list[list[float]]:
    """Speed of ``one`` over that of ``other`` in every turn that both took, by process."""
    return [[left / right for left, right in pairs] for pairs in _pairs(one, other)]


def fastest_ratios(one: Timed, other: Timed) -> list[float]:
    """Speed of ``one`` over that of ``other`` in each process: of the fastest turn of either, among
    those that both took."""
    sides = (zip(*pairs, strict=True) for pairs in _pairs(one, other))
    return [max(left) / max(right) for left, right in sides]


def _pairs(one: Timed, other: Timed) -> list[list[tuple[float, float]]]:
    """Speeds of both in every turn that both took, by process."""
    left, right = one.speeds(), other.speeds()
    found: dict[int, list[tuple[float, float]]] = {}
    for process, turn in sorted(left.keys() & right.keys()):
        pair = left[process, turn], right[process, turn]
        found.setdefault(process, []).append(pair)
    return list(found.values())


def _interleaving(record: Record) -> Mapping[str, Any]:
    found = record.metrics.get("interleaving")
    return found if isinstance(found, Mapping) else {}
