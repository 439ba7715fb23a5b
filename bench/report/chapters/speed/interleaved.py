"""Interleaved runs: ratios of speed by pairs of blocks, and the smallest detectable difference."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.experiments import Experiment
from bench.analysis.results import Results
from bench.analysis.rows import Row, caveats_of_both, identity, ratio_columns
from bench.core.kinds import KINDS, kind
from bench.report.captions import ARROW, HOLLOW, With
from bench.report.charts.forest import EVEN_SPEED, Forest
from bench.report.columns import (
    Column,
    case_of,
    disturbed_column,
    ends,
    how,
    kind_column,
    kind_of,
    text,
    who,
    whole,
)
from bench.report.format import NOTHING, RATIO, known, percent
from bench.report.leads import compared
from bench.report.table import Chart, Table
from bench.stats.verdicts import SPEED, speed_verdict

_PAIRED = tuple(
    row.name
    for row in sorted(KINDS.values(), key=lambda row: row.startup)
    if row.interleaved or row.startup
)
"""In the order of the table's rows and the plot's panels."""

_WHY = {
    "precision": "goal reached",
    "time limit": "time limit",
    "processes": "as many as asked for",
    "failure": "a process failed",
}


def interleaved_rows(results: Results) -> list[Row]:
    """Speed of every framework over that of the reference that it ran interleaved with.

    ``ratio`` with its 95 % interval, ``pairs`` and ``processes`` that it rests on, ``detectable``
    (relative difference that so many would have found four times out of five), ``stopped`` and
    ``precision_goal``: why no more were taken. A start-up is one pair of processes.
    """
    rows = []
    for experiment in results.experiments(*_PAIRED):
        reference = results.reference(experiment)
        if reference is not None and reference is not experiment:
            row = _row(experiment, reference, results)
            rows += [row] if row else []
    return sorted(rows, key=lambda row: _PAIRED.index(row["kind"]))


def _row(experiment: Experiment, reference: Experiment, results: Results) -> Row | None:
    found = results.interleaved(experiment, reference)
    if found is None:
        return None
    versus = found.ratio
    row = identity(experiment, results.data) | {"kind": experiment.kind}
    row |= results.comparability(experiment) | caveats_of_both(experiment, reference)
    row["reference_precision"] = reference.case.precision
    row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
    turns = experiment.ok[0].metrics.get("interleaving") or {}
    row |= {"pairs": versus.pairs, "processes": versus.processes, "detectable": versus.detectable}
    row |= {"disturbed": versus.disturbed, "doubt": versus.doubt or None}
    # Only where a process has several blocks to choose from.
    several = kind(experiment.kind).interleaved and kind(experiment.kind).throughput
    fastest = found.fastest_ratio if several and not row["not_compared"] else None
    row |= dict(zip(_FASTEST, fastest or (None, None, None), strict=True))
    row |= {name: turns.get(name) for name in ("stopped", "precision_goal")}
    row |= {"group_seconds": turns.get("group_seconds"), "lost": _lost(experiment, reference)}
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    return row | ratio_columns(versus.ratio, speed_verdict(versus).word)


def _lost(experiment: Experiment, reference: Experiment) -> str | None:
    """What a framework of the ratio lost, as a process that failed; the reference's by its name."""
    own, theirs = (
        (e.ok[0].metrics.get("interleaving") or {}).get("lost") for e in (experiment, reference)
    )
    named = f"{reference.case.framework_label}: {theirs}" if theirs else None
    return "; ".join(filter(None, (own, named))) or None


_FASTEST = ("fastest_ratio", "fastest_ratio_low", "fastest_ratio_high")


def columns(rows: Sequence[Row]) -> list[Column]:
    """The ratio, what it rests on, and the smallest difference that it could have found."""
    return [
        kind_column(),
        *who(),
        Column("ratio", lambda row: RATIO.value(row["ratio"])),
        text("verdict", "verdict"),
        ends(RATIO, "ratio_low", "ratio_high"),
        Column("compared with", reference_of, right=False),
        Column("fastest blocks", _fastest_blocks, usual=NOTHING),
        whole("processes", "processes"),
        whole("pairs", "pairs"),
        Column("detectable", _detectable),
        Column("stopped at", _stopped, right=False),
        text("lost", "lost", usual=NOTHING),
        disturbed_column(),
        text("no verdict, since", "doubt", usual=NOTHING),
        *how(rows),
    ]


def reference_of(row: Row) -> str:
    """The reference, with its precision where that is another one."""
    name, precision = str(row["reference"]), str(row["reference_precision"])
    same = row["precision"] == precision or name.endswith(f" {precision}")
    return name if same else f"{name} {precision}"


