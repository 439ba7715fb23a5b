"""The limits of a measurement: its processes, blocks and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.kinds import kind


@dataclass(frozen=True)
class Limits:
    """How long each measurement takes. The worker gets all of it."""

    warmup_steps: int = 2
    """After the first step, not counted."""
    processes: int = 1
    """Fresh processes of every timed case, fewer where the time limit comes first; the
    interval of fewer than four assumes a usual spread next to their own."""
    least_processes: int = 1
    """Fresh processes of every timed case even where the time limit comes first."""
    startup_processes: int | None = None
    """Processes in which start-up is measured, one worker after the other. In the rounds after them
    all workers of a group import and build at once, which takes about half as long. None: all."""
    normalisation_processes: int | None = None
    """Processes of networks that only one framework of a group measures (for the cost of a
    normalisation) while others are compared between frameworks. None: as many as those."""
    precision: float | None = None
    """Half the width of a ratio's interval, relative, at which no further process is taken."""
    group_seconds: float = 0.0
    """For all processes of one network in all its frameworks: no further one is begun that would
    not be done by then. A group of several networks has the sum."""
    blocks: int = 5
    """Counted blocks of steps in each process, interleaved with the other frameworks'; one sample
    each."""
    block_seconds: float = 0.8
    """A block has as many steps as fit, at least one."""
    overhead_blocks: int = 0
    """Blocks of the bare loop, each next to one of the harness's; 0 measures no overhead."""
    article_steps: int = 0
    """Steps of the transfer article's own loop, spread over the blocks; 0 runs none."""
    tutorial_loop: bool = False
    """Whether the framework's tutorials' loop is timed, too: a block of it next to each of our
    blocks, and after a training as many images of it as ours took."""
    layer_pairs: bool = False
    """Whether layers that the suite writes itself are compared with the framework's own."""
    bare_start: bool = False
    """Whether the shortest process that takes one step is timed next to a start-up."""
    audit_repeats: int = 3
    """Slopes of time over steps that the clock is checked by, in the first process of a case."""
    latency_calls: int = 100
    latency_seconds: float = 2.0
    """Whichever ends first, but never fewer than 20 calls."""
    evaluations: int | None = 4
    """Points on an accuracy curve, evenly spread; the last is the end of training. None: two per
    epoch."""
    keep_features: bool = True
    """Whether a frozen trunk's features are cached, or recomputed for every batch."""
    exclusive: bool = False
    """Whether a measurement fails when another program computes on its accelerator."""
    device_cpus: int = 0
    """CPUs of one device, in a run that trains on several of the CPU's; 0: a worker has all."""
    timeout_seconds: float = 300.0
    """For one measurement; then the worker is stopped and the case marked."""

    def cpus_of(self, devices: int, usable: Sequence[int]) -> list[int]:
        """The CPUs of a worker with so many devices."""
        return list(usable[: self.device_cpus * devices] if self.device_cpus else usable)

    def measures_startup(self, process: int) -> bool:
        """Whether start-up is measured in a process, counted from 0."""
        return self.startup_processes is None or process < self.startup_processes

    def turns(self, name: str, *, extras: bool) -> int:
        """Blocks of one process; ``extras`` for the one that also runs other loops."""
        compared = extras and kind(name).throughput
        return max(self.blocks, self.overhead_blocks if compared else 0)
