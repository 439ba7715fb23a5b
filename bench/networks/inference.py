"""The network for inference that a set of weights allows: whole for logits, cut for features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Dense, ReLU
from bench.networks.init import Weights
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.weights import check_weights


@dataclass(frozen=True)
class InferenceNetwork:
    """A network and its file of weights, for an inference session."""

    facts: Facts
    file: Path
    """Safetensors in the core's names, see :mod:`bench.networks.pretrained`."""
    architecture: Architecture
    embedding: str | None = None
    """The layer whose output is returned; None for logits."""

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of an image."""
        return self.facts.preprocessing

    @property
    def width(self) -> int:
        """Length of the output for one image."""
        wanted = self.embedding or self.architecture.layers[-1].name
        return next(s.after[0] for s in self.architecture.steps() if s.layer.name == wanted)

    def label(self, index: int) -> str:
        """The name of a class, or its number where names are not known."""
        known = self.facts.categories
        return known[index] if index < len(known) else f"class {index}"


def prediction_network(source: Pretrained, file: Path) -> InferenceNetwork:
    """The whole network. Raises UserError that names the layers that the weights do not have."""
    network = InferenceNetwork(source.facts, file, _architecture(source.facts))
    _check(network, source.tensors, "predict")
    return network


def embedding_network(source: Pretrained, file: Path) -> InferenceNetwork:
    """The network as far as the weights go, but at least to the second hidden layer.

    Raises UserError where there is no such layer, or the weights do not go so far.
    """
    whole = _architecture(source.facts)
    name = embedding_layer(whole)
    end = next(i for i, layer in enumerate(whole.layers) if layer.name == name)
    head = dataclasses.replace(whole, layers=whole.layers[: end + 1])
    absent = _missing(whole, source.tensors)
    network = InferenceNetwork(source.facts, file, head if absent else whole, name)
    _check(network, source.tensors, "embed")
    return network


def embedding_layer(architecture: Architecture) -> str:
    """The ReLU after the second hidden dense layer; UserError where there is none.

    The last dense layer gives the logits and is not hidden.
    """
    dense = [i for i, row in enumerate(architecture.layers) if isinstance(row, Dense)]
    between = architecture.layers[dense[1] : dense[2]] if len(dense) > 2 else ()
    for row in between:
        if isinstance(row, ReLU):
            return row.name
    raise UserError(
        f"{architecture.name} with this head has no second hidden layer, whose output embed gives; "
        "take a network with two hidden dense layers (all but cifar-3x3, cifar-3x3-wide and "
        "cifar-linear), with a source, replace-last or narrow head"
    )


def _architecture(facts: Facts) -> Architecture:
    size = facts.preprocessing.size if facts.input_size is None else facts.input_size
    if size != facts.preprocessing.size:
        raise UserError(
            f"weights {facts.name}: for images of {size} pixels, and their preprocessing gives "
            f"{facts.preprocessing.size}"
        )
    return dataclasses.replace(facts, input_size=size).architecture()


def _missing(architecture: Architecture, tensors: Weights) -> list[str]:
    """Layers with missing weights or statistics, in order."""
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    names = [name.rpartition(".")[0] for name in wanted if name not in tensors]
    return [row.name for row in architecture.layers if row.name in names]


def _check(network: InferenceNetwork, tensors: Weights, command: str) -> None:
    architecture = network.architecture
    absent = _missing(architecture, tensors)
    if absent:
        raise UserError(
            f"weights {network.facts.name}: without {', '.join(absent)}, which {command} needs; "
            "take those of a whole network, as --weights torchvision"
        )
    check_weights(architecture, weights_for(architecture, tensors))


def weights_for(architecture: Architecture, tensors: Weights) -> Weights:
    """The tensors that the network has; a source may have more."""
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    return {name: tensors[name] for name in wanted}
