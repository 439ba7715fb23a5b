"""Two runs in one folder: begun together, resumed next to one that lives, removed under one."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time

from tests.reliability.support import Figures, Place, main, place, problem_with


def run(given: argparse.Namespace, rng: random.Random, figures: Figures) -> None:
    """Each of six cases so many times."""
    with place() as here:
        code, _, err = here.run(here.first("whole"))
        assert code == 0, err
        for number in range(given.rounds):
            figures.count(_unnamed(here), "pairs without a name")
            figures.count(_same_name(here, f"same-{number}"), "pairs of one name")
            figures.count(_next_to(here, f"alive-{number}", rng), "resumed next to a living one")
            figures.count(_annotated(here, f"annotated-{number}", rng), "annotated beside a run")
            figures.count(_removed(here, f"removed-{number}", rng), "folders removed under a run")
            figures.count(_stale(here, f"stale-{number}", rng), "locks of dead runs")


def _unnamed(here: Place) -> str | None:
    before = set(os.listdir(here.results))
    pair = [here.start(here.first()) for _ in range(2)]
    ends = [here.finish(process) for process in pair]
    made = set(os.listdir(here.results)) - before
    wanted = len(here.records("whole"))
    if [code for code, _, _ in ends] != [0, 0] or len(made) != 2:
        return f"two unnamed runs: {[code for code, _, _ in ends]}, {sorted(made)}"
    found = [len(here.records(name)) for name in made]
    return None if found == [wanted, wanted] else f"two unnamed runs have {found} records"


def _same_name(here: Place, name: str) -> str | None:
    pair = [here.start(here.first(name)) for _ in range(2)]
    ends = [here.finish(process) for process in pair]
    codes = sorted(code for code, _, _ in ends)
    refused = [err for code, _, err in ends if code == 2]
    if codes != [0, 2] or refused[0].count("\n") != 1:
        return f"two runs called {name}: {codes} {refused}"
    return problem_with(here.records(name), here.records(name))


def _next_to(here: Place, name: str, rng: random.Random) -> str | None:
    alive = here.start(here.first(name))
    _await_records(here, name, rng.randint(0, 2))
    code, _, err = here.run(here.resumed(name))
    ended = alive.poll() is not None
    first, _, _ = here.finish(alive)
    if first or (not ended and (code != 2 or "is being measured by process" not in err)):
        return f"next to a living run: {first}, {code} {err[-200:]!r}"
    if not ended and err.count("\n") != 1:
        return f"more than a line: {err!r}"
    return problem_with(here.records(name), [])


def _annotated(here: Place, name: str, rng: random.Random) -> str | None:
    """A caveat while a run measures is refused; afterwards all its records are there."""
    alive = here.start(here.first(name))
    _await_records(here, name, rng.randint(1, 2))
    caveat = ("--all", "--on", "all", "--why", "a trial")
    code, _, err = here.run(
        [sys.executable, "-m", "bench", "annotate", str(here.results / name), *caveat]
    )
    ended = alive.poll() is not None
    first, _, _ = here.finish(alive)
    if first or (not ended and (code != 2 or "is being measured by process" not in err)):
        return f"annotated beside a run: {first}, {code} {err[-200:]!r}"
    missing = len(here.records("whole")) - len(here.records(name))
    return f"annotated beside a run: {missing} records are lost" if missing else None


def _removed(here: Place, name: str, rng: random.Random) -> str | None:
    alive = here.start(here.first(name))
    _await_records(here, name, rng.randint(0, 2))
    shutil.rmtree(here.results / name, ignore_errors=True)
    code, _, err = here.finish(alive)
    if code != 1 or "Traceback" in err or "was removed" not in err.splitlines()[-1]:
        return f"removed folder: exit {code}: {err[-300:]!r}"
    return here.left()


def _stale(here: Place, name: str, rng: random.Random) -> str | None:
    dead = here.start(here.first(name))
    _await_records(here, name, rng.randint(1, 2))
    dead.send_signal(signal.SIGKILL)
    here.finish(dead)
    code, _, err = here.run(here.resumed(name))
    return None if code == 0 else f"lock of a dead run: exit {code}: {err[-200:]!r}"


def _await_records(here: Place, name: str, number: int) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if (here.results / name / "run.json").exists() and len(here.records(name)) >= number:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main(run, rounds=3)
