"""Simulated A/A tests of the quick profile's design, with the noise that was measured in it:
``python -m tests.stats.quick_design``.

How wide its intervals are, and how often two equal programs are called faster or slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.cli.calibration import Noise, ratios
from bench.harness.profiles import PROFILES
from bench.stats import estimates
from bench.stats.verdicts import INCONCLUSIVE, TIE, speed_verdict

NOISES = (
    Noise("idiomatic track", between_processes=0.027, within=0.074),
    Noise("closed track", between_processes=0.03, within=0.104),
    Noise("one busy process", between_processes=0.03, within=0.12, disturbed=0.2),
)
"""Of pairs of blocks of cifar-bn on two cores in two runs of ``make bench`` with nothing else
running, pooled over training, inference and latency
(``results/reference-2026-11-26-make-bench`` and a second one). A block in twenty is delayed by a
fifth on average, as in `bench.cli.calibration`; one in five next to a busy process."""


@dataclass(frozen=True)
class Outcome:
    """What a number of simulated A/A tests came to.

    Attributes:
        false: Share that was called faster or slower.
        ties: Share that was called a tie.
        half_widths: Half the widths of the intervals, relative, sorted.
    """

    false: float
    ties: float
    half_widths: tuple[float, ...]

    def half_width(self, share: float) -> float:
        """The half width that this share of the intervals stays within."""
        return self.half_widths[min(int(share * len(self.half_widths)), len(self.half_widths) - 1)]


def quick_shape() -> tuple[int, int]:
    """(processes, pairs of blocks in each) of the quick profile."""
    limits = PROFILES["quick"].limits
    return limits.processes, limits.blocks


def simulate(noise: Noise, shape: tuple[int, int], runs: int, seed: int = 18) -> Outcome:
    """A/A tests of one design under one noise."""
    rng = np.random.default_rng(seed)
    found = [estimates.paired(ratios(noise, shape, 0.0, rng)) for _ in range(runs)]
    words = [speed_verdict(ratio).word for ratio in found]
    return Outcome(
        sum(word not in (TIE, INCONCLUSIVE) for word in words) / runs,
        words.count(TIE) / runs,
        tuple(sorted(ratio.precision for ratio in found)),
    )


def row(noise: Noise, shape: tuple[int, int], runs: int) -> str:
    """A line of the table in docs/statistics.md."""
    found = simulate(noise, shape, runs)
    cells = (
        f"{noise.name}: {100 * noise.between_processes:g} % and {100 * noise.within:g} %",
        f"{100 * found.false:.1f} %",
        f"{100 * found.ties:.0f} %",
        f"± {100 * found.half_width(0.5):.1f} %",
        f"± {100 * found.half_width(0.9):.1f} %",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    import sys

    extra = [tuple(map(int, text.split("x"))) for text in sys.argv[1:]]
    for processes, pairs in extra or [quick_shape()]:
        print(f"{processes} processes of {pairs} pairs")
        for each in NOISES:
            print(row(each, (processes, pairs), 2000))
