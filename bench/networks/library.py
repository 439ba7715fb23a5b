"""What the library's ``AlexNet`` means, whatever the framework: rows, weights, preprocessing.

`models_torch.library` and `models_keras.library` build what is chosen here, and nothing here knows
a framework. Files are read by :mod:`bench.weights`, which stands above this package and is named by
a string: a network without weights is built without it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.extensions import load_object
from bench.networks.architecture import Architecture, Flatten, Shape
from bench.networks.init import Weights
from bench.networks.preprocessing import Preprocessing
from bench.networks.pretrained import Facts, Pretrained
from bench.networks.variants import HEADS, variant
from bench.networks.weights import check_weights, weights_digest

IMAGENET = "imagenet"
"""The name that keras.applications has for weights trained on ImageNet."""

_PUBLISHED = {IMAGENET: {"torchvision": "torchvision"}, "bvlc": {"imagenet-lrn": "bvlc"}}
"""Sources of weights by the library's name for them and by network."""

_OPEN = "bench.weights.sources:open_weights"
_USUAL_PREPROCESSING = "bench.weights.facts:preprocessing_of"
_PREPARE = "bench.inference.transforms:prepare"
_AS_RGB = "bench.inference.transforms:as_rgb"


@dataclass(frozen=True)
class Chosen:
    """A network that was asked for, and what it starts from.

    Attributes:
        variant: Its row.
        head: Which layers after the last pool are new.
        architecture: The layers, without those after the last pool where no top is wanted.
        weights: Weights to load, by the core's names, in its layouts; those that are missing keep
            the framework's own initial values.
        facts: Of the weights, where there are any.
    """

    variant: str
    head: str
    architecture: Architecture
    weights: Weights
    facts: Facts | None = None

    @property
    def whole(self) -> bool:
        """Whether every weight and statistic of the network is given."""
        wanted = self.architecture.weight_shapes() | self.architecture.statistic_shapes()
        return wanted.keys() <= self.weights.keys()

    @property
    def has_top(self) -> bool:
        """Whether the network ends in logits, not in the map of the last pool."""
        return any(isinstance(row, Flatten) for row in self.architecture.layers)

    @property
    def pooled(self) -> Shape | None:
        """(H, W) to which the source pools the last map; None where it takes the map as it is."""
        if not variant(self.variant).adaptive_pool:
            return None
        *_, last = (s for s in self.architecture.steps() if len(s.after) == 3)
        return last.after[1:]

    @property
    def preprocessing(self) -> Preprocessing:
        """Of the weights; without any, what is usual for the network."""
        size = self.architecture.input_size
        if self.facts is None:
            usual: Preprocessing = load_object(_USUAL_PREPROCESSING)(self.variant, size)
            return usual
        found = self.facts.preprocessing
        scale = size / found.size
        return replace(found, size=size, resize=round(found.resize * scale))

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the logits, in their order; empty where they are not known."""
        known = self.facts.categories if self.facts else ()
        return known if self.has_top and len(known) == self.architecture.classes else ()


def choose(
    variant_name: str,
    weights: str | os.PathLike[str] | None,
    include_top: bool,
    classes: int | None,
    input_size: int | None,
    head: str,
) -> Chosen:
    """What the arguments of ``AlexNet`` mean; they are documented there.

    Raises:
        UserError: They contradict each other or the weights, or the weights cannot be read.
    """
    row = variant(variant_name)
    _check_number("classes", classes)
    _check_number("input_size", input_size)
    _check_path(weights)
    if weights is None:
        rows = row.architecture(classes, head=head, input_size=input_size)
        return Chosen(row.name, head, _with_top(rows, include_top), {})
    source = opened(weights, row.name)
    facts = source.facts
    asked, head = head, facts.head if head == "source" else head
    count = _classes(facts, classes, asked, include_top)
    size = input_size or facts.input_size or facts.preprocessing.size
    whole = row.architecture(count, head=head, input_size=size).with_constants(facts.constants)
    rows = _with_top(whole, include_top)
    # The names are those of the source's last layer, whose place another takes.
    known = facts if asked == "source" else replace(facts, categories=())
    return Chosen(row.name, head, rows, _taken(source, rows, asked), known)


def _check_number(name: str, value: object) -> None:
    """Raise UserError for anything but None and a whole number above 0."""
    if value is not None and (type(value) is not int or value < 1):
        raise UserError(f"{name} must be a whole number, 1 or more. Received: {value!r}")


def _check_path(weights: object) -> None:
    """Raise UserError for weights that are no name and no path."""
    if weights is not None and not isinstance(weights, str | os.PathLike):
        known = ", ".join(map(repr, _PUBLISHED))
        raise UserError(
            f"weights must be None, {known} or the path of a file. Received: {weights!r}"
        )


def opened(weights: str | os.PathLike[str], variant_name: str) -> Pretrained:
    """The weights of a name or a file, of a network.

    Raises:
        UserError: They cannot be read, or belong to another network.
    """
    spec = os.fspath(weights)
    if spec in _PUBLISHED:
        by_network = _PUBLISHED[spec]
        if variant_name not in by_network:
            (other,) = by_network
            raise UserError(
                f"weights {spec!r} are those of {other!r}; there are none for {variant_name!r}. "
                f"Take AlexNet({other!r}, weights={spec!r})"
            )
        return _read(by_network[variant_name])
    try:
        found = _read(spec, named=variant_name)
    except UserError:
        own = _facts_of(spec)
        if own is None or own.variant == variant_name:
            raise
        raise _of_another(spec, own) from None
    # Shapes fit with another head: they may be those of another network with its own.
    own = None if found.facts.head == "source" else _facts_of(spec)
    if own and own.head == "source" and own.variant != variant_name:
        raise _of_another(spec, own)
    return found


def _of_another(spec: str, own: Facts) -> UserError:
    name = own.variant
    return UserError(
        f"weights {spec} are those of {name!r}. Take AlexNet({name!r}, weights={spec!r})"
    )


def _read(spec: str, **named: str) -> Pretrained:
    found: Pretrained
    found, _ = load_object(_OPEN)(spec, **named)
    return found


def _facts_of(spec: str) -> Facts | None:
    """The facts of a file whose network is not named; None where it cannot be read so."""
    try:
        return _read(spec).facts
    except UserError:
        return None


def _classes(facts: Facts, asked: int | None, head: str, include_top: bool) -> int | None:
    """The number of logits; None where the row's own is meant."""
    if asked is None or not include_top:
        return facts.classes
    if facts.classes not in (None, asked) and head == "source":
        raise UserError(
            f"weights {facts.name} have {facts.classes} classes. Received: classes={asked}; "
            "head='replace-last' puts a new last layer on them"
        )
    return asked


