"""``kill -9`` of parent, worker or both at random moments; then ``--resume`` without options.

Moments are drawn in phases of a run, since most of its time is spent in few of them: anywhere,
while certificates are made, when a record is written, when a checkpoint is, and in the report.
Runs of the fakes are followed by trainings of the real frameworks (`tests.reliability.trainings`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from bench.core.kinds import kind
from bench.core.records import FILE, Record
from bench.core.run_paths import RUN_FILE
from bench.harness.resumption.checkpoints import FOLDER
from bench.training.frameworks import FRAMEWORKS
from tests.reliability import trainings
from tests.reliability.support import Figures, Place, Started, main, place, problem_with

TARGETS = ("parent", "worker", "both")
FRESH = 0.1
"""Share of runs that begin with their imports, in the command and in its workers; the others are
forked from processes that have them (`tests.reliability.starts`)."""
PHASE_SECONDS = 120
"""After which a phase that does not come is not waited for any more."""
LAST = "in the report"
"""The phase of a run that has all its records."""
_POLL_SECONDS = 0.002
_BITS = ("losses_sha256", "trained_weights_sha256", "confusion")


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Kill runs until so many kills are done; each run is then brought to its end."""
    with place() as here:
        seconds = undisturbed(here)
        number = 0
        while figures.tried < given.kills:
            number += 1
            name = f"run-{number}"
            for _ in range(rng.randint(4, 10)):
                if figures.tried < given.kills and not ended(here, name):
                    _kill(here, name, rng, seconds, figures)
            complete(here, name, figures)
            if number % 10 == 0:
                print(f"  {figures.tried} kills, {figures.lost} lost", flush=True)
        left = here.temporaries()
        figures.notes["temporary folders left at the end"] = len(left)
        if left:
            figures.faults.append(f"temporary folders left: {left[:5]}")
    if given.real:
        trainings.run(given.real, rng, figures)


def ended(here: Place, name: str) -> bool:
    """Whether a run has its records and its report."""
    return (here.results / name / "report.html").exists()


def undisturbed(here: Place) -> float:
    """Seconds of a whole run, its certificates and report included."""
    began = time.monotonic()
    code, _, err = here.run(here.first("whole"))
    assert code == 0, err
    wanted = len(here.records("whole"))
    print(f"  a run has {wanted} records and takes {time.monotonic() - began:.1f} s", flush=True)
    return time.monotonic() - began


def begin(here: Place, name: str, rng: random.Random | None = None) -> Started:
    """Begin a run, or go on with it."""
    begun = (here.results / name / RUN_FILE).exists()
    command = here.resumed(name) if begun else here.first(name)
    return here.start(command, exec=rng is not None and rng.random() < FRESH)


def kill(here: Place, process: Started, target: str) -> str:
    """Kill processes of a run; which it was: without a worker it is the parent."""
    workers = [pid for pid in here.processes() if pid != process.pid]  # the only other ones
    target = target if workers else "parent"
    if target != "worker":
        process.kill()
    if target != "parent":
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return target


def _kill(here: Place, name: str, rng: random.Random, seconds: float, figures: Figures) -> None:
    before = here.records(name)
    done = len(before) == len(here.records("whole"))
    phase = LAST if done else rng.choice([name for name in PHASES if name != LAST])
    comes = PHASES[phase](here, name)
    process = begin(here, name, rng)
    moment = rng.uniform(0, 0.4 * seconds)  # a resumed run is shorter
    if phase != "anywhere":
        moment = rng.uniform(0, 0.3) if await_phase(process, comes) else 0.0
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is not None:
        figures.notes["runs that ended before the kill"] += 1
        process.communicate()
        return
    target = kill(here, process, rng.choice(TARGETS))
    code, _, err = here.finish(process)
    problem = problem_with(here.records(name), before)
    figures.lost += problem is not None
    if target == "worker" and (code not in (0, 1) or "Traceback (most" in _said(err)):
        problem = problem or f"{target} in {phase}: exit {code}, {err[-300:]}"
    figures.count(problem or here.left(), f"kills of {target}")
    figures.notes[f"kills {phase}"] += 1


