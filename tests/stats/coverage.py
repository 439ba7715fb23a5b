"""Simulated coverage of the 95 % interval of a ratio: ``python -m tests.stats.coverage``."""

from __future__ import annotations

import numpy as np

from bench.stats import estimates

SPREADS = (0.01, 0.03, 0.06, 0.10)
"""Standard deviations between processes, of the logarithm of a ratio."""
PROCESSES = (2, 3, 5)
PAIRS, WITHIN = 3, 0.01
"""Pairs of blocks in a process, and their spread."""


def coverage(spread: float, processes: int, runs: int) -> float:
    """Share of simulated runs whose interval holds the true ratio of 1."""
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(runs):
        own = rng.normal(0, spread, (processes, 1))
        logarithms = own + rng.normal(0, WITHIN, (processes, PAIRS))
        _, low, high = estimates.paired(np.exp(logarithms).tolist()).ratio
        assert low is not None
        assert high is not None
        hits += low <= 1 <= high
    return hits / runs


if __name__ == "__main__":
    for spread in SPREADS:
        shares = [coverage(spread, processes, 4000) for processes in PROCESSES]
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        print(f"| {100 * spread:g} % | {cells} |")
