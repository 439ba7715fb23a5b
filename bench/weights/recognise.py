"""The network of a file's tensors: by names that are known, else by order and shape of the layers.

Layouts are PyTorch's or Keras's; which one follows from the shapes where the format does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bench.core.errors import UserError
from bench.networks import layouts
from bench.networks.architecture import Shape
from bench.networks.variants import HEADS, VARIANTS
from bench.networks.weight_names import core_names, renamed
from bench.weights.beside import refuse_several, without_others
from bench.weights.files import RawWeights, Tensors
from bench.weights.identify import (
    AmbiguousError,
    Network,
    best_of,
    candidate,
    fits,
    identify,
    unusual,
)
from bench.weights.keras import from_keras
from bench.weights.match import by_kind, dense_kernels, matched, naming, natural_order
from bench.weights.names import Named, plain_names
from bench.weights.numbering import contradiction
from bench.weights.partial import Fitting, fitting_layers

_OTHER_NETWORK = (
    "so another network is meant, which has other outputs; alexbench convert --variant takes the "
    "tensors all the same, CONTRIBUTING.md, 'Add a variant', says how to add a network"
)
_CAFFE = ("fc6", "fc7", "fc8")
"""Names of dense layers in Caffe's AlexNet, which its converters keep."""


@dataclass(frozen=True)
class Recognised:
    """Tensors in the core's names and layouts, and their network.

    Attributes:
        tensors: By the core's names.
        network: The one that they fit.
        sentences: What was dropped, reshaped and matched, for a reader.
        of_caffe: Why the channel order of the images is not certain; empty where it is.
        whole: Whether all that is in the file is taken.
    """

    tensors: Tensors
    network: Network
    sentences: tuple[str, ...] = ()
    of_caffe: str = ""
    whole: bool = True


def recognise(
    raw: RawWeights, where: str, named: str | None, head: str | None, *, partial: bool = False
) -> Recognised:
    """The network of a file.

    Args:
        raw: The contents.
        where: The file, for errors.
        named: The variant, where it is known.
        head: The head, where it is known.
        partial: Whether the layers that fit are taken from a file of another network.

    Raises:
        UserError: None fits, or several fit equally well; the message names the nearest network and
            the layer that differs.
    """
    if raw.keras:
        try:
            return Recognised(*from_keras(raw.tensors, where, named, head))
        except AmbiguousError:
            raise
        except UserError:
            if not partial:
                raise
            return _partly(raw.tensors, where, named, keras=True)
    refuse_several(raw.tensors, where)
    network_alone, others = without_others(raw.tensors)
    plain = plain_names(list(network_alone))
    tensors, sentences, of_caffe = _plain(network_alone, plain)
    sentences = (*filter(None, [others]), *sentences)
    try:
        own = _by_names(tensors, plain.theirs, where, named, head)
        other = _by_order(tensors, where, named, head) if unusual(own[1])[0] else None
        if other and unusual(other[1]) < unusual(own[1]):
            return Recognised(other[0], other[1], (*sentences, *other[2]), of_caffe)
        return Recognised(*own, sentences, of_caffe)
    except AmbiguousError:
        raise
    except UserError as error:
        found = _by_order(tensors, where, named, head) or _as_keras(tensors, where, named, head)
        if found is not None:
            return Recognised(found[0], found[1], (*sentences, *found[2]), of_caffe)
        numbering = _of_modules(tensors, where, head)
        if numbering or not partial:
            raise numbering or error from None
    return _partly(tensors, where, named, keras=False, sentences=sentences)


def _plain(given: Tensors, named: Named) -> tuple[Tensors, tuple[str, ...], str]:
    """Tensors by ``layer.part``, what was dropped, and why they may be Caffe's."""
    tensors = {new: given[old] for new, old in named.theirs.items()}
    sentences = list(named.sentences)
    if dense := dense_kernels(tensors):
        tensors |= dense
        names = ", ".join(name.rpartition(".")[0] for name in dense)
        sentences.append(f"dense layers that are kept as convolutions: {names}")
    wide = [k for k, v in tensors.items() if v.ndim in (2, 4) and v.size == max(v.shape, default=0)]
    wide = [name for name in wide if name.endswith(".bias")]
    if wide:
        shape = tensors[wide[0]].shape
        tensors |= {name: tensors[name].reshape(-1) for name in wide}
        words = ", ".join(["1"] * (len(shape) - 1) + ["C"])
        sentences.append(f"biases of shape ({words}) reshaped to (C,): {len(wide)}")
        if len(shape) == 4:
            return tensors, tuple(sentences), f"biases of shape {shape}"
    layers = {name.rpartition(".")[0].lower() for name in tensors}
    caffe = f"layers called {', '.join(_CAFFE)}" if layers >= set(_CAFFE) else ""
    return tensors, tuple(sentences), caffe


