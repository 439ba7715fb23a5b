"""The kinds of measurement, a row each: everything that code may ask about a kind stands here.

Nothing else compares a kind's name as a string. A new kind is a row here and its measurement in
`bench.worker.measurements`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import UserError


@dataclass(frozen=True)
class Kind:
    """One kind of measurement.

    Attributes:
        name: As records and the command line have it.
        label: As tables and plots have it.
        unit: Of its samples: ``s``, or ``fraction`` for accuracies.
        timed: Whether its samples are seconds of work repeated in fresh processes.
        interleaved: Whether its blocks alternate with those of the other frameworks of a group.
        judged: Whether the precision of its ratio decides when a group has been measured enough.
        throughput: Whether its samples turn into images/s, which can be compared with a peak.
        trained: Whether it trains to the end of a recipe, once per seed.
    """

    name: str
    label: str
    unit: str = "s"
    timed: bool = True
    interleaved: bool = False
    judged: bool = False
    throughput: bool = False
    trained: bool = False


KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        # In the order in which one worker takes them: start-up is over before anything else begins.
        Kind("startup", "start-up"),
        Kind("train_throughput", "training", interleaved=True, judged=True, throughput=True),
        Kind("inference", "inference", interleaved=True, judged=True, throughput=True),
        Kind("latency", "latency"),
        Kind("accuracy", "accuracy", unit="fraction", timed=False, trained=True),
    )
}


def kind(name: str) -> Kind:
    """The row called ``name``.

    Raises:
        UserError: There is no such kind; the message names those there are.
    """
    if name not in KINDS:
        raise UserError(f"unknown kind {name!r}; known: {', '.join(KINDS)}")
    return KINDS[name]
