"""Which jobs run interleaved: the groups of a run.

A group holds one network in all frameworks. Networks that are compared for their normalisation join
one group where the profile says so: then the cost of BatchNorm or LRN is a ratio of paired blocks,
too. One group for both comparisons takes as many processes and blocks as a group per network, and
each block is in several ratios; separate groups of normalisations would take every block twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import replace

from bench.core.case import Case
from bench.core.kinds import kind
from bench.core.limits import Limits
from bench.core.system import nvml
from bench.core.system.devices import accelerated
from bench.core.system.resources import usable_memory
from bench.harness.matrix import Job
from bench.networks.normalisations import family
from bench.training.frameworks import ranks_of
from bench.training.tracks import peers_of

_GIB = 2**30
_PROCESS_BYTES = _GIB
_IMAGE_BYTES = 4.5 * 2**20
"""Resident memory of a worker: so much, and so much per image of 32×32 pixels in a batch. Published
runs: 1.1 to 1.6 GiB at batch 128, 1.7 to 2.2 GiB at batch 256."""


def groups(
    found: Sequence[Job], together: Collection[str] = (), memory: int | None = None
) -> list[tuple[Job, ...]]:
    """Jobs that are measured together, in the order of their first ones.

    Args:
        found: All jobs of the run.
        together: Networks that share a group where they differ in their normalisation alone.
        memory: Bytes that the processes of a group may take together, of this machine by default:
            idle ones stay in memory, of an accelerator as well. A group that needs more is one per
            network instead.

    Returns:
        All frameworks of one network, or of several, where it is timed; each training alone.
    """
    limit = usable_memory() if memory is None else memory
    made = []
    scaled = len({job.case.devices for job in found}) > 1
    for group in _by(found, lambda job: _shared(job, together, scaled=scaled)):
        on_card = sum(_PROCESS_BYTES + _bytes_of_images(job) for job in group)  # one card of each
        fits = on_card <= _card_bytes(group[0].case.device) and sum(map(bytes_of, group)) <= limit
        made += [group] if fits else _by(group, lambda job: _shared(job, ()))
    return made


def in_round(cases: Iterable[Case], limits: Limits, process: int) -> set[Case]:
    """The cases of a group that take part in a round of processes, counted from 0.

    Networks that are measured in one framework alone, next to some that are compared between
    frameworks, leave after `Limits.normalisation_processes`: the others' rounds are shorter then.
    """
    every = set(cases)
    most = limits.normalisation_processes
    if most is None or process < most:
        return every
    frameworks = Counter(map(peers_of, every))
    return {case for case in every if frameworks[peers_of(case)] > 1} or every


def _by(found: Sequence[Job], key: Callable[[Job], Hashable]) -> list[tuple[Job, ...]]:
    by_key: dict[Hashable, list[Job]] = {}
    for job in found:
        by_key.setdefault(key(job), []).append(job)
    return [tuple(group) for group in by_key.values()]


def _shared(job: Job, together: Collection[str], *, scaled: bool = False) -> Hashable:
    """What the jobs of a group have in common.

    In a run on several numbers of devices, neither that number nor the batch: then speed-ups are
    ratios of paired blocks.
    """
    if not kind(job.tasks[0].kind).timed:
        return job.case
    peers = peers_of(job.case)
    if scaled:
        peers = replace(peers, devices=1, batch_size=0)
    if peers.variant not in together:
        return peers
    return replace(peers, variant=family(peers.variant)[0])


def _card_bytes(device: str) -> float:
    """Memory of an accelerator, where it is known: of the CPU there is no other limit."""
    facts = nvml.card(device).facts() if accelerated(device) else None
    return (facts or {}).get("memory_bytes") or math.inf


def bytes_of(job: Job) -> float:
    """Resident memory of the processes of a job, about."""
    return _PROCESS_BYTES * ranks_of(job.case) + _bytes_of_images(job)


def _bytes_of_images(job: Job) -> float:
    return _IMAGE_BYTES * job.case.batch_size * (job.case.input_size / 32) ** 2
