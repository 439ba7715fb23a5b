"""Opens a session: imports the framework, builds the network, loads data and initial weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.core.case import Case
from bench.core.errors import UnavailableError, UserError
from bench.core.extensions import load_object
from bench.core.limits import Limits
from bench.core.system import nvml
from bench.core.system.devices import parse
from bench.data.batching import whole_batches
from bench.data.dataset import Dataset, load
from bench.networks.init import Weights, initial_weights
from bench.networks.preprocessing import TORCHVISION, Triple
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import variant
from bench.networks.weights import weights_digest
from bench.training.defaults import takes_shared_weights, with_own_constants
from bench.training.frameworks import framework
from bench.training.interfaces import Setup, Trainer, TrainerFactory
from bench.training.recipes import recipe
from bench.worker.device.blocking import block
from bench.worker.inputs import FeatureInputs
from bench.worker.session import Progress, Session, plan_for


@dataclass(frozen=True)
class InitialWeights:
    """The initial weights of a case, as far as the harness decides them.

    Attributes:
        weights: Loaded into the network; weights that are not here keep the framework's own
            initialisation.
        layers: Layers that come from pretrained weights.
        facts: Of the pretrained weights, where there are any.
        zeroed: Names of new weights that start from zeros.
    """

    weights: Weights
    layers: tuple[str, ...] = ()
    facts: Facts | None = None
    zeroed: tuple[str, ...] = ()

    @classmethod
    def of(cls, setup: Setup, file: Path | None) -> InitialWeights:
        """Seeded weights in tracks that share them, and pretrained ones over them from a file.

        Raises:
            UserError: The pretrained weights do not fit the network.
        """
        shared = takes_shared_weights(setup.case)
        if file is None:
            drawn = initial_weights(setup.architecture, setup.case.seed) if shared else {}
            return cls(drawn)
        source = Pretrained.load(file)
        weights, layers = source.fit(setup.architecture, setup.case.seed)
        taken = {name: w for name, w in weights.items() if name.rpartition(".")[0] in layers}
        scale = setup.recipe.head_scale
        if scale is not None:
            weights |= {
                name: weight * np.float32(scale)
                for name, weight in weights.items()
                if name not in taken and weight.ndim > 1  # not BatchNorm's own scale
            }
        elif not shared:
            weights = taken
        zeroed = _new_last(setup, layers) if setup.recipe.zero_last else ()
        shapes = setup.architecture.weight_shapes()
        zeros = {name: np.zeros(shapes[name], np.float32) for name in zeroed}
        return cls(weights | zeros, layers, source.facts, zeroed)

    def load_into(self, trainer: Trainer, names: Mapping[str, Any]) -> None:
        """Load those of ``names`` that are here; the other weights of the network stay."""
        given = {name: self.weights[name] for name in names if name in self.weights}
        if not given:
            return
        missing = names.keys() - given.keys()
        trainer.load_weights(trainer.export_weights() | given if missing else given)

    def settings(self, setup: Setup) -> dict[str, Any]:
        """Their provenance, as the settings of a record have it."""
        found: dict[str, Any] = {}
        if takes_shared_weights(setup.case):
            found["initial_weights_sha256"] = weights_digest(self.weights)
        if self.facts:
            steps = setup.architecture.steps()
            every = [step.layer.name for step in steps if step.layer.weights(step.before)]
            found["weights"] = {
                "name": self.facts.name,
                "sha256": self.facts.sha256,
                "variant": self.facts.variant,
                "layers": list(self.layers),
                "initialised": [name for name in every if name not in self.layers],
                "zeroed": list(self.zeroed),
                "preprocessing": self.facts.preprocessing.to_json(),
                "notes": self.facts.notes,
            }
        return found


def open_session(command: Mapping[str, Any], progress: Progress) -> Session:
    """Import the framework, build the network and load the data.

    Args:
        command: ``case``, ``data``, ``limits``, ``cpus`` and ``weights``, see
            :meth:`bench.worker.client.Worker.open`.
        progress: Called during measurements.

    Raises:
        UserError: The case, the data or the weights cannot be used.
    """
    case = as_seen_here(Case.from_json(command["case"]))
    row = framework(case.framework)
    block(row.blocked)
    dataset = load(Path(command["data"]))
    setup = _setup(case, dataset, threads=len(command["cpus"]))
    started = perf_counter()
    factory = load_object(row.trainer)
    imported = perf_counter()
    weights = command.get("weights")
    start = InitialWeights.of(setup, Path(weights) if weights else None)
    if start.facts:
        own = setup.recipe.trunk_rate
        rates = {} if own == 1 else dict.fromkeys(start.layers, own)
        setup = dataclasses.replace(setup, rates=rates)
    mean, std = _pixels(setup, start.facts)
    setup = dataclasses.replace(setup, mean=mean, std=std)
    opening = _Opening(factory, setup, start, dataset, Limits(**command["limits"]))
    made = opening.frozen if case.frozen else opening.whole
    return made(progress, import_seconds=imported - started, imported=imported)


@dataclass(frozen=True)
class _Opening:
    """Everything that a session is built from."""

    factory: TrainerFactory
    setup: Setup
    start: InitialWeights
    dataset: Dataset
    limits: Limits

    def whole(self, progress: Progress, import_seconds: float, imported: float) -> Session:
        """A session in which all layers are trained."""
        trainer = self._build(self.setup)
        build_seconds = perf_counter() - imported
        session = self._session(trainer, self.setup, progress, (import_seconds, build_seconds))
        if self.setup.device_kind != "cpu":
            began = perf_counter()
            session.hold_images()
            session.build_seconds += perf_counter() - began
        return session

    def frozen(self, progress: Progress, import_seconds: float, imported: float) -> Session:
        """A session with a frozen trunk, and a head that is trained on its features."""
        trunk_rows, head_rows = self.setup.architecture.split(self.start.layers)
        # On one device: the features are computed once, and a process trains on several once.
        alone = dataclasses.replace(self.setup.case, devices=1)
        trunk = self._build(dataclasses.replace(self.setup, case=alone, architecture=trunk_rows))
        head_setup = dataclasses.replace(self.setup, architecture=head_rows)
        head = self._build(head_setup)
        build_seconds = perf_counter() - imported
        session = self._session(head, head_setup, progress, (import_seconds, build_seconds))
        plan = plan_for(self.setup, self.dataset)
        keep = self.limits.keep_features
        session.trunk = trunk
        began = perf_counter()
        session.inputs = FeatureInputs(trunk, self.dataset, plan, self.setup.steps, keep=keep)
        # The first features, for which the trunk is traced and compiled, and no digest of weights.
        session.build_seconds += perf_counter() - began
        return session

    def _build(self, setup: Setup) -> Trainer:
        trainer = self.factory(setup)
        rows = setup.architecture
        self.start.load_into(trainer, rows.weight_shapes() | rows.statistic_shapes())
        return trainer

    def _session(
        self, trainer: Trainer, setup: Setup, progress: Progress, seconds: tuple[float, float]
    ) -> Session:
        return Session(
            trainer,
            setup,
            self.dataset,
            self.limits,
            progress,
            build_seconds=seconds[1],
            import_seconds=seconds[0],
            initial_weights=self.start.settings(self.setup),
        )


def as_seen_here(case: Case) -> Case:
    """The case with its device as this process sees it: no other device of the kind is visible, so
    ``cuda:1`` is ``cuda`` here."""
    return dataclasses.replace(case, device=parse(case.device).in_worker)


def _pixels(setup: Setup, facts: Facts | None) -> tuple[Triple, Triple]:
    """Mean and deviation of the pixels in 0..1: the recipe's, the weights', or the data's."""
    match setup.recipe.pixels:
        case "imagenet":
            return TORCHVISION.in_unit
        case "data":
            return setup.mean, setup.std
    return facts.preprocessing.in_unit if facts else (setup.mean, setup.std)


