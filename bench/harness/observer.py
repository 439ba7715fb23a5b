"""The machine before and during a run, as the parent sees it: load, swapping, busy processes.

Reads counters at the ends of what it observes and takes no time between.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from time import sleep
from typing import Any

import psutil

from bench.core.system import resources
from bench.core.system.machine import OTHERS, STEAL, Monitor
from bench.core.system.resources import usable_cpus
from bench.worker.process import orphan_seconds

MACHINE_STATE = "machine_state"
"""Key of a record's ``environment``."""

LOOK_SECONDS = 0.5
"""How long the machine is looked at before a run: 50 ticks of each CPU's clock."""
_SHOWN = 3
"""Processes that are named; a line has room for no more."""
_NAMED = 0.02
"""Share of one CPU from which on a process is named."""


Times = dict[psutil.Process, float]
"""CPU seconds of processes."""


class Observer:
    """Observes the machine from its construction until `state` is called.

    Workers count as our own once they have ended; what still runs then counts as others.
    """

    def __init__(self) -> None:
        self._swapped = _swapped_bytes()
        self._orphans = orphan_seconds()
        self._cpus = usable_cpus()
        self._monitor = Monitor(self._cpus)

    def state(self) -> dict[str, Any]:
        """``others``, ``steal`` and ``throttled`` (shares of the CPUs), ``load`` (of the last
        minute) and ``swapped_bytes`` (in and out, by all processes); None where it is not shown."""
        found = self._monitor.end()
        if found.others is not None:  # the ranks of our own trainings are no others
            own = (orphan_seconds() - self._orphans) / (found.seconds * len(self._cpus))
            found = replace(found, others=max(0.0, found.others - own))
        shares = {name: getattr(found, name) for name in ("others", "steal", "throttled", "load")}
        rounded = {name: None if v is None else round(v, 4) for name, v in shares.items()}
        before, after = self._swapped, _swapped_bytes()
        swapped = None if before is None or after is None else after - before
        return {**rounded, "swapped_bytes": swapped}


def _swapped_bytes() -> int | None:
    """Bytes that have been swapped in and out since boot."""
    try:
        text = (resources.ROOT / "proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return None
    counts = dict(line.split() for line in text.splitlines())
    if "pswpin" not in counts:
        return None
    pages = int(counts["pswpin"]) + int(counts["pswpout"])
    return pages * os.sysconf("SC_PAGE_SIZE")


def look(seconds: float = LOOK_SECONDS) -> tuple[dict[str, Any], str | None]:
    """The state of the machine now, and a warning where it is busy.

    Returns:
        What `Observer.state` returns, and one line that says how busy the machine is and names
        the processes that use it most; None where it is quiet.
    """
    before = _cpu_seconds()
    observer = Observer()
    sleep(seconds)
    state = observer.state()
    return state, _warning(state, before, seconds)


def _warning(state: Mapping[str, Any], before: Times, seconds: float) -> str | None:
    others, steal = (state[name] or 0.0 for name in ("others", "steal"))
    parts = []
    if others > OTHERS:
        parts.append(
            f"other processes use {100 * others:.0f} % of its CPUs{_names(before, seconds)}"
        )
    if steal > STEAL:
        parts.append(f"a hypervisor takes {100 * steal:.0f} % of them away")
    if not parts:
        return None
    return f"the machine is busy: {'; '.join(parts)}; measurements will be disturbed"


def _names(before: Times, seconds: float) -> str:
    """Name and use of the busiest processes, in brackets; empty where none is seen."""
    used = [
        ((after - before.get(process, 0.0)) / seconds, process)
        for process, after in _cpu_seconds().items()
    ]
    busiest = sorted(used, key=lambda pair: -pair[0])[:_SHOWN]
    words = []
    for share, process in busiest:
        if share >= _NAMED:
            try:
                words.append(f"{process.name()} {100 * share:.0f} % of a CPU")
            except psutil.Error:
                words.append(f"a process that has ended {100 * share:.0f} % of a CPU")
    return f" ({', '.join(words)})" if words else ""


def _cpu_seconds() -> Times:
    """CPU seconds of every process but this one and its children."""
    me = psutil.Process()
    own = {me, *me.children(recursive=True)}
    found: Times = {}
    for process in psutil.process_iter():
        try:
            if process not in own:
                times = process.cpu_times()
                found[process] = times.user + times.system
        except psutil.Error:
            pass  # it has ended, or is hidden
    return found
