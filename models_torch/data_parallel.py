"""Data-parallel training: DistributedDataParallel over several devices of one machine.

The worker is rank 0. It starts the other ranks, with the variables that ``torchrun`` sets, and
sends each its part of every batch; gradients are averaged by DistributedDataParallel, over gloo
between CPUs and NCCL between CUDA devices. On the CPU a device is a process with CPUs of its own.

BatchNorm is local: each rank normalises by the moments of its own part of the batch, and running
statistics are those of rank 0, as DistributedDataParallel has it (``nn.SyncBatchNorm`` is for
accelerators only).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from bench.core.errors import UnavailableError, UserError
from bench.networks.architecture import BatchNorm
from bench.training.interfaces import Images, ParallelFacts, Setup, StepInput
from bench.training.state import part
from models_torch.ranks import Ranks, reporting
from models_torch.state import export_random, load_random
from models_torch.trainer import TorchTrainer

_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class DataParallelTrainer(TorchTrainer):
    """Rank 0: :class:`bench.training.interfaces.ParallelTrainer` over the other ranks."""

    def __init__(self, setup: Setup) -> None:
        devices = setup.case.devices
        _check(setup)
        self._setup, port = setup, _free_port()
        self._shares = _shares_of_cpus(devices)
        self._ranks = Ranks(
            _serve, [(rank, setup, port, self._shares[rank]) for rank in range(1, devices)]
        )
        os.sched_setaffinity(0, self._shares[0])
        super().__init__(_of_rank(setup, devices))
        self._ranks.answers()  # joining would wait half an hour for one that is not there
        with self._ranks.watched():
            self._pass = _joined(self._pass, 0, setup, port)  # type: ignore[assignment]

    @property
    def processes(self) -> tuple[int, ...]:
        """Ids of the other ranks."""
        return self._ranks.ids

    def hold_images(self, images: Images, labels: NDArray[np.int64], padding: int) -> bool:
        """Not held: each rank gets its part of a batch."""
        return False

    def bring_ahead(self, step_input: StepInput) -> StepInput:
        """As it is: each rank brings its part to its own device."""
        return step_input

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take all weights, in every rank."""
        super().load_weights(weights)
        self._ranks.tell("load_weights", dict(weights))

    def export_state(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """That of rank 0, and the random numbers of every other rank."""
        yield from super().export_state()
        for rank, states in enumerate(self._ranks.tell("export_random"), start=1):
            for name, state in states.items():
                yield f"ranks/{rank}/{name}", state

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take network and optimiser in every rank, and in each its own random numbers."""
        super().load_state(state)
        self._ranks.tell("load_state", dict(state))

    def train(
        self, inputs: Iterable[StepInput], steps: int, after_step: Callable[[], None]
    ) -> None:
        """Queue ``steps`` steps, each of a part of the batch in every rank."""
        with self._ranks.watched():
            super().train(self._own_parts(islice(inputs, steps)), steps, after_step)

    def _own_parts(self, inputs: Iterable[StepInput]) -> Iterator[StepInput]:
        for given in inputs:
            own, *others = parts_of(given, len(self._shares))
            self._ranks.send("step", others)
            yield own

    def losses(self) -> list[float]:
        """Mean over the ranks of the loss of every step since the last call."""
        others = self._ranks.tell("losses")
        return np.mean([super().losses(), *others], axis=0).tolist()

    def sync(self) -> None:
        """Wait for the device of every rank.

        For the others first: where one has ended, an exchange of NCCL on the own device does not.
        """
        self._ranks.tell("sync")
        super().sync()

    @contextmanager
    def without_exchange(self) -> Iterator[None]:
        """A block in which gradients are not averaged: what a step costs without communication.

        The ranks' weights differ afterwards, until `load_weights`.
        """
        self._ranks.tell("exchange", False)
        try:
            with self._pass.no_sync():  # type: ignore[operator]
                yield
        finally:
            self._ranks.tell("exchange", True)

    def parallel(self) -> ParallelFacts:
        """How it trains."""
        normalised = any(isinstance(row, BatchNorm) for row in self._setup.architecture.layers)
        return ParallelFacts(
            method="DistributedDataParallel",
            backend=distributed.get_backend(),
            batch_norm="local" if normalised else None,
            cpus=[sorted(share) for share in self._shares],
        )

    def bare_loop(self, step_input: StepInput) -> None:  # type: ignore[override]
        """None: the loop of a tutorial would be this one."""

    def close(self) -> None:
        """End the other ranks."""
        self._ranks.close()
        distributed.destroy_process_group()
        os.sched_setaffinity(0, set().union(*self._shares))


def _serve(
    pipe: Connection, rank: int, setup: Setup, port: int, cpus: set[int]
) -> None:  # pragma: no cover  in a process of its own
    """Another rank: it does what rank 0 says, until the pipe ends."""
    with reporting(pipe):
        _obey(pipe, rank, setup, port, cpus)


def _obey(
    pipe: Connection, rank: int, setup: Setup, port: int, cpus: set[int]
) -> None:  # pragma: no cover  in a process of its own
    os.sched_setaffinity(0, cpus)
    if setup.device_kind != "cpu":  # before CUDA is initialised: each rank sees its own device
        entries = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = entries[rank]
    trainer = TorchTrainer(_of_rank(setup, setup.case.devices, rank))
    pipe.send("ready")
    joined: Any = _joined(trainer._pass, rank, setup, port)
    trainer._pass = joined
    while True:
        try:
            what, argument = pipe.recv()
        except EOFError:
            return
        match what:
            case "step":
                trainer.train([argument], 1, lambda: None)
                continue
            case "end":
                distributed.destroy_process_group()
                return
            case "exchange":
                joined.require_backward_grad_sync = argument
            case "load_weights":
                trainer.load_weights(argument)
            case "load_state":
                trainer.load_state(argument)
                # Its own: masks of two ranks must not be alike.
                own = {n.split("/")[2]: argument[n] for n in part(argument, f"ranks/{rank}")}
                load_random(own, trainer._device)
        answers: dict[str, Callable[[], Any]] = {
            "losses": trainer.losses,
            "export_random": lambda: dict(export_random(trainer._device)),
            "sync": partial(synchronised, trainer),
        }
        pipe.send(answers.get(what, lambda: None)())


def synchronised(trainer: TorchTrainer) -> None:
    """Wait for the device of a rank, and check by its clock that nothing is queued there.

    The harness checks that of rank 0 alone.

    Raises:
        RuntimeError: Work is still queued.
    """
    clock = trainer.device_clock()
    last = clock.mark() if clock else None
    trainer.sync()
    if clock and not clock.reached(last):
        raise RuntimeError("work is still queued on the device of a rank after sync")


def _joined(training_pass: Any, rank: int, setup: Setup, port: int) -> Any:
    """The pass under DistributedDataParallel, once every rank has come."""
    kind, size = setup.device_kind, setup.case.devices
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
    }
    distributed.init_process_group(_BACKENDS[kind])
    return DistributedDataParallel(training_pass)


def _of_rank(setup: Setup, devices: int, rank: int = 0) -> Setup:
    """The setup of one rank: its threads, and random numbers of its own."""
    case = replace(setup.case, seed=setup.case.seed + 1_000_003 * rank)
    return replace(setup, case=case, threads=max(1, setup.threads // devices))


def parts_of(given: StepInput, number: int) -> list[StepInput]:
    """A step's input in as many parts, in the order of its images."""
    ends = np.linspace(0, len(given.labels), number + 1).astype(int)
    return [
        replace(
            given,
            images=given.images[start:end],
            labels=given.labels[start:end],
            masks={name: mask[start:end] for name, mask in given.masks.items()},
        )
        for start, end in pairwise(ends)
    ]


def _check(setup: Setup) -> None:
    case = setup.case
    if setup.device_kind not in _BACKENDS:
        raise UserError(f"--devices {case.devices}: not on {setup.device_kind}; cpu or cuda")
    if case.batch_size % case.devices:
        raise UserError(
            f"--devices {case.devices}: batches of {case.batch_size} images cannot be divided "
            f"by it; give a multiple with --batch-sizes"
        )
    if setup.compiled:
        raise UnavailableError(
            f"--devices {case.devices}: in eager execution only; take --executions eager"
        )


def _shares_of_cpus(devices: int) -> list[set[int]]:
    """The CPUs of every rank: those of this process, divided in order."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < devices:
        raise UserError(f"--devices {devices}: this process may use {len(cpus)} CPUs")
    each = len(cpus) // devices
    return [set(cpus[rank * each : (rank + 1) * each]) for rank in range(devices)]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
