"""PyTorch modules from a framework-free :class:`bench.networks.architecture.Architecture`.

Every module is named after its row, so ``state_dict`` keys are the core's names of the weights.
Layouts are the core's own: NCHW images, OIHW kernels, dense inputs flattened as C·H·W.

Which classes a track's networks are built from is a :class:`LayerSet`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.networks import architecture as spec
from bench.training.tracks import Track
from models_torch.layers import dense
from models_torch.layers.batch_norm import BiasedBatchNorm
from models_torch.layers.conv import SmallMapConv2d
from models_torch.layers.dropout import Dropout, SharedMaskDropout
from models_torch.layers.lrn import LocalResponseNorm


@dataclass(frozen=True)
class LayerSet:
    """The classes that a network is built from; the defaults are PyTorch's own."""

    conv_seeing_all: type[nn.Conv2d] = nn.Conv2d
    """For a convolution whose every window reaches over all of its map; else ``nn.Conv2d``."""
    linear: type[nn.Linear] = nn.Linear
    dropout: type[nn.Module] = nn.Dropout
    lrn: type[nn.Module] = nn.LocalResponseNorm
    biased_batch_norm: bool = False
    """Whether the row decides on the running variance, or ``nn.BatchNorm`` does."""


STOCK = LayerSet()
"""What a PyTorch user writes: layers of ``torch.nn`` only."""
SHARED = LayerSet(dropout=SharedMaskDropout, lrn=LocalResponseNorm, biased_batch_norm=True)
"""The arithmetic that every framework shares: given masks, the row's variance."""
SHARED_BUT_DROPOUT = LayerSet(lrn=LocalResponseNorm, biased_batch_norm=True)
"""The same, with masks that PyTorch draws."""
TUNED = LayerSet(SmallMapConv2d, dense.Linear, Dropout, LocalResponseNorm)
"""Our own kernels for the CPU; the results are those of ``STOCK`` but for rounding."""
TUNED_FOR_COMPILER = LayerSet(lrn=LocalResponseNorm)
"""Layers of ``torch.nn`` and a normalisation that a compiler turns into one kernel."""


def layers_of(track: Track, *, own_kernels: bool) -> LayerSet:
    """The layers that a track takes; ``own_kernels``: where our kernels for the CPU can run."""
    if track.certified:
        return SHARED
    if track.stages:
        return SHARED_BUT_DROPOUT
    if track.own_kernels:
        return TUNED if own_kernels else TUNED_FOR_COMPILER
    return STOCK


_Make = Callable[..., nn.Module]
"""From a module's class and its arguments to the module."""


def _initialised(kind: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    """With initial weights as PyTorch draws them."""
    return kind(*args, **options)


def _batch_norm(layer: spec.BatchNorm, shape: spec.Shape, layers: LayerSet) -> nn.Module:
    if layers.biased_batch_norm and not layer.unbiased:
        return BiasedBatchNorm(shape[0], layer.eps, layer.momentum)
    native = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return native(shape[0], eps=layer.eps, momentum=1 - layer.momentum)


def _conv(layer: spec.Conv, shape: spec.Shape, layers: LayerSet, make: _Make) -> nn.Module:
    return make(
        layers.conv_seeing_all if layer.sees_all(shape) else nn.Conv2d,
        shape[0],
        layer.filters,
        layer.kernel,
        stride=layer.stride,
        # Conv2d pads both sides alike; a module of its own pads the rest (see build).
        padding=min(layer.padding),
        groups=layer.groups,
    )


def module_for(
    layer: spec.Layer, shape: spec.Shape, layers: LayerSet = SHARED, make: _Make = _initialised
) -> nn.Module:
    """The module of one row for an input of ``shape`` (one sample, without the batch axis)."""
    match layer:
        case spec.Conv():
            return _conv(layer, shape, layers, make)
        case spec.BatchNorm():
            return _batch_norm(layer, shape, layers)
        case spec.LocalResponseNorm():
            return layers.lrn(layer.size, layer.alpha, layer.beta, layer.k)
        case spec.ReLU():
            return nn.ReLU(inplace=True)
        case spec.MaxPool():
            return nn.MaxPool2d(layer.size, layer.stride)
        case spec.Flatten():
            return nn.Flatten()
        case spec.Dropout():
            return layers.dropout(layer.rate)
        case spec.Dense():
            return make(layers.linear, shape[0], layer.units)
    raise NotImplementedError(f"no PyTorch module for {type(layer).__name__}")


def build(
    architecture: spec.Architecture, layers: LayerSet = SHARED, *, initialise: bool = True
) -> nn.Sequential:
    """The network as a Sequential: (B, 3, S, S) float -> (B, classes) logits.

    Args:
        architecture: The rows.
        layers: The classes to take.
        initialise: Whether PyTorch draws initial weights. Without, the weights are uninitialised
            memory, for a caller that loads all of them.
    """
    make = _initialised if initialise else nn.utils.skip_init
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for step in architecture.steps():
        layer = step.layer
        if isinstance(layer, spec.Conv) and layer.padding[0] != layer.padding[1]:
            modules[f"{layer.name}_pad"] = _uneven_padding(layer)
        modules[layer.name] = module_for(layer, step.before, layers, make)
    return nn.Sequential(modules)


def _uneven_padding(layer: spec.Conv) -> nn.Module:
    before, after = layer.padding
    even = min(layer.padding)
    return nn.ZeroPad2d((before - even, after - even, before - even, after - even))


def set_masks(network: nn.Module, masks: Mapping[str, Tensor], *, in_place: bool = False) -> None:
    """Give every shared-mask dropout its mask of this step, (B, F) of 0 and 1.

    In place: compiled code reads a mask at the address that it had at first.
    """
    for name, mask in masks.items():
        module = network.get_submodule(name)
        if isinstance(module, SharedMaskDropout):
            if not in_place:
                module.mask = mask
            elif module.mask is None or module.mask.shape != mask.shape:
                module.mask = mask.clone()  # the given one is not written to
            else:
                module.mask.copy_(mask)