def _with_top(rows: Architecture, include_top: bool) -> Architecture:
    if include_top:
        return rows
    flat = next(i for i, layer in enumerate(rows.layers) if isinstance(layer, Flatten))
    return replace(rows, layers=rows.layers[:flat])


def _taken(source: Pretrained, rows: Architecture, head: str) -> Weights:
    """The weights that the network takes, by name: of a head that was asked for, none.

    Raises:
        UserError: One of the network's own layers has another shape.
    """
    facts = source.facts
    shapes = rows.weight_shapes() | rows.statistic_shapes()
    own = {n.rpartition(".")[0] for n in variant(facts.variant).architecture().weight_shapes()}
    found: Weights = {}
    for name, shape in shapes.items():
        tensor = source.tensors.get(name)
        if tensor is None or (head != "source" and name.rpartition(".")[0] not in own):
            continue
        if tensor.shape == shape:
            found[name] = tensor
        else:
            raise UserError(
                f"weights {facts.name}: {name} is {tensor.shape}, the network wants {shape}; they "
                f"fit images of {facts.input_size} pixels, head='pool-linear' and 'pool-narrow' "
                "take any size"
            )
    missing = {name.rpartition(".")[0] for name in shapes if name not in found} & own
    if missing:
        warnings.warn(
            f"weights {facts.name} lack {', '.join(sorted(missing))}, which keep the initial "
            "values of the framework; include_top=False leaves the dense layers out",
            stacklevel=4,  # of the script that calls AlexNet
        )
    return found