def _fastest_blocks(row: Row) -> str:
    value, low, high = (row[name] for name in _FASTEST)
    return NOTHING if value is None else RATIO.estimate(value, low, high)


def _detectable(row: Row) -> str:
    value = row["detectable"]
    return NOTHING if value is None or not known(value) else f"± {percent(value)}"


def _stopped(row: Row) -> str:
    why = _WHY.get(row["stopped"], str(row["stopped"]))
    if row["stopped"] == "precision" and row["precision_goal"] is not None:
        return f"{why} (± {percent(row['precision_goal'])})"
    limited = row["stopped"] == "time limit" and row["group_seconds"] is not None
    return f"{why} ({row['group_seconds']:g} s)" if limited else why


def speed_ratio_rows(results: Results) -> list[Row]:
    """The rows of the table, and the ratios of what did not run interleaved with its reference."""
    rows = list(results.once(interleaved_rows))
    paired = {(row["kind"], case_of(row)) for row in rows}
    for experiment in results.experiments(*_PAIRED):
        reference = results.reference(experiment)
        if reference is None or reference is experiment:
            continue
        if kind(experiment.kind).startup:
            continue  # no table has a ratio of start-ups that are no pairs
        if (experiment.kind, experiment.case) not in paired:
            rows.append(_unpaired(experiment, reference, results))
    return sorted(rows, key=lambda row: _PAIRED.index(row["kind"]))


def _unpaired(experiment: Experiment, reference: Experiment, results: Results) -> Row:
    row = identity(experiment, results.data) | {"kind": experiment.kind}
    row |= results.comparability(experiment) | caveats_of_both(experiment, reference)
    row |= {"reference_precision": reference.case.precision, "pairs": None}
    row |= {"parity": experiment.parity, "parity_problem": experiment.problem}
    if row["not_compared"]:
        return row | ratio_columns(None, "not comparable")
    versus = results.ratio(experiment, reference)
    return row | ratio_columns(versus.ratio, speed_verdict(versus).word)


def _conditions(row: Row) -> str:
    """Both precisions where they differ, and that the two did not run interleaved."""
    words = [] if row["pairs"] else ["not interleaved"]
    if row["precision"] != row["reference_precision"]:
        words.insert(0, f"{row['precision']} over {row['reference_precision']}")
    return ", ".join(words)


def _across(rows: Sequence[Row]) -> str:
    return f"speed over {', '.join(dict.fromkeys(str(row['reference']) for row in rows))}"


SPEEDS = Forest(
    "speed_ratios",
    "Speed over the reference framework",
    (
        "Right of the line is faster. Marks are ratios of speed, by pairs of interleaved blocks "
        "unless the name says otherwise; lines are their 95 % intervals over processes, and the "
        "shaded band is the margin of a tie.",
        With((HOLLOW,), "A mark without a verdict of faster or slower is hollow."),
        "The axis is logarithmic where intervals span more than a factor of four.",
        With((ARROW,), "An arrow with a value is an end beyond the panel."),
    ),
    "interleaved",
    speed_ratio_rows,
    _across,
    RATIO,
    heading=kind_of,
    detail=_conditions,
    even=EVEN_SPEED,
    decided=lambda row: row["verdict"] in (SPEED.above, SPEED.below),
)

TABLE = Table(
    "interleaved",
    "Interleaved runs",
    (
        "All frameworks of one network ran interleaved (A B B A), one block at a time, in several "
        "fresh processes. The ratio is of speed: above 1x is faster than the reference. It is the "
        "geometric mean over processes of the median ratio of neighbouring blocks. Its 95 % "
        "interval is Student's t over the processes: the standard error comes from the spread "
        "between processes (moderated by a usual one where there are fewer than four) and is not "
        "below that of a bootstrap of the pairs within them. An interval that contains 1 is a tie "
        "where it lies wholly within ± 10 %, else inconclusive; so is any ratio of one process. "
        "*Detectable* is the smallest difference that this many pairs would have found four times "
        "out of five.",
        With(
            ("fastest blocks",),
            "*Fastest blocks* is the same ratio of the fastest block of each framework in a "
            "process, without what slows some blocks of one framework alone; no verdict rests on "
            "it.",
        ),
        "*Stopped at* says why no more pairs were taken: every ratio was as precise as the goal, "
        "or the time was up.",
        With(
            ("lost",),
            "*Lost* is a process that failed: its framework took no part in the rounds after it, "
            "and the goal was judged of the others alone.",
        ),
    ),
    interleaved_rows,
    columns,
    charts=(Chart("speed_ratios", SPEEDS.draw, _PAIRED),),
    times=_PAIRED,
    lead=compared("verdict"),
)
