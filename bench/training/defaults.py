"""The stages of the ablation: from a framework's own defaults to the shared ones, one at a time.

A case of the track ``ablation`` names the last stage that is shared; every stage before it is
shared as well, every one after it is the framework's own. What a framework does by default is data
in :mod:`bench.training.framework_defaults`; a stage at which it does the shared thing anyway is
never measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from bench.core.case import Case
from bench.core.errors import UserError, unknown
from bench.networks.architecture import Architecture, BatchNorm, Layer, LocalResponseNorm
from bench.training.framework_defaults import FrameworkDefaults
from bench.training.frameworks import framework
from bench.training.tracks import ABLATION, track

OWN = "own"
"""The first stage: everything as the framework has it."""


@dataclass(frozen=True)
class Stage:
    """One default that frameworks do not share."""

    name: str
    title: str
    shared: str
    """The value that all take, in words; constants are those of the rows in
    `bench.networks.variants`."""
    why: str
    layer: type[Layer] | None = None
    """Only networks with such a layer have this stage; None: all have it."""

    def applies(self, architecture: Architecture) -> bool:
        """Whether there is anything to switch in this network."""
        return self.layer is None or any(isinstance(x, self.layer) for x in architecture.layers)


STAGES = (
    Stage(
        "fused-update",
        "optimiser's passes",
        "one fused pass",
        "the arithmetic is the same, the memory is read once",
    ),
    Stage(
        "initialisation",
        "initial weights",
        "He-uniform, biases 0",
        "the variance that keeps its scale through ReLU layers; the very same numbers for all",
    ),
    Stage(
        "bn-eps",
        "BatchNorm eps",
        "1e-5",
        "small next to the variances of these layers",
        BatchNorm,
    ),
    Stage(
        "bn-momentum",
        "BatchNorm momentum",
        "0.9",
        "0.99 needs hundreds of steps before the running moments can evaluate",
        BatchNorm,
    ),
    Stage(
        "bn-variance",
        "BatchNorm variance ÷",
        "n",
        "Keras offers no other, and PyTorch's can be corrected",
        BatchNorm,
    ),
    Stage(
        "weight-decay",
        "weight decay",
        "L2 in the gradient",
        "what the closed track computes; decoupled decay is another optimiser (AdamW)",
    ),
    Stage(
        "lrn",
        "LRN constants",
        "size 5, alpha 1e-4 ÷ size, beta 0.75, k 1",
        "those of BVLC's AlexNet",
        LocalResponseNorm,
    ),
    Stage("shuffle", "order of images", "a new order every epoch", "stochastic gradients need it"),
    Stage("layout", "memory layout", "NHWC", "what convolutions on a CPU are written for"),
    Stage("precision", "precision", "float32", "TF32 and bfloat16 are not float32"),
    Stage(
        "adam-eps",
        "Adam's eps",
        "1e-8 after the bias correction",
        "Kingma and Ba 2015, algorithm 1",
    ),
)

SHARED_EPS = 1e-8
"""Of Adam, at the end of the ablation."""
WEIGHT_DECAY = "weight-decay"
"""The stage that switches nothing where a recipe has no decay."""

_PLACES = {stage.name: place for place, stage in enumerate(STAGES)}
NAMES = (OWN, *_PLACES)
"""Everything that ``Case.defaults`` may be in the ablation."""


def defaults_of(name: str) -> FrameworkDefaults:
    """The own defaults of a framework; UserError when its row has none."""
    own = framework(name).defaults
    if own is None:
        raise UserError(
            f"framework {name}: its row says nothing of its own defaults, which the track "
            f"{ABLATION} starts from; give it `defaults`"
        )
    return own


def chain(architecture: Architecture, name: str) -> list[str]:
    """The stages that are measured in a framework, in order: its own defaults first."""
    own = defaults_of(name)
    return [
        OWN,
        *(s.name for s in STAGES if s.applies(architecture) and _changes(s, architecture, own)),
    ]


def _changes(stage: Stage, architecture: Architecture, own: FrameworkDefaults) -> bool:
    """Whether a stage changes anything at all in a framework."""
    if stage.layer is None:
        return stage.name not in own.already
    before = [_with_own(layer, own, frozenset()) for layer in architecture.layers]
    return before != [_with_own(layer, own, {stage.name}) for layer in architecture.layers]


def switched(case: Case) -> frozenset[str]:
    """The stages that a case of the ablation shares; nothing in the other tracks.

    What a framework shares by default is not among them. Raises UserError when the case
    names no stage, or one that is unknown.
    """
    if not track(case.track).stages:
        return frozenset()
    if case.defaults not in NAMES:
        raise unknown("stage", case.defaults, NAMES, f"track {ABLATION}: ")
    last = _PLACES.get(case.defaults, -1)
    return (
        frozenset(stage.name for stage in STAGES[: last + 1]) - defaults_of(case.framework).already
    )


def takes_shared_weights(case: Case) -> bool:
    """Whether training starts from the core's initial weights."""
    return track(case.track).shared_weights or "initialisation" in switched(case)


def shuffles(case: Case) -> bool:
    """Whether every epoch has an order of its own: all but a framework that does not by default."""
    if not track(case.track).stages:
        return True
    return "shuffle" in switched(case) | defaults_of(case.framework).already


def with_own_constants(architecture: Architecture, case: Case) -> Architecture:
    """The network with the framework's own constants where the case does not share them."""
    if not track(case.track).stages:
        return architecture
    own, shared = defaults_of(case.framework), switched(case)
    layers = tuple(_with_own(layer, own, shared) for layer in architecture.layers)
    return dataclasses.replace(architecture, layers=layers)


def _with_own(layer: Layer, own: FrameworkDefaults, shared: Set[str]) -> Layer:
    if isinstance(layer, BatchNorm):
        return dataclasses.replace(
            layer,
            eps=layer.eps if "bn-eps" in shared else own.batch_norm.eps,
            momentum=layer.momentum if "bn-momentum" in shared else own.batch_norm.momentum,
            unbiased=layer.unbiased if "bn-variance" in shared else own.batch_norm.unbiased,
        )
    if isinstance(layer, LocalResponseNorm) and "lrn" not in shared:
        size = layer.size if own.lrn.size is None else own.lrn.size
        lrn = own.lrn
        return dataclasses.replace(layer, size=size, alpha=lrn.alpha, beta=lrn.beta, k=lrn.k)
    return layer


def in_all(stage: str, parts: Iterable[Any], fact: Callable[[Any], Any]) -> dict[str, Any]:
    """The fact of all layers of a kind: alone where they agree, else a list of what there is."""
    found: list[Any] = []
    for part in parts:
        if fact(part) not in found:
            found.append(fact(part))
    if not found:
        return {}
    return {stage: found[0] if len(found) == 1 else found}