def prepared(image: Any, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The input of a network from one image.

    Args:
        image: A Pillow image; anything but RGB is converted as ``alexbench predict`` does it. It is
            not turned by EXIF, as in torchvision.
        preprocessing: Of the weights.

    Returns:
        (3, S, S) float32: equal to the bit to torchvision's preset for a Pillow image.

    Raises:
        UserError: It is no Pillow image, of pixels whose range is unknown, or too long and narrow
            to be resized.
    """
    if not hasattr(image, "convert"):
        raise UserError(
            "transforms take a Pillow image (PIL.Image.open, PIL.Image.fromarray). Received: "
            f"{type(image).__name__}"
        )
    found: NDArray[np.float32] = load_object(_PREPARE)(
        load_object(_AS_RGB)(image), preprocessing, Path(getattr(image, "filename", "") or "image")
    )
    return found


def save(
    chosen: Chosen,
    weights: Mapping[str, NDArray[Any]],
    path: str | os.PathLike[str],
    categories: Iterable[str] = (),
    notes: str = "",
) -> None:
    """Save a library model's weights, with all that ``predict``, ``embed``, ``convert`` and
    ``AlexNet(weights=…)`` need to use them.

    Args:
        chosen: What the model was built from.
        weights: All weights and statistics by the core's names, in its layouts.
        path: A ``.safetensors`` file, which is replaced.
        categories: Names of the logits; those of the weights it started from where there are none.
        notes: Provenance, for a reader.

    Raises:
        UserError: The suffix is another one, a weight does not fit the network, or there is another
            number of names than of logits.
        OSError: The file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise UserError(f"{target}: saved as .safetensors alone; alexbench convert writes others")
    rows = chosen.architecture
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
    check_weights(rows, arrays)
    names = tuple(categories) or chosen.categories
    if names and chosen.has_top and len(names) != rows.classes:
        raise UserError(f"{len(names)} categories for {rows.classes} logits")
    facts = Facts(
        name=target.stem,
        sha256=weights_digest(arrays),
        variant=chosen.variant,
        layers=tuple(s.layer.name for s in rows.steps() if s.layer.weights(s.before)),
        preprocessing=chosen.preprocessing,
        head=chosen.head,
        classes=rows.classes if chosen.has_top else None,
        input_size=rows.input_size,
        categories=names,
        notes=notes,
        constants=chosen.facts.constants if chosen.facts else {},
    )
    Pretrained(facts, arrays).save(target)


def as_it_is_now(chosen: Chosen, shapes: Iterable[Shape]) -> Chosen:
    """What a model is after its user replaced layers of its head.

    Args:
        chosen: What it was built from.
        shapes: Of its trainable weights, in order and in the core's layouts.

    Returns:
        The row with the head whose weights have these shapes.

    Raises:
        UserError: No head of the row has them.
    """
    found = list(shapes)
    if found == list(chosen.architecture.weight_shapes().values()):
        return chosen
    count = found[-1][0] if found else None
    for head in dict.fromkeys((chosen.head, *HEADS)):
        rows = variant(chosen.variant).architecture(
            count, head=head, input_size=chosen.architecture.input_size
        )
        if chosen.facts:
            rows = rows.with_constants(chosen.facts.constants)
        if found == list(rows.weight_shapes().values()):
            return Chosen(chosen.variant, head, rows, {}, chosen.facts)
    raise UserError(
        f"the model's layers are no longer those of {chosen.variant} with any of the heads "
        f"{', '.join(HEADS)}"
    )
