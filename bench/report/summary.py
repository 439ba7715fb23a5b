"""The words at the head of a report: what was run, on which data and machine, what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from bench.analysis.certified import is_certified_row
from bench.analysis.experiments import frameworks_of, labels
from bench.analysis.results import Results
from bench.analysis.rows import (
    Row,
    accuracy_rows,
    comparability_rows,
    throughput_rows,
)
from bench.core.case import Case
from bench.core.kinds import TRAIN_THROUGHPUT, kind
from bench.core.records import Record
from bench.core.system.environment import gpu_line
from bench.core.text import many
from bench.report import footnotes
from bench.report.chapters.learning import ablation
from bench.report.columns import case_of, framework_of
from bench.report.format import fixed, joined, known, percent, ratio, significant
from bench.report.report import Records, Report
from bench.training.tracks import TRACKS, peers_of

_GIB = 2**30


@dataclass(frozen=True)
class Headlines:
    """The main numbers of one dataset and track, a line per network."""

    title: str
    lines: tuple[str, ...]


def what_was_run(report: Records) -> str:
    """One paragraph: how many measurements, of what, and when."""
    records = Report.of(report).records
    if not records:
        return "Nothing was measured: the run has no records."
    ok = sum(record.ok for record in records)
    networks = dict.fromkeys(record.case.variant for record in records)
    found = {record.case.track for record in records}
    tracks = [track for track in TRACKS if track in found]
    seeds = len({record.case.seed for record in records})
    sentences = [
        f"{ok} of {many(len(records), 'measurement')} gave a result{_trouble(records)}.",
        f"{many(len(networks), 'network')} ({', '.join(networks)}) in "
        f"{', '.join(frameworks_of(records))}; {joined(tracks)} track; "
        f"{many(seeds, 'seed')}.",
    ]
    if len(runs := dict.fromkeys(record.run for record in records if record.run)) > 1:
        sentences.append(f"Of {len(runs)} runs: {', '.join(runs)}; the tables name each row's.")
    started = sorted(record.started_at for record in records if record.started_at)
    if started:
        took = duration(sum(record.seconds for record in records))
        sentences.append(
            f"Begun {_minute(started[0])}; the measurements add up to {took} (checks, certificates "
            "and this report are not in it)."
        )
    return " ".join(sentences)


def duration(seconds: float) -> str:
    """A duration in words: ``25 seconds``, ``9 minutes``, ``3.2 hours``."""
    if seconds < 120:
        return f"{significant(seconds, 2)} seconds"
    if seconds < 7200:
        return f"{fixed(seconds / 60, 0)} minutes"
    return f"{fixed(seconds / 3600, 1)} hours"


def warnings(report: Records) -> list[str]:
    """What a reader must know before any figure: synthetic images, and the caveats of records."""
    lines = []
    datasets = Report.of(report).datasets
    for results in datasets:
        where = footnotes.on_data(results.data) if len(datasets) > 1 else ""
        trained = [r for r in results.records if r.ok and kind(r.kind).trained]
        if trained and results.data.is_synthetic:
            lines.append(
                f"{results.data.name}: the images are synthetic. Accuracies on them say nothing "
                "about CIFAR-10, and nothing about how good a network is."
            )
        rows = results.once(comparability_rows) + results.once(ablation.TABLE.rows)
        lines += footnotes.caveats(rows, where=where)
        lines += footnotes.removed((r for r in results.removed if kind(r.kind).timed), where=where)
    return list(dict.fromkeys(lines))


def _minute(moment: str) -> str:
    """An ISO 8601 time as a reader would write it; as it is when it cannot be read."""
    try:
        return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return moment


def _trouble(records: Iterable[Record]) -> str:
    counts = Counter(record.status for record in records if not record.ok)
    words = {"timeout": "ran out of time", "oom": "ran out of memory", "skipped": "skipped"}
    parts = [f"{number} {words.get(status, status)}" for status, number in sorted(counts.items())]
    return "".join(f", {part}" for part in parts)


def which_data(records: Records) -> list[str]:
    """A line per dataset: name, sizes, fingerprint, and what its source said about it."""
    return [_data_line(results) for results in Report.of(records).datasets]


def _data_line(results: Results) -> str:
    data, records = results.data, results.records
    dataset = next((r.dataset for r in records if r.dataset.get("fingerprint")), {})
    if not dataset:
        return f"{many(len(records), 'measurement')} ended before the data was known."
    line = f"{data.name}: {_sizes(dataset)}, fingerprint {data.short}."
    notes = dataset.get("notes") or ()
    return " ".join([line, *([notes] if isinstance(notes, str) else map(str, notes))])


def _sizes(dataset: Mapping[str, Any]) -> str:
    parts = [
        f"{dataset[key]:,} {what} images"
        for key, what in (("train_images", "training"), ("test_images", "test"))
        if isinstance(dataset.get(key), int)
    ]
    return " and ".join(parts) or "sizes unknown"


def which_machines(environments: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line per machine: what it is, then the framework versions of each environment on it."""
    found: dict[str, dict[str, None]] = {}
    for environment in environments:
        versions = environment.get("versions") or {}
        machine = found.setdefault(which_machine({**environment, "versions": {}}), {})
        machine[", ".join(f"{name} {version}" for name, version in versions.items())] = None
    named = {machine: "; ".join(filter(None, versions)) for machine, versions in found.items()}
    return [", ".join(filter(None, pair)) for pair in named.items()]


