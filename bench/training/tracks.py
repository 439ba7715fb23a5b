"""The tracks, a row each: under which conditions a network is run, and what its figures answer.

Nothing else compares a track's name as a string.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.core.case import Case
from bench.core.errors import unknown


@dataclass(frozen=True)
class Track:
    """Conditions that all cases of a track share.

    Attributes:
        name: As records and the command line have it.
        title: What a table's section says.
        question: What its figures answer, in one sentence.
        certified: Whether its rows need a passed parity certificate.
        shared_weights: Whether every framework starts from the same initial weights.
        shared_masks: Whether every framework applies the same dropout masks.
        shared_precision: Whether the precision is one for all, or each framework's own choice.
        deterministic: Whether the framework's repeatable mode is switched on where it has one.
        own_kernels: Whether our own layers and updates stand in for the framework's.
        recommended_settings: Whether memory layout, precision and execution are those that the
            framework recommends on the device; else they are fixed by the track.
        tuned_environment: Whether the environment that makes a framework faster on the CPU is set.
        paired_seeds: Whether the runs of one seed in two frameworks may be compared as a pair.
        stages: Whether its cases are stages of an ablation, which no other table shows.
    """

    name: str
    title: str
    question: str
    certified: bool = False
    shared_weights: bool = False
    shared_masks: bool = False
    shared_precision: bool = False
    deterministic: bool = False
    own_kernels: bool = False
    recommended_settings: bool = False
    tuned_environment: bool = False
    paired_seeds: bool = False
    stages: bool = False


TRACKS: dict[str, Track] = {
    row.name: row
    for row in (
        Track(
            "closed",
            "Closed track (same weights, batches and arithmetic: only the framework differs)",
            "What differs when only the framework differs?",
            certified=True,
            shared_weights=True,
            shared_masks=True,
            shared_precision=True,
            deterministic=True,
            own_kernels=True,
            paired_seeds=True,
        ),
        Track(
            "idiomatic",
            "Idiomatic track (each framework as its documentation says)",
            "What do I get when I write it as the framework's documentation says?",
            recommended_settings=True,
        ),
        Track(
            "tuned",
            "Tuned track (our own kernels and layouts)",
            "How fast can this network be made here?",
            own_kernels=True,
            recommended_settings=True,
            tuned_environment=True,
        ),
        Track(
            "ablation",
            "Ablation of defaults",
            "What does each of a framework's defaults cost?",
            shared_precision=True,
            paired_seeds=True,
            stages=True,
        ),
    )
}

COMPARED_TRACKS = tuple(row.name for row in TRACKS.values() if not row.stages)
"""Tracks whose cases are compared in the common tables."""
ABLATION = next(row.name for row in TRACKS.values() if row.stages)
"""The track of the ablation of defaults (`bench.training.defaults`)."""


def track(name: str) -> Track:
    """The row called ``name``.

    Raises:
        UserError: There is no such track; the message names those there are.
    """
    if name not in TRACKS:
        raise unknown("track", name, TRACKS)
    return TRACKS[name]


def peers_of(case: Case) -> Case:
    """What cases share that may be compared: the case without its framework.

    Where the precision is each framework's own choice, it is a part of what is compared.
    """
    anonymous = replace(case, framework="")
    return anonymous if track(case.track).shared_precision else replace(anonymous, precision="")