def _by_names(
    tensors: Tensors,
    in_file: Mapping[str, str],
    where: str,
    named: str | None,
    head: str | None,
) -> tuple[Tensors, Network]:
    names = core_names(tensors, head or "source")
    by_name = renamed(tensors, names)
    shapes = {name: array.shape for name, array in by_name.items()}
    theirs = {ours: in_file[own] for own, ours in names.items()}
    network = identify(shapes, where, named=named, head=head, theirs=theirs)
    if named is None and (why := contradiction(names, network.architecture)):
        raise UserError(f"{where}: {why}; {_OTHER_NETWORK}")
    return by_name, network


def _by_order(
    tensors: Tensors, where: str, named: str | None, head: str | None
) -> tuple[Tensors, Network, tuple[str, ...]] | None:
    """Tensors under the core's names where the layers of one network fit in order and shape."""
    given = _in_order(tensors)
    shapes = {name: array.shape for name, array in given.items()}
    found = [
        (network, names)
        for network, names in _orders(shapes, named, head)
        if named or contradiction(names, network.architecture) is None
    ]
    if not found:
        return None
    network = best_of([network for network, _ in found], where)
    names = next(names for each, names in found if each == network)
    return renamed(given, names), network, matched(names)


def _orders(
    shapes: Mapping[str, Shape], named: str | None, head: str | None
) -> Iterator[tuple[Network, dict[str, str]]]:
    for row in [VARIANTS[named]] if named else VARIANTS.values():
        for each in [head] if head else HEADS:
            names = naming(shapes, row.architecture(head=each).layers, parts=True)
            if names is None:
                continue
            renamed_shapes = {names[own]: shape for own, shape in shapes.items()}
            network = candidate(row, each, renamed_shapes)
            if fits(network, renamed_shapes):
                yield network, names


def _of_modules(tensors: Tensors, where: str, head: str | None) -> UserError | None:
    """The error of tensors that fit a network while the numbers of their modules do not."""
    shapes = {name: array.shape for name, array in _in_order(tensors).items()}
    for network, names in _orders(shapes, None, head):
        if why := contradiction(names, network.architecture):
            return UserError(f"{where}: {why}; {_OTHER_NETWORK}")
    return None


def _in_order(tensors: Tensors) -> Tensors:
    """Tensors of numbered layers in the order of their numbers; others as the file has them.

    A file of safetensors or npz has its names sorted as texts: ``features.10`` before
    ``features.8``. A pickle of an old dictionary has them in no order: ``conv3`` before ``conv1``.
    """
    if list(tensors) != sorted(tensors) and not _numbered(tensors):
        return tensors
    return {name: tensors[name] for name in sorted(tensors, key=natural_order)}


def _numbered(tensors: Tensors) -> bool:
    """Whether the layers of each kind are called alike, and told by a number at the end."""
    kinds = by_kind({name: array.shape for name, array in tensors.items()})
    numbered = [[re.fullmatch(r"(.*?)\d+", layer) for layer in layers] for layers in kinds]
    return all(all(found) and len({m and m[1] for m in found}) < 2 for found in numbered)


def _as_keras(
    tensors: Tensors, where: str, named: str | None, head: str | None
) -> tuple[Tensors, Network, tuple[str, ...]] | None:
    """The same for kernels in Keras's layout (HWIO) in a file that does not say so."""
    if not any(array.ndim == 4 for array in tensors.values()):
        return None
    try:
        found, network, said = from_keras(_in_order(tensors), where, named, head)
    except AmbiguousError:
        raise
    except UserError:
        return None
    return found, network, ("kernels are in Keras's layout (HWIO)", *said)


def _partly(
    tensors: Tensors,
    where: str,
    named: str | None,
    *,
    keras: bool,
    sentences: tuple[str, ...] = (),
) -> Recognised:
    """The layers that fit a network, from the first one on."""
    given = _in_order(tensors)
    if keras:
        given = {name: layouts.from_keras(name, array, {}) for name, array in given.items()}
    shapes = {name: array.shape for name, array in given.items()}
    found: Fitting = fitting_layers(shapes, where, named)
    why = None if named or keras else contradiction(found.names, found.network.architecture)
    if why:
        raise UserError(f"{where}: {why}; {_OTHER_NETWORK}")
    taken = {found.names[own]: given[own] for own in given if own in found.names}
    if keras:
        order = layouts.flattened(found.network.architecture)
        taken = {
            found.names[own]: layouts.from_keras(found.names[own], tensors[own], order)
            for own in given
            if own in found.names
        }
    return Recognised(
        {name: np.ascontiguousarray(array) for name, array in taken.items()},
        found.network,
        (*sentences, found.sentence),
        whole=False,
    )
