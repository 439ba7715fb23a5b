"""SIGINT, SIGTERM and SIGHUP in every phase of a run, once and twice."""

from __future__ import annotations

import argparse
import math
import random
import signal
import subprocess
import time
from collections.abc import Callable

from bench.core.run_paths import RUN_FILE
from bench.core.signals import STOPPING
from tests.reliability.kills import PHASES as LATER
from tests.reliability.kills import await_phase
from tests.reliability.support import Figures, Place, main, place, problem_with

NOT_OURS_SECONDS = 0.08
"""Python's own start: no code of the command runs before."""
IMPORTS = "in the imports"


def _opened(here: Place, name: str) -> Callable[[], bool]:
    path = here.results / name / RUN_FILE
    return path.exists


PHASES = {
    IMPORTS: lambda here, name: lambda: True,
    "in the opening": _opened,
    **{name: comes for name, comes in LATER.items() if name != "anywhere"},
}


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Every signal in every phase, so many times; half of them with a second signal."""
    with place() as here:
        code, _, err = here.run(here.first("whole"))
        assert code == 0, err
        for number in range(given.rounds):
            for phase in PHASES:
                for which in STOPPING:
                    second = rng.uniform(0.01, 1.0) if number % 2 else None
                    _stop(here, figures, phase, which, rng, second)
        left = here.temporaries()
        figures.notes["temporary folders left at the end"] = len(left)
        if left:
            figures.faults.append(f"temporary folders left: {left[:5]}")


def _stop(
    here: Place,
    figures: Figures,
    phase: str,
    which: signal.Signals,
    rng: random.Random,
    second: float | None,
) -> None:
    name = f"{phase.replace(' ', '-')}-{figures.tried}"
    comes = PHASES[phase](here, name)
    imports = phase == IMPORTS
    process = here.start(here.first(name), exec=imports)
    await_phase(process, comes)
    moment = NOT_OURS_SECONDS + rng.uniform(0, 0.9) if imports else rng.uniform(0, 0.2)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        pass
    if process.poll() is not None:
        figures.notes["runs that ended before the signal"] += 1
        process.communicate()
        return
    process.send_signal(which)
    began = time.monotonic()
    if second is not None:
        try:
            process.wait(second)
        except subprocess.TimeoutExpired:
            process.send_signal(which)
    code, out, err = here.finish(process)
    took = time.monotonic() - began
    if code == 0 and "stopping" not in err:
        figures.notes["signals after the report, when Python ends"] += 1
        return
    problem = _problem(here, name, which, code, out, err, second)
    if problem:
        problem = f"{which.name} {phase}, {moment:.2f} s, second {second}: {problem}"
    figures.count(problem, phase)
    slowest = max(figures.notes["seconds to the end at most"], math.ceil(took))
    figures.notes["seconds to the end at most"] = slowest


def _problem(
    here: Place,
    name: str,
    which: signal.Signals,
    code: int,
    out: str,
    err: str,
    second: float | None,
) -> str | None:
    if code != 128 + which:
        return f"exit {code}: {err[-200:]!r}"
    if "Traceback" in err or "alexbench: " not in err:
        return f"said {err[-300:]!r}"
    records = here.records(name)
    reported = out.strip().endswith("report.html")
    if second is None and records and not reported:
        return f"no report of {len(records)} records"
    there = len(records) == len(here.records("whole"))
    if second is None and not there and records and f"--resume {here.results / name}" not in err:
        return f"does not say how to go on: {err[-200:]!r}"
    return problem_with(records, []) or here.left()


if __name__ == "__main__":
    main(run, rounds=4)
