"""The state that parity checks share: the test problem, and the trainers that are compared with
the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.case import Case
from bench.networks.architecture import Architecture, BatchNorm, MaxPool
from bench.networks.weights import weights_digest
from bench.parity import problem
from bench.parity.figures import Certificate, distance, norm
from bench.parity.reference_training import Reference
from bench.training.interfaces import CertifiableTrainer, Setup
from bench.training.recipes.base import Recipe

Build = Callable[[Setup], CertifiableTrainer]
Tensors = Mapping[str, NDArray[Any]]


class ParityComparison:
    """One certificate in the making: the test problem, the trainers and the reference."""

    def __init__(
        self, certificate: Certificate, build: Build, threads: int, device: str = "cpu"
    ) -> None:
        self.certificate, self._build, self._threads = certificate, build, threads
        self.device = device
        self.architecture = problem.problem_architecture(certificate.architecture)
        self.batches = problem.Batches.of(self.architecture)
        self.weights = problem.problem_weights(self.architecture)
        self.states: list[dict[str, NDArray[np.float32]]] = []
        """The reference's weights before the steps of FLOAT32_STATES."""
        certificate.facts |= {
            "input_size": self.architecture.input_size,
            "batch_size": self.batches.batch_size,
            "steps": problem.STEPS,
            "weights_sha256": weights_digest(self.weights),
        }

    @cached_property
    def single(self) -> CertifiableTrainer:
        """In float32; built once, since building and compiling take long."""
        return self.trainer(problem.SGD, "float32")

    @cached_property
    def double(self) -> CertifiableTrainer:
        """In float64, with SGD; nothing trains it before its ten steps."""
        return self.trainer(problem.SGD, "float64")

    def trainer(
        self,
        recipe: Recipe,
        precision: str,
        architecture: Architecture | None = None,
        *,
        devices: int = 1,
    ) -> CertifiableTrainer:
        """A fresh trainer of the small network, or of another, on one device or several."""
        rows = architecture or self.architecture
        case = Case(
            rows.name,
            self.certificate.framework,
            input_size=rows.input_size,
            precision=precision,
            batch_size=self.batches.batch_size,
            device=self.device,
            devices=devices,
        )
        constants = (problem.MEAN, problem.STD)
        rates = problem.layer_rates(rows)
        return self._build(
            Setup(case, rows, recipe, problem.STEPS, *constants, self._threads, rates)
        )

    def reference(self, recipe: Recipe, weights: Tensors) -> Reference:
        """The small network in numpy, at the given weights."""
        rates = problem.layer_rates(self.architecture)
        return Reference.at(self.architecture, recipe, (problem.MEAN, problem.STD), weights, rates)

    def check_tensors(self, check: str, where: str, found: Tensors, expected: Tensors) -> None:
        """Compare every expected tensor, in order; a missing one is infinitely far."""
        for name, tensor in expected.items():
            there = found.get(name)
            gap = math.inf if there is None else distance(there, tensor)
            self.certificate.record(check, f"{name}{where}", gap)

    def check_gradients_of(self, check: str, where: str, found: Tensors, expected: Tensors) -> None:
        """The same for gradients and for changes of weights.

        A bias before BatchNorm has a true gradient of 0, and a framework finds rounding: it is
        compared on the scale of its layer's weight gradient, and the figure says so.
        """
        for place, gap in self.gradient_distances(where, found, expected).items():
            self.certificate.record(check, place, gap)

    def gradient_distances(self, where: str, found: Tensors, expected: Tensors) -> dict[str, float]:
        """Distance of every gradient by the place that a figure names."""
        gaps = {}
        for name, tensor in expected.items():
            layer, _, part = name.rpartition(".")
            place, scale = f"{name}{where}", None
            if part == "bias" and layer in self._before_batch_norm:
                weight = f"{layer}.weight"
                place, scale = f"{place} (on the scale of {weight})", norm(expected[weight])
            gaps[place] = distance(found[name], tensor, scale) if name in found else math.inf
        return gaps

    @cached_property
    def _before_batch_norm(self) -> set[str]:
        # A pool between them passes on a constant that was added to a channel.
        rows = [row for row in self.architecture.layers if not isinstance(row, MaxPool)]
        followed = pairwise(rows)
        return {row.name for row, after in followed if isinstance(after, BatchNorm)}
