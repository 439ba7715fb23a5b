"""Identifies the network of a set of tensors from their names and shapes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, Dense, Flatten, Shape
from bench.networks.variants import HEADS, VARIANTS, Variant, variant
from bench.networks.weights import other_order

_SIDES = range(16, 1025)
"""Image sizes that are tried, in pixels, where the first dense layer does not fit the variant's."""


@dataclass(frozen=True)
class Network:
    """The network of a file, which may have only some of its layers.

    Attributes:
        variant: Its name.
        head: Name of its head.
        classes: Number of logits; None without the last dense layer.
        input_size: Side in pixels of the images that the first dense layer fits; None without one.
        architecture: At ``classes`` and ``input_size``, at the variant's own where they are None.
        layers: Layers that are in the file, in the network's order.
        missing: Layers with weights that are not in it.
        gaps: Number of missing layers before the last one that is in it.
    """

    variant: str
    head: str
    classes: int | None
    input_size: int | None
    architecture: Architecture
    layers: tuple[str, ...]
    missing: tuple[str, ...]
    gaps: int


def identify(
    shapes: Mapping[str, Shape],
    where: str,
    *,
    named: str | None = None,
    head: str | None = None,
    theirs: Mapping[str, str] | None = None,
) -> Network:
    """The one network that tensors of these shapes fit exactly.

    Layers may be missing, but a layer is whole or absent. Where several networks fit, the one with
    the fewest gaps is taken: convolutions without BatchNorm between them belong to a network that
    has none.

    Args:
        shapes: By the core's names.
        where: The file, for errors.
        named: The variant, where it is known.
        head: The head, where it is known.
        theirs: The file's names by the core's, for errors.

    Raises:
        UserError: None fits, or several fit equally well; the message names the tensor with its
            shape and the expected one, or the variants.
    """
    if not shapes:
        raise UserError(f"{where}: no weights in it; expected those of an AlexNet")
    rows = [variant(named)] if named else list(VARIANTS.values())
    heads = [head] if head else _possible_heads(shapes)
    tried = [_candidate(row, name, shapes) for row in rows for name in heads]
    fitting = [network for network in tried if not _misfits(network.architecture, shapes)]
    if not fitting:
        raise UserError(_describe(tried, shapes, where, theirs or {}))
    fewest = min(network.gaps for network in fitting)
    best = [network for network in fitting if network.gaps == fewest]
    names = list(dict.fromkeys(network.variant for network in best))
    if len(names) > 1:
        raise UserError(
            f"{where}: fits {', '.join(names)} alike; say which it is: "
            f"alexbench convert {where} NEW.safetensors --variant {names[0]}"
        )
    return best[0]


def _possible_heads(shapes: Mapping[str, Shape]) -> list[str]:
    """The source's head, and the others where one of their layers is in the file."""
    own = any(name.startswith("head") for name in shapes)
    return [head for head in HEADS if own or head == "source"]


def _candidate(row: Variant, head: str, shapes: Mapping[str, Shape]) -> Network:
    plain = row.architecture(head=head)
    dense = [layer.name for layer in plain.layers if isinstance(layer, Dense)]
    classes = _extent(shapes.get(f"{dense[-1]}.weight"), 0)
    features = _extent(shapes.get(f"{dense[0]}.weight"), 1)
    size = None if features is None else _side(row, features)
    architecture = row.architecture(classes, head=head, input_size=size)
    weighted = [step.layer.name for step in architecture.steps() if step.layer.weights(step.before)]
    there = {name.rpartition(".")[0] for name in shapes}
    missing = tuple(name for name in weighted if name not in there)
    last = max((i for i, name in enumerate(weighted) if name in there), default=0)
    return Network(
        row.name,
        head,
        classes,
        size,
        architecture,
        tuple(name for name in weighted if name in there),
        missing,
        sum(name in missing for name in weighted[:last]),
    )


def _extent(shape: Shape | None, axis: int) -> int | None:
    """Of a matrix; None for any other tensor, which then does not fit."""
    return shape[axis] if shape is not None and len(shape) == 2 and min(shape) else None


def _side(row: Variant, features: int) -> int | None:
    """The image size that gives so many features: the variant's own, else the smallest.

    None where no size does.
    """
    if _flattened(row, row.input_size) == features:
        return row.input_size
    for side in _SIDES:
        count = _flattened(row, side)
        if count is not None and count >= features:  # larger images have more features
            return side if count == features else None
    return None


@functools.cache
def _flattened(row: Variant, side: int) -> int | None:
    """Features after the last pool for images of this size; None where no pixel is left."""
    layers = row.layers(row.classes)
    trunk = layers[: next(i for i, layer in enumerate(layers) if isinstance(layer, Flatten)) + 1]
    try:
        *_, last = Architecture(row.name, row.source, side, trunk).steps()
    except UserError:
        return None
    return last.after[0]


def _misfits(architecture: Architecture, shapes: Mapping[str, Shape]) -> list[str]:
    """The tensors that do not fit, a clause each."""
    return list(_each_misfit(architecture, shapes))


def _each_misfit(architecture: Architecture, shapes: Mapping[str, Shape]) -> Iterator[str]:
    wanted = architecture.weight_shapes() | architecture.statistic_shapes()
    there = {name.rpartition(".")[0] for name in shapes}
    for name, shape in wanted.items():
        if name not in shapes:
            if name.rpartition(".")[0] in there:
                yield f"{name} {shape} is missing, and the rest of its layer is there"
        elif shapes[name] != shape:
            hint = other_order(shapes[name], shape)
            yield f"{name} is {shapes[name]}, expected {shape}{hint}"
    for name in shapes:
        if name not in wanted:
            yield f"{name} {shapes[name]} has no place in it"


def _describe(
    tried: list[Network], shapes: Mapping[str, Shape], where: str, theirs: Mapping[str, str]
) -> str:
    """The error of a file that fits no network: the difference from the nearest one."""
    near = min(tried, key=lambda network: len(_misfits(network.architecture, shapes)))
    wrong = _misfits(near.architecture, shapes)
    network = near.variant + ("" if near.head == "source" else f" with the head {near.head}")
    foreign = len(wrong) > len(shapes) / 2
    what = f"of another network; {network} is the nearest" if foreign else f"does not fit {network}"
    more = f"; {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
    first, _, rest = wrong[0].partition(" ")
    return f"{where}: {what}: {_called(first, theirs)} {rest}{more}"


def _called(name: str, theirs: Mapping[str, str]) -> str:
    """A tensor's name in the file's own convention, from the rest of its layer."""
    layer, _, part = name.rpartition(".")
    for ours, own in theirs.items():
        if ours.rpartition(".")[0] == layer:
            return f"{own.rpartition('.')[0]}.{part}"
    return name
