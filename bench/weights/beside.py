"""Tensors next to a network in its state: class weights of a loss, counters of a metric."""

from __future__ import annotations

from bench.weights.files import Tensors
from bench.weights.names import first_part

_OF_LAYERS = ("bias", "running_mean", "running_var", "num_batches_tracked")


def without_others(tensors: Tensors) -> tuple[Tensors, str]:
    """The tensors of the network, and a sentence about the others; empty where there are none.

    Trainers save a module that holds the network, its loss and its metrics (``model.features.0…``,
    ``criterion.weight``). All kernels and matrices are below one name then, and a tensor elsewhere
    is passed over unless it may be part of a layer.
    """
    kernels = {name: array for name, array in tensors.items() if _is_kernel(name, array.ndim)}
    firsts = {first_part(name) for name in kernels}
    if len(firsts) != 1 or not (first := firsts.pop()):
        return tensors, ""
    units = [(array.shape[0],) for array in kernels.values() if array.ndim == 2]
    outside = {name: a for name, a in tensors.items() if first_part(name) != first}
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