def _said(err: str) -> str:
    """What the command itself printed, without the errors of workers that it cites."""
    return "\n".join(line for line in err.splitlines() if not line.startswith(" "))


def await_phase(process: Started, comes: Callable[[], bool]) -> bool:
    """Wait until a phase comes; False where the process ends before."""
    ends = time.monotonic() + PHASE_SECONDS
    while not comes():
        if process.poll() is not None or time.monotonic() > ends:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _workers(here: Place, name: str) -> Callable[[], bool]:
    return lambda: len(here.processes()) > 1


def _certificates(here: Place, name: str) -> Callable[[], bool]:
    here.forget_certificates()
    return _workers(here, name)


def _a_record(here: Place, name: str) -> Callable[[], bool]:
    path = here.results / name / FILE
    before = path.read_bytes().count(b"\n") if path.exists() else 0
    return lambda: path.exists() and path.read_bytes().count(b"\n") > before


def _a_checkpoint(here: Place, name: str) -> Callable[[], bool]:
    folder = here.results / name / FOLDER
    before = _names(folder)
    return lambda: bool(_names(folder) - before)


def _names(folder: os.PathLike[str]) -> set[str]:
    return {os.path.join(top, name) for top, _, names in os.walk(folder) for name in names}


def _a_report(here: Place, name: str) -> Callable[[], bool]:
    plots = here.results / name / "plots"
    before = time.time()
    return lambda: plots.exists() and plots.stat().st_mtime > before


PHASES: dict[str, Callable[[Place, str], Callable[[], bool]]] = {
    "anywhere": lambda here, name: lambda: True,
    "in certificates": _certificates,
    "in a worker": _workers,
    "at a record": _a_record,
    "at a checkpoint or round": _a_checkpoint,
    LAST: _a_report,
}
"""What makes, before a run begins, the function that says whether a phase of it has come."""


def complete(here: Place, name: str, figures: Figures) -> None:
    """Bring a run to its end and compare it with the one that nothing has disturbed."""
    before = here.records(name)
    whole = here.records("whole")
    wanted = {record.key for record in whole}
    code, out, err = here.finish(begin(here, name))
    found = here.records(name)
    problem = problem_with(found, before)
    if {record.key for record in found if record.ok} != wanted:
        problem = problem or f"{name}: {len(found)} of {len(wanted)} records: {err[-300:]}"
    problem = problem or other_bits(found, whole)
    figures.lost += problem is not None
    failures = (here.results / name / "attempts.jsonl").exists()
    problem = problem or (None if failures else _split(found))
    if code or not out.strip().endswith("report.html"):
        problem = problem or f"{name}: exit {code}: {err[-300:]}"
    figures.notes["records at the ends"] += len(found)
    figures.notes["runs resumed to their end"] += 1
    parts = [record.metrics.get("parts", 1) for record in found]
    figures.notes["trainings gone on with from a checkpoint"] += sum(n > 1 for n in parts)
    if problem:
        figures.faults.append(problem)


def other_bits(found: Sequence[Record], whole: Sequence[Record]) -> str | None:
    """The training that did not come to the losses and weights of the undisturbed one.

    Of a framework that does not promise repeatable results nothing is asked.
    """
    wanted = {record.key: record for record in whole}
    for record in found:
        row = FRAMEWORKS.get(record.case.framework)  # of a fake there is none in this process
        if row is not None and not row.repeatable:
            continue
        if record.ok and kind(record.kind).trained:
            for name in _BITS:
                if record.metrics.get(name) != wanted[record.key].metrics.get(name):
                    return f"{record.case.id}: another {name} than without a kill"
    return None


def _split(found: Sequence[Record]) -> str | None:
    """A kind whose records are of several groups, although none of them has failed."""
    groups: dict[str, set[str]] = {}
    for record in found:
        if "interleaving" in record.metrics:
            groups.setdefault(record.kind, set()).add(record.metrics["interleaving"]["group"])
    several = [name for name, names in groups.items() if len(names) > 1]
    return f"pairs of {', '.join(several)} are split" if several else None


if __name__ == "__main__":
    main(run, kills=300, real=24)
