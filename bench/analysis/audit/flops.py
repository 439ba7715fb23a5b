"""Operations of an image compared with the network's row."""

from __future__ import annotations

from functools import lru_cache

from bench.core.kinds import kind
from bench.core.records import Record
from bench.networks.variants import VARIANTS, variant

_MOST_CLASSES = 30_000


def flops(record: Record) -> str | None:
    """What is wrong with a record's operations of an image; None where nothing is.

    They grow with the number of classes, which a record of a speed does not name: they are right
    where they are those of the network for some number of classes.
    """
    found = record.metrics["flops_per_image"]
    case = record.case
    if case.variant not in VARIANTS or case.frozen:
        return None
    training = kind(record.kind).parallel
    for least, each in _of_network(case.variant, case.head, case.input_size, training=training):
        classes, rest = divmod(found - least, each)
        if rest == 0 and 0 <= classes <= _MOST_CLASSES:
            return None
    return f"{found:,} operations of an image, which are not those of {case.variant}"


@lru_cache(maxsize=256)
def _of_network(
    name: str, head: str, input_size: int, *, training: bool
) -> tuple[tuple[int, int], ...]:
    """Operations for two classes and of every further class; by each way to count small maps."""
    two, three = (variant(name).architecture(n, head=head, input_size=input_size) for n in (2, 3))
    if not training:
        return ((two.forward_flops(), three.forward_flops() - two.forward_flops()),)
    ways = []
    for dense in (False, True):
        least, next_one = (a.training_flops(small_maps_dense=dense) for a in (two, three))
        ways.append((least, next_one - least))
    return tuple(ways)
