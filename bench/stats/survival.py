"""Time to an accuracy over seeds, some of which never reached it: Kaplan-Meier estimates.

Pure: times are in the unit of the caller. A seed that ended without reaching the accuracy is
right-censored: it is known only that it needs longer. A seed that was never asked is no seed here.

Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations" (1958); the restricted
mean is that of Royston and Parmar (2013): the area below the survival curve up to a horizon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import CensoredData, ecdf


class Seed(NamedTuple):
    """The outcome of one seed.

    Attributes:
        time: When it reached the accuracy, or until when it had not.
        reached: Whether it did.
    """

    time: float
    reached: bool


class Curve(NamedTuple):
    """The share of seeds that have not yet reached the accuracy: 1 before ``times[0]``.

    Attributes:
        times: In increasing order.
        shares: ``shares[i]`` holds from ``times[i]`` on. After the last time nothing is known,
            unless the share is 0 there.
    """

    times: tuple[float, ...]
    shares: tuple[float, ...]


def survival_curve(seeds: Sequence[Seed]) -> Curve:
    """The Kaplan-Meier curve.

    Raises:
        ValueError: There is no seed.
    """
    if not seeds:
        raise ValueError("a survival curve needs a seed. Received: none")
    reached = [seed.time for seed in seeds if seed.reached]
    censored = [seed.time for seed in seeds if not seed.reached]
    found = ecdf(CensoredData(uncensored=reached, right=censored)).sf
    # scipy leaves a share of 1e-17 after the last of all seeds.
    shares = (0.0 if share < 1e-12 else float(share) for share in found.probabilities)
    return Curve(tuple(map(float, found.quantiles)), tuple(shares))


def median_time(seeds: Sequence[Seed]) -> float | None:
    """When half of the seeds had reached the accuracy; None is never, as far as is known.

    Where the curve stays at one half, the middle of that stretch, as for a median without
    censoring.

    Raises:
        ValueError: There is no seed.
    """
    curve = survival_curve(seeds)
    steps = list(zip(curve.times, curve.shares, strict=True))
    at = next((time for time, share in steps if share <= 0.5 + 1e-12), None)
    if at is None or not math.isclose(_share_at(curve, at), 0.5):
        return at
    # An even number of seeds: the second of the two in the middle may never have arrived.
    after = next((time for time, share in steps if share < 0.5 - 1e-12), None)
    return None if after is None else (at + after) / 2


def restricted_mean(seeds: Sequence[Seed], horizon: float) -> float:
    """Mean time to the accuracy; a seed that has not reached it by ``horizon`` counts as that.

    The area below the survival curve from 0 to ``horizon``.

    Raises:
        ValueError: There is no seed, or the curve is not known as far as ``horizon``.
    """
    curve = survival_curve(seeds)
    known = math.inf if curve.shares[-1] == 0 else curve.times[-1]
    if horizon > known * (1 + 1e-12):
        raise ValueError(f"followed up to {known} only. Received: a horizon of {horizon}")
    area, before, share = 0.0, 0.0, 1.0
    for time, following in zip(curve.times, curve.shares, strict=True):
        if time >= horizon:
            break
        area += share * (time - before)
        before, share = time, following
    return area + share * (horizon - before)


def _share_at(curve: Curve, time: float) -> float:
    return curve.shares[curve.times.index(time)]
