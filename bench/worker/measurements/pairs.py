"""Blocks of another loop, one next to each of the harness's: their ratio is of one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.core.system.machine import Monitor


class Block(NamedTuple):
    """A block of another loop: its seconds, and its mean loss where the loop says it."""

    seconds: float
    loss: float | None = None


class Pair(NamedTuple):
    """Seconds of a block of the harness, the other loop's block, and whether others used the CPUs
    during one of them."""

    own: float
    other: Block
    disturbed: bool


class PairedBlocks:
    """Another loop in blocks, one next to each of the harness's.

    In every second pair that counts the other block is first, since the first block after a pause
    may be slower. A pair in which others used the CPUs does not count, and is taken again: as many
    pairs again at the most.
    """

    def __init__(self, take: Callable[[], Block], most: int, monitor: Monitor) -> None:
        """Time nothing yet.

        Args:
            take: Runs and times a block.
            most: Pairs that count.
            monitor: Says whether others use the CPUs during a block.
        """
        self._take, self._most, self._monitor = take, most, monitor
        self._first: tuple[Block, bool] | None = None
        """A block that was taken before the harness's, and whether it was disturbed."""
        self._pairs: list[Pair] = []

    def before(self) -> None:
        """Time a block before the harness's, in every second pair."""
        second = len(self._undisturbed() or self._pairs) % 2
        self._first = self._block() if second and self._wanted() else None

    def after(self, own: float, *, disturbed: bool) -> None:
        """Time a block after the harness's, in the other pairs.

        Args:
            own: Seconds of the harness's block.
            disturbed: Whether others used the CPUs during it.
        """
        if self._wanted():
            other, others = self._first or self._block()
            self._pairs.append(Pair(own, other, disturbed or others))

    def pairs(self) -> list[Pair]:
        """Those that nothing disturbed, or all where there is none of these."""
        return (self._undisturbed() or self._pairs)[: self._most]

    def _undisturbed(self) -> list[Pair]:
        return [pair for pair in self._pairs if not pair.disturbed]

    def _wanted(self) -> bool:
        return len(self._undisturbed()) < self._most and len(self._pairs) < 2 * self._most

    def _block(self) -> tuple[Block, bool]:
        self._monitor.begin()
        block = self._take()
        return block, self._monitor.end().disturbed
