"""Tensors next to a network in its state: class weights of a loss, counters, another network."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.errors import UserError
from bench.networks.architecture import Shape
from bench.weights.files import Tensors
from bench.weights.names import COUNTER, first_part, without_wrappers

_OF_LAYERS = ("bias", "running_mean", "running_var", "num_batches_tracked")


def without_others(tensors: Tensors) -> tuple[Tensors, str]:
    """The tensors of the network, and a sentence about the others; empty where there are none.

    Trainers save a module that holds the network, its loss and its metrics (``model.features.0…``,
    ``criterion.weight``). All kernels and matrices are below one name then, and a tensor elsewhere
    is passed over unless it may be part of a layer. Numbers are part of no layer.
    """
    own, sentence = _without_other_modules(tensors)
    numbers = [name for name, a in own.items() if a.ndim == 0 and not name.endswith(COUNTER)]
    if not numbers:
        return own, sentence
    said = f"passed over, as no weights: {', '.join(numbers)}"
    return {name: own[name] for name in own if name not in numbers}, said


def refuse_several(tensors: Tensors, where: str) -> None:
    """Raise UserError for a state with copies of one network next to each other, as of a student
    and its teacher or a model and its moving average."""
    shapes: dict[str, dict[str, Shape]] = {}
    for name, array in tensors.items():
        if first := first_part(name):
            rest = without_wrappers(name).removeprefix(f"{first}.")
            shapes.setdefault(first, {})[rest] = array.shape
    copies = [one for one, own in shapes.items() if _is_network(own) and _again(shapes, one)]
    if copies:
        raise UserError(
            f"{where}: holds several networks of the same layers: {', '.join(copies)}; choose one "
            f"with --key {copies[0]}"
        )


_FEWEST = 3
"""Kernels below one name that make a network and no block of one."""


def _is_network(shapes: Mapping[str, Shape]) -> bool:
    return sum(_is_kernel(name, len(shape)) for name, shape in shapes.items()) >= _FEWEST


def _again(shapes: Mapping[str, Mapping[str, Shape]], one: str) -> bool:
    return any(own == shapes[one] for other, own in shapes.items() if other != one)


def _without_other_modules(tensors: Tensors) -> tuple[Tensors, str]:
    kernels = {name: array for name, array in tensors.items() if _is_kernel(name, array.ndim)}
    firsts = {first_part(name, numbered=True) for name in kernels}
    if len(firsts) != 1 or not (first := firsts.pop()):
        return tensors, ""
    units = [(array.shape[0],) for array in kernels.values() if array.ndim == 2]
    outside = {name: a for name, a in tensors.items() if first_part(name, numbered=True) != first}
    layers = {name.rpartition(".")[0] for name in outside if name.endswith(_OF_LAYERS)}
    for name, array in outside.items():
        # Class weights have an entry for each class; a PReLU outside has another number.
        of_loss = not name.endswith(".weight") or array.shape in units
        if name.rpartition(".")[0] in layers or not of_loss:
            return tensors, ""
    if not outside:
        return tensors, ""
    own = {name: array for name, array in tensors.items() if name not in outside}
    return own, f"passed over, as no part of {first}: {', '.join(outside)}"


def _is_kernel(name: str, axes: int) -> bool:
    return name.endswith("weight") and axes in (2, 4)