def which_machine(environment: Mapping[str, Any]) -> str:
    """One line: processor, memory, system, Python, framework versions."""
    memory = environment.get("memory_bytes")
    parts = [
        str(environment.get("cpu") or "unknown processor"),
        many(environment["cores"], "core") if environment.get("cores") else "",
        f"{memory / _GIB:.1f} GiB" if memory else "",
        *_limits(environment),
        gpu_line(environment),
        str(environment.get("os") or ""),
        f"Python {environment['python']}" if environment.get("python") else "",
        *(f"{name} {version}" for name, version in (environment.get("versions") or {}).items()),
    ]
    return ", ".join(part for part in parts if part)


def _limits(environment: Mapping[str, Any]) -> list[str]:
    """What a control group allows, where that is less than the machine has."""
    quota, memory = environment.get("cpu_quota"), environment.get("memory_limit_bytes")
    limited = quota is not None and quota < (environment.get("cores") or 0)
    return [
        *([f"CPU quota {quota:g}"] if limited else []),
        *([f"memory limit {memory / _GIB:.1f} GiB"] if memory else []),
    ]


def headlines(records: Records) -> list[Headlines]:
    """Training speed and accuracy of every network that has them, by dataset and track.

    Uncertified rows are named, with why, but their numbers are not.
    """
    found = []
    for results in Report.of(records).datasets:
        data = results.data
        speeds = [r for r in results.once(throughput_rows) if r["kind"] == TRAIN_THROUGHPUT]
        rows = [*speeds, *results.once(accuracy_rows)]
        for track in TRACKS:
            measured = [row for row in rows if row["track"] == track and row["seeds"]]
            certified = [row for row in measured if is_certified_row(row)]
            synthetic = " on synthetic images" if data.is_synthetic else ""
            lines = [
                *_lines(
                    [row for row in certified if "accuracy" in row],
                    partial(_accuracies, where=synthetic),
                ),
                *_lines([row for row in certified if "accuracy" not in row], _speeds),
                *(
                    f"Uncertified and shown apart: {why}."
                    for why in footnotes.why_uncertified(measured)
                ),
                *(f"{line}." for line in footnotes.mixed_caveats(certified)),
            ]
            if lines:
                title = f"{track.capitalize()} track on {data.name} ({data.short})"
                found.append(Headlines(title, tuple(lines)))
        stages = results.once(ablation.TABLE.rows)
        gaps = ablation.gap_lines(stages)
        if gaps:
            gaps += [f"{line}." for line in footnotes.caveats(stages)]
            found.append(
                Headlines(f"Ablation of defaults on {data.name} ({data.short})", tuple(gaps))
            )
    return found


def _lines(rows: Sequence[Row], words: Callable[[Sequence[Row]], str]) -> list[str]:
    """A line per network, each with all its frameworks."""
    parts: dict[Case, list[Row]] = {}
    for row in rows:
        parts.setdefault(peers_of(case_of(row)), []).append(row)
    names = labels(parts)
    return [f"{names[case]}: {words(part)}" for case, part in parts.items()]


def _speeds(rows: Sequence[Row]) -> str:
    names = _names(rows)
    first = f"{names[0]} trains at {significant(rows[0]['images_per_second'])} images/s"
    others = [_against(name, row) for name, row in zip(names[1:], rows[1:], strict=True)]
    return "; ".join([first, *others]) + "."


def _names(rows: Sequence[Row]) -> list[str]:
    """The frameworks, with their precision where the rows have several; signed for a caveat."""
    several = len({row["precision"] for row in rows}) > 1
    return [
        footnotes.signed(
            f"{framework_of(row)} in {row['precision']}" if several else framework_of(row),
            on=footnotes.has_caveat(row, seconds=footnotes.is_timed(row)),
        )
        for row in rows
    ]


def _against(name: str, row: Row) -> str:
    if row["ratio"] is None:
        speed = significant(row["images_per_second"])
        why = f"not comparable ({row['not_compared']})" if row["not_compared"] else "no reference"
        return f"{name} at {speed} images/s, {why}"
    verdict = ": ".join(word for word in (row["verdict"], row.get("doubt")) if word)
    return f"{name} {ratio(row['ratio'], row['ratio_low'], row['ratio_high'])} ({verdict})"


def _accuracies(rows: Sequence[Row], where: str = "") -> str:
    named = zip(_names(rows), rows, strict=True)
    shown = [_accuracy(name, row) for name, row in named if known(row["accuracy"])]
    seeds = sorted({row["seeds"] for row in rows})
    over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    what = "seed" if seeds[-1] == 1 else "seeds"
    short = sorted({str(row["recipe"]) for row in rows if row["published_unlike"]})
    recipes = f", recipe {joined(short)}" if short else ""
    return f"test accuracy{where} {', '.join(shown)} ({over} {what}{recipes})."


def _accuracy(name: str, row: Row) -> str:
    shown = f"{name} {percent(row['accuracy'])}"
    return f"{shown}, not comparable ({row['not_compared']})" if row["not_compared"] else shown