def _new_last(setup: Setup, layers: Collection[str]) -> tuple[str, ...]:
    """Names of the last layer's weights; none where they are pretrained."""
    *_, last = (step for step in setup.architecture.steps() if step.layer.weights(step.before))
    return () if last.layer.name in layers else tuple(last.layer.weights(last.before))


_FIRST_TF32 = 8
"""Compute capability of Ampere, the first whose cards have TensorFloat-32."""


def _check_tf32(case: Case) -> None:
    """Raise UnavailableError where TF32 is asked for and the device has none: frameworks would take
    the setting, and compute in float32."""
    if case.precision != "tf32":
        return
    kind = parse(case.device).kind
    if not kind.tf32:
        raise UnavailableError(
            f"precision tf32: {kind.title}s have none; take float32, or a CUDA device"
        )
    capability = str((nvml.own_card().facts() or {}).get("compute_capability") or "")
    if capability and int(capability.partition(".")[0]) < _FIRST_TF32:
        raise UnavailableError(
            f"precision tf32: a card of compute capability {capability} has none, cards from "
            f"{_FIRST_TF32}.0 on have it; take float32"
        )


def _setup(case: Case, dataset: Dataset, threads: int) -> Setup:
    _check_tf32(case)
    chosen = recipe(case.recipe)
    steps = whole_batches(chosen.epochs, len(dataset.train.labels), case.batch_size)
    architecture = variant(case.variant).architecture(
        len(dataset.classes), head=case.head, input_size=case.input_size
    )
    architecture = with_own_constants(architecture, case)
    if not chosen.dropout:
        architecture = architecture.without_dropout()
    if chosen.resize is not None and chosen.resize < case.input_size:
        raise UserError(
            f"recipe {chosen.name}: {case.input_size} pixels cannot be cut out of {chosen.resize}"
        )
    if case.init == "pretrained" and not case.weights:
        raise UserError(f"{case.id}: pretrained, but no weights are named")
    pixels = (dataset.mean, dataset.std)
    return Setup(
        case, architecture, chosen, max(steps, 1), *pixels, threads=threads, side=dataset.side
    )
