"""The kinds of measurement, a row each: everything that code may ask about a kind stands here.

Nothing else compares a kind's name as a string. A new kind is a row here and its measurement in
`bench.worker.measurements`, which the row names.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import unknown


@dataclass(frozen=True)
class Kind:
    """One kind of measurement.

    Attributes:
        name: As records and the command line have it.
        label: As tables and plots have it.
        measurement: ``module:function``, from `bench.worker.session.Session` to
            `bench.worker.session.Result`; only a worker imports it.
        unit: Of its samples: ``s``, or ``fraction`` for accuracies.
        summary: What a record's ``summary`` holds: ``rate`` (images/s), ``percentiles``,
            ``median`` or ``mean`` of the samples.
        timed: Whether its samples are seconds of work repeated in fresh processes.
        interleaved: Whether its blocks alternate with those of the other frameworks of a group.
        judged: Whether the precision of its ratio decides when a group has been measured enough.
        throughput: Whether its samples turn into images/s, which can be compared with a peak.
        trained: Whether it trains to the end of a recipe, once per seed.
        startup: Whether it measures a process from its start to its first step.
        parallel: Whether it trains, and is measured on several devices.
        batch_size: Images of one call where the kind fixes it; else the case's.
    """

    name: str
    label: str
    measurement: str
    unit: str = "s"
    summary: str = "median"
    timed: bool = True
    interleaved: bool = False
    judged: bool = False
    throughput: bool = False
    trained: bool = False
    startup: bool = False
    parallel: bool = False
    batch_size: int | None = None


STARTUP = "startup"
TRAIN_THROUGHPUT = "train_throughput"
INFERENCE = "inference"
LATENCY = "latency"
ACCURACY = "accuracy"

KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        # In the order in which one worker takes them: start-up is over before anything else begins.
        Kind(STARTUP, "start-up", "bench.worker.measurements.speed:startup", startup=True),
        Kind(
            TRAIN_THROUGHPUT,
            "training",
            "bench.worker.measurements.speed:train_throughput",
            parallel=True,
            summary="rate",
            interleaved=True,
            judged=True,
            throughput=True,
        ),
        Kind(
            INFERENCE,
            "inference",
            "bench.worker.measurements.speed:inference",
            summary="rate",
            interleaved=True,
            judged=True,
            throughput=True,
        ),
        Kind(
            LATENCY,
            "latency",
            "bench.worker.measurements.speed:latency",
            summary="percentiles",
            interleaved=True,
            batch_size=1,
        ),
        Kind(
            ACCURACY,
            "accuracy",
            "bench.worker.measurements.accuracy:accuracy",
            unit="fraction",
            summary="mean",
            timed=False,
            trained=True,
            parallel=True,
        ),
    )
}

TIMED = tuple(row.name for row in KINDS.values() if row.timed)
THROUGHPUT = tuple(row.name for row in KINDS.values() if row.throughput)


def kind(name: str) -> Kind:
    """The row called ``name``.

    Raises:
        UserError: There is no such kind; the message names those there are.
    """
    if name not in KINDS:
        raise unknown("kind", name, KINDS)
    return KINDS[name]
