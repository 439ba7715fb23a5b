"""The largest batch that fits: for ``--batch-sizes auto``, and in the row of a batch that does not.

Whether a batch fits is tried: one training step in a worker of its own, so that nothing of an
earlier try is in the device's memory. Sizes are powers of two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.files import write_whole
from bench.core.kinds import STARTUP
from bench.core.limits import Limits
from bench.core.system.devices import accelerated
from bench.harness.matrix import Job, Task
from bench.harness.selection import AUTO_BATCH
from bench.training.tracks import peers_of
from bench.worker.client import Worker, WorkerError, unheard

FILE = "batch_sizes.json"
"""In the folder of a run whose batch sizes were found: it goes on with them."""
_FIRST, _LARGEST = 128, 1 << 16
"""Where the search begins, and where it ends on a device that takes everything."""

Fits = Callable[[Job, int], bool | None]
"""Whether a batch fits; None where a step fails for another reason."""


def tried(data: Path, limits: Limits) -> Fits:
    """Tries batches of images in ``data``."""

    def fits(job: Job, batch: int) -> bool | None:
        case = replace(job.case, batch_size=batch)
        with Worker(case, data, limits, weights=job.weights) as worker:
            try:
                worker.open(unheard)
                worker.measure(STARTUP, unheard)
            except WorkerError as error:
                return False if error.status == "oom" else None
        return True

    return fits


def largest(job: Job, fits: Fits) -> int | None:
    """The largest power of two that fits; None where none does, or a step fails otherwise."""
    size, found = _FIRST, fits(job, _FIRST)
    if found is None:
        return None
    if found:
        while size < _LARGEST and fits(job, 2 * size):
            size *= 2
        return size
    return largest_below(job, size, fits)


def largest_below(job: Job, size: int, fits: Fits) -> int | None:
    """The largest power of two below ``size`` that fits; None where none does."""
    below = 1 << max((size - 1).bit_length() - 1, 0)
    while below and below < size:
        found = fits(job, below)
        if found is None:
            return None
        if found:
            return below
        below //= 2
    return None


def advice(job: Job, fits: Fits) -> str:
    """What an out-of-memory row says of the batch that would fit; empty on the CPU, where trying
    could have the kernel end other processes."""
    if not accelerated(job.case.device):
        return ""
    found = largest_below(job, job.case.batch_size, fits)
    if found is None:
        return "no smaller power of two fits"
    return f"the largest power of two that fits is {found}: --batch-sizes {found}"


def check(jobs: Iterable[Job]) -> None:
    """Raise UserError where a batch size is to be found for the CPU."""
    if any(j.case.batch_size == AUTO_BATCH and not accelerated(j.case.device) for j in jobs):
        raise UserError(
            "--batch-sizes auto: finds what fits into the memory of an accelerator; give numbers "
            "for the CPU"
        )


def resolved(
    jobs: Sequence[Job],
    folder: Path,
    fits: Fits,
    unusable: Iterable[str] = (),
    note: Callable[[str], None] = lambda text: None,
) -> list[Job]:
    """The jobs with the batch sizes that ``--batch-sizes auto`` means.

    One size for all frameworks that are compared on a network: the largest that fits in each of
    them. A framework whose step fails has no say; its row has the reason.

    Args:
        jobs: Of a run; those with other sizes stay as they are.
        folder: Of the run: it goes on with the sizes that it was begun with.
        fits: Whether a batch fits.
        unusable: Frameworks that are not measured on the device.
        note: Called with a line for each size that is found.

    Raises:
        UserError: The device is the CPU, or no batch fits.
    """
    waiting = [job for job in jobs if job.case.batch_size == AUTO_BATCH]
    if not waiting:
        return list(jobs)
    check(waiting)
    known = _read(folder)
    skipped = set(unusable)
    for key, same in _by_key(waiting).items():
        if key in known:
            continue
        tried_here = _Tried(fits)
        found = [largest(job, tried_here) for job in same if job.case.framework not in skipped]
        sizes = [size for size in found if size is not None]
        if not sizes and tried_here.out_of_memory:
            raise UserError(f"--batch-sizes auto: not even one image of {key} fits")
        known[key] = min(sizes, default=_FIRST)
        words = "the largest power of two that fits" if sizes else "no step succeeds, at any size"
        note(f"{key}: batches of {known[key]}, {words}")
        write_whole(folder / FILE, json.dumps(known, indent=1) + "\n")
    return [_sized(job, known) for job in jobs]


@dataclass
class _Tried:
    """Whether batches fit, and whether one did not for want of memory."""

    fits: Fits
    out_of_memory: bool = False

    def __call__(self, job: Job, batch: int) -> bool | None:
        found = self.fits(job, batch)
        self.out_of_memory |= found is False
        return found


def _key(case: Case) -> str:
    """What shares a batch size: the networks, tracks and precisions that are compared."""
    peers = peers_of(replace(case, batch_size=0, seed=0, recipe=""))
    parts = (peers.variant, peers.track, f"{peers.input_size}px", peers.precision, peers.device)
    return " ".join(part for part in parts if part)


def _by_key(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    """One job for each case under each key: of seeds and defaults its memory hardly depends."""
    found: dict[str, dict[Case, Job]] = {}
    for job in jobs:
        case = replace(job.case, seed=0, recipe="", weights=None, defaults="")
        found.setdefault(_key(job.case), {}).setdefault(case, job)
    return {key: list(same.values()) for key, same in found.items()}


def _sized(job: Job, sizes: Mapping[str, int]) -> Job:
    if job.case.batch_size != AUTO_BATCH:
        return job
    return replace(
        job,
        case=replace(job.case, batch_size=sizes[_key(job.case)]),
        tasks=tuple(_tasks(job.tasks, sizes)),
    )


def _tasks(tasks: Iterable[Task], sizes: Mapping[str, int]) -> Iterator[Task]:
    for task in tasks:
        if task.case.batch_size == AUTO_BATCH:  # latency is that of one image
            task = replace(task, case=replace(task.case, batch_size=sizes[_key(task.case)]))
        yield task


def _read(folder: Path) -> dict[str, int]:
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): int(size) for key, size in found.items()} if isinstance(found, dict) else {}
