"""Identifies the network of a set of tensors from their names and shapes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.core.errors import UserError
from bench.networks.architecture import Architecture, BatchNorm, Dense, Flatten, Shape
from bench.networks.variants import HEADS, VARIANTS, Variant, variant
from bench.networks.weights import other_order
from bench.weights.match import Pair, aligned, by_kind

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
    tried = [candidate(row, name, shapes) for row in rows for name in heads]
    fitting = [network for network in tried if fits(network, shapes)]
    if not fitting:
        raise UserError(refusal(tried, shapes, where, theirs or {}))
    return best_of(fitting, where)


class AmbiguousError(UserError):
    """Several networks fit equally well; the user has to say which is meant."""


def best_of(fitting: list[Network], where: str) -> Network:
    """The network that is meant, of those that fit.

    That with the fewest gaps. Of whole ones, that which takes images of its own size, then that
    with its own head.

    Raises:
        AmbiguousError: Several are left; the message names them.
    """
    fewest = min(network.gaps for network in fitting)
    best = [network for network in fitting if network.gaps == fewest]
    if not any(network.missing for network in best):
        usual = min(map(unusual, best))
        best = [network for network in best if unusual(network) == usual]
    names = list(dict.fromkeys(network.variant for network in best))
    names = [name for name in names if variant(name).trunk_of not in names]
    if len(names) > 1:
        raise AmbiguousError(
            f"{where}: fits {', '.join(names)} alike; say which it is: "
            f"alexbench convert {where} NEW.safetensors --variant {names[0]}"
        )
    return next(network for network in best if network.variant == names[0])


def unusual(network: Network) -> tuple[bool, bool]:
    """Whether a network takes images of another size than its own, and whether it has another
    head: of two networks that fit, the more usual one is meant."""
    own = variant(network.variant).input_size
    return network.input_size != own, network.head != "source"


def fits(network: Network, shapes: Mapping[str, Shape]) -> bool:
    """Whether tensors of these shapes, by the core's names, are those of the network."""
    return not _misfits(network.architecture, shapes)


def _possible_heads(shapes: Mapping[str, Shape]) -> list[str]:
    """The source's head, and the others where one of their layers is in the file."""
    own = any(name.startswith("head") for name in shapes)
    return [head for head in HEADS if own or head == "source"]


def candidate(row: Variant, head: str, shapes: Mapping[str, Shape]) -> Network:
    """A network at the number of classes and the image size that the shapes have."""
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
    norms = {row.name for row in architecture.layers if isinstance(row, BatchNorm)}
    rest = {name.rpartition(".")[0] for name in wanted} - norms
    if rest <= there:  # whole but for its BatchNorms: a network that has none
        for name in sorted(norms - there):
            yield f"{name}.weight {wanted[f'{name}.weight']} is missing, and all else is there"


_HOW = (
    "alexbench convert --partial takes the layers that fit; CONTRIBUTING.md, 'Add a variant', says "
    "how to add a network"
)


def refusal(
    tried: list[Network], shapes: Mapping[str, Shape], where: str, theirs: Mapping[str, str]
) -> str:
    """The error of a file that fits no network: the nearest one, and what differs from it."""
    near = min(tried, key=lambda network: (_distance(network, shapes), unusual(network)))
    wrong = _misfits(near.architecture, shapes)
    if grey := _grey(shapes, theirs):
        return f"{where}: {grey}"
    foreign = sum(clause.partition(" ")[0] in shapes for clause in wrong)
    if foreign > len(shapes) / 2:
        return f"{where}: of another network; {_nearest(tried, shapes, theirs)}; {_HOW}"
    network = near.variant + ("" if near.head == "source" else f" with the head {near.head}")
    more = f"; {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
    first, _, rest = wrong[0].partition(" ")
    how = f"; {_HOW}" if first.endswith(".weight") and "expected" in rest else ""
    return f"{where}: does not fit {network}: {_called(first, theirs)} {rest}{more}{how}"


def _distance(network: Network, shapes: Mapping[str, Shape]) -> int:
    return len(_misfits(network.architecture, shapes)) + len(network.missing)


def _grey(shapes: Mapping[str, Shape], theirs: Mapping[str, str]) -> str:
    """The sentence for a first convolution that takes grey images; empty for any other."""
    for name, shape in shapes.items():
        if len(shape) == 4 and name.endswith(".weight"):
            if shape[1] != 1 or shape[2] == 1:
                return ""
            own = theirs.get(name, name)
            return (
                f"its first convolution {own} {shape} takes grey images of 1 channel, and the "
                "networks here take 3; weight.repeat(1, 3, 1, 1) / 3 is the same network for grey "
                "images as RGB"
            )
    return ""


def _nearest(tried: list[Network], shapes: Mapping[str, Shape], theirs: Mapping[str, str]) -> str:
    """The network with the most layers in common, by order and shape, and the first difference."""
    classes = last_units(shapes)
    rows = {network.variant: variant(network.variant).architecture(classes) for network in tried}
    sides = {name: list(aligned(shapes, row)) for name, row in rows.items()}
    name = max(sides, key=lambda each: _likeness(sides[each]))
    pairs = [pair for pair in sides[name] if not pair.fits]
    if not pairs:
        return f"{name} is the nearest"
    first, more = pairs[0], f"; {len(pairs) - 1} more layers differ" if len(pairs) > 1 else ""
    wanted = first.ours and _weight_of(rows[name].weight_shapes(), first.ours.name)
    if first.theirs is None:
        difference = f"{first.ours and first.ours.name} {wanted} is not in the file"
    else:
        own = _called(f"{first.theirs}.weight", theirs)
        found = _weight_of(shapes, first.theirs)
        ours = f"{first.ours.name} there is {wanted}" if first.ours else "it has no such layer"
        difference = f"{own} is {found}, and {ours}"
    return f"{name} is the nearest: {difference}{more}"


def last_units(shapes: Mapping[str, Shape]) -> int | None:
    """Units of the last dense layer: the number of classes, where it is whole."""
    dense = by_kind(shapes)[1]
    return shapes[f"{dense[-1]}.weight"][0] or None if dense else None


def _likeness(pairs: list[Pair]) -> tuple[int, int]:
    """More layers in common are nearer, then fewer that differ."""
    same = sum(pair.fits for pair in pairs)
    return same, same - len(pairs)


def _weight_of(shapes: Mapping[str, Shape], layer: str) -> Shape | str:
    return shapes.get(f"{layer}.weight", "without weights")


def _called(name: str, theirs: Mapping[str, str]) -> str:
    """A tensor's name in the file's own convention, from the rest of its layer."""
    layer, _, part = name.rpartition(".")
    if name in theirs or not layer:
        return theirs.get(name, name)
    for ours, own in theirs.items():
        if ours.rpartition(".")[0] == layer and "." in own:
            return f"{own.rpartition('.')[0]}.{part}"
    return name
