"""Compares the layers of a Keras model with the rows of the network that its weights fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Dropout, Layer
from bench.weights.keras_models.config import Config, KerasLayer, KerasLayers, input_size, layers_of

Constants = dict[str, dict[str, float]]

_WORDS = {
    "conv": "a convolution",
    "batch_norm": "a BatchNorm",
    "lrn": "a local response normalisation",
    "relu": "a ReLU",
    "max_pool": "a max pool",
    "flatten": "a flattening",
    "dense": "a dense layer",
}
_FIXED = {
    "padding": (0, 0),
    "dilation": 1,
    "data_format": "channels_last",
    "axis": -1,
    "max_value": None,
    "negative_slope": 0.0,
    "threshold": 0.0,
}
"""Values that no row has a field for, since all rows share them."""
_CARRIED = ("eps", "momentum")


@dataclass(frozen=True)
class Check:
    """What a comparison found.

    Attributes:
        architecture: The network as the file has it: its size of images, its constants, and no
            more layers than the model has.
        constants: Constants that differ from the variant's, by layer and field.
        softmax: Whether the model gives probabilities; the network gives logits.
        precision: A type policy of the model that is not float32; None where there is none.
        notes: What is left out, since it does not change an output.
    """

    architecture: Architecture
    constants: Constants = field(default_factory=dict)
    softmax: bool = False
    precision: str | None = None
    notes: tuple[str, ...] = ()


def compared(
    config: Config, architecture: Architecture, where: str, *, partial: bool = False
) -> Check:
    """Compare a model with a network, layer by layer.

    Args:
        config: Of the model, as `bench.weights.keras_models.config.parse` gives it.
        architecture: The network with the variant's own constants.
        where: The file, for errors.
        partial: Whether the network is only the first layers of what the model may be.

    Raises:
        UserError: A layer differs; the message names it with both values.
    """
    architecture = _at_size(config, architecture, where)
    model = layers_of(config, architecture.input_size, where)
    rows = [row for row in architecture.layers if not isinstance(row, Dropout)]
    layers = model.layers
    if not layers:
        raise UserError(f"{where}: its config has no layers")
    if model.softmax:
        layers = _without_softmax(layers, where)
    if partial:
        layers = layers[: len(rows)]
    constants: Constants = {}
    for place, layer in enumerate(layers):
        row = rows[place] if place < len(rows) else None
        found = _compare(layer, row, architecture.name, where)
        if row is not None and found:
            constants[row.name] = found
    if partial:
        return Check(architecture, constants, precision=model.precision)
    last = rows[len(layers) - 1].name
    names = [row.name for row in architecture.layers]
    shorter = replace(architecture, layers=architecture.layers[: names.index(last) + 1])
    rates, notes = _dropouts(model, shorter)
    if model.softmax:
        notes = (*notes, "the softmax at the end is left out: outputs are logits")
    if model.idle:
        notes = (*notes, f"left out, since they act in training alone: {', '.join(model.idle)}")
    whole = len(layers) == len(rows)
    return Check(
        architecture if whole else shorter,
        constants | rates,
        model.softmax,
        model.precision,
        notes,
    )


def _at_size(config: Config, architecture: Architecture, where: str) -> Architecture:
    """The network for images of the size that the model takes."""
    shape = input_size(config)
    own = architecture.input_size
    if shape in (None, (own, own, architecture.channels)):
        return architecture
    assert shape is not None
    other = replace(architecture, input_size=shape[0])
    square = shape == (shape[0], shape[0], architecture.channels)
    try:
        fits = square and other.weight_shapes() == architecture.weight_shapes()
    except UserError:
        fits = False
    if not fits:
        raise UserError(
            f"{where}: the model takes inputs of {shape}, and {architecture.name} of "
            f"{(own, own, architecture.channels)}"
        )
    return other


def _without_softmax(layers: list[KerasLayer], where: str) -> list[KerasLayer]:
    *rest, last = layers
    if last.kind != _SOFTMAX:
        return layers  # the comparison finds it in its place
    return rest


_SOFTMAX = "the activation softmax"


def _compare(layer: KerasLayer, row: Layer | None, network: str, where: str) -> dict[str, float]:
    """Constants of a layer that differ from the row's and are carried over.

    Raises UserError for any other difference.
    """
    theirs = _WORDS.get(layer.kind, layer.kind)
    if row is None:
        raise UserError(f"{where}: layer {layer.name} has {theirs} after the end of {network}")
    if layer.kind != row.kind:
        raise UserError(
            f"{where}: layer {layer.name} has {theirs}, and {network} has {_WORDS[row.kind]} there "
            f"({row.name})"
        )
    carried = {}
    for name, value in layer.values.items():
        wanted = getattr(row, name, _FIXED.get(name))
        if value == wanted or (name == "data_format" and value is None):
            continue
        if name not in _CARRIED:
            raise UserError(
                f"{where}: layer {layer.name} has {name} {value}, and {network}'s {row.name} has "
                f"{wanted}"
            )
        carried[name] = float(value)
    return carried


def _dropouts(model: KerasLayers, architecture: Architecture) -> tuple[Constants, tuple[str, ...]]:
    """Rates that differ, or a note that dropout stands elsewhere: outputs do not depend on it."""
    ours = list(_places(architecture))
    if [place for place, _ in model.dropouts] != [place for place, _ in ours]:
        return {}, (
            f"dropout stands at other places than in {architecture.name}, which matters to "
            "training alone",
        )
    pairs = zip(model.dropouts, ours, strict=True)
    return {row.name: {"rate": rate} for (_, rate), (_, row) in pairs if rate != row.rate}, ()


def _places(architecture: Architecture) -> Iterator[tuple[int, Dropout]]:
    """Dropouts with the number of other rows before each."""
    before = 0
    for row in architecture.layers:
        if isinstance(row, Dropout):
            yield before, row
        else:
            before += 1
