"""PyTorch modules from a framework-free :class:`bench.networks.architecture.Architecture`.

Every module is named after its row, so ``state_dict`` keys are the core's names of the weights.
Layouts are the core's own: NCHW pictures, OIHW kernels, dense inputs flattened as C·H·W.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.networks import architecture as spec
from models_torch.layers import dense
from models_torch.layers.conv import SmallMapConv2d
from models_torch.layers.lrn import LocalResponseNorm


class SharedMaskDropout(nn.Module):
    """Dropout whose mask comes from outside; without one it is the identity.

    ``nn.Dropout`` draws its own mask, which no other framework can repeat.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.scale = 1 / (1 - rate)
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        if not self.training or self.mask is None:
            return x
        return x * self.mask * self.scale


class BiasedBatchNorm(nn.Module):
    """Batch normalisation whose running variance divides by n, as Keras's does.

    PyTorch's own divides by n - 1: 3 % more at 32 values, so that evaluation logits could not
    agree. Works on (B, C) and (B, C, H, W).
    """

    def __init__(self, channels: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps = eps
        self.update = 1 - momentum

    def forward(self, x: Tensor) -> Tensor:
        """Same shape; updates the running moments while training."""
        if not self.training:
            return self._normalise(x, self.running_var)
        # F.batch_norm adds update * var * n / (n - 1) to a copy, since autograd keeps what it was
        # given; the correction is taken back on the way to the buffer.
        n = x.numel() // x.shape[1]
        moved = self.running_var.clone()
        y = self._normalise(x, moved)
        kept = self.running_var * (1 - self.update)
        self.running_var.copy_(kept + (moved - kept) * ((n - 1) / n))
        return y

    def _normalise(self, x: Tensor, variance: Tensor) -> Tensor:
        moments = (self.running_mean, variance)
        scale = (self.weight, self.bias)
        return F.batch_norm(x, *moments, *scale, self.training, self.update, self.eps)


_Make = Callable[..., nn.Module]
"""From a module's class and its arguments to the module."""


def _drawn(kind: type[nn.Module], *args: Any, **options: Any) -> nn.Module:
    """With weights as PyTorch draws them."""
    return kind(*args, **options)


def _batch_norm(layer: spec.BatchNorm, shape: spec.Shape, closed: bool) -> nn.Module:
    if closed and not layer.unbiased:
        return BiasedBatchNorm(shape[0], layer.eps, layer.momentum)
    native = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return native(shape[0], eps=layer.eps, momentum=1 - layer.momentum)


def _conv(layer: spec.Conv, shape: spec.Shape, make: _Make, tuned: bool) -> nn.Module:
    return make(
        SmallMapConv2d if tuned and layer.sees_all(shape) else nn.Conv2d,
        shape[0],
        layer.filters,
        layer.kernel,
        stride=layer.stride,
        # Conv2d pads both sides alike; what is uneven stands in front of it (see build).
        padding=min(layer.padding),
        groups=layer.groups,
    )


def module_for(
    layer: spec.Layer,
    shape: spec.Shape,
    *,
    closed: bool,
    own_dropout: bool,
    tuned: bool = False,
    make: _Make = _drawn,
) -> nn.Module:
    """The module of one row for an input of ``shape`` (one sample, without the batch axis)."""
    match layer:
        case spec.Conv():
            return _conv(layer, shape, make, tuned)
        case spec.BatchNorm():
            return _batch_norm(layer, shape, closed)
        case spec.LocalResponseNorm():
            return LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
        case spec.ReLU():
            return nn.ReLU(inplace=True)
        case spec.MaxPool():
            return nn.MaxPool2d(layer.size, layer.stride)
        case spec.Flatten():
            return nn.Flatten()
        case spec.Dropout():
            own = dense.Dropout if tuned else nn.Dropout
            return own(layer.rate) if own_dropout else SharedMaskDropout(layer.rate)
        case spec.Dense():
            return make(dense.Linear if tuned else nn.Linear, shape[0], layer.units)
    raise NotImplementedError(f"no PyTorch module for {type(layer).__name__}")


def build(
    architecture: spec.Architecture,
    *,
    closed: bool = True,
    own_dropout: bool | None = None,
    tuned: bool = False,
    drawn: bool = True,
) -> nn.Sequential:
    """The network as a Sequential: (B, 3, S, S) float -> (B, classes) logits.

    ``closed`` takes the layers whose arithmetic every framework shares (dropout by given masks,
    the row's BatchNorm variance); otherwise PyTorch's own. ``own_dropout`` takes PyTorch's dropout
    with the shared layers; without it, dropout follows ``closed``. ``tuned`` takes what is faster
    on a CPU and computes the same (`dense`, `small_maps`). Without ``drawn``, weights hold
    whatever was in memory, for those who load all of them at once.
    """
    make = _drawn if drawn else nn.utils.skip_init
    own = not closed if own_dropout is None else own_dropout
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for step in architecture.steps():
        layer = step.layer
        if isinstance(layer, spec.Conv) and layer.padding[0] != layer.padding[1]:
            modules[f"{layer.name}_pad"] = _uneven_padding(layer)
        modules[layer.name] = module_for(
            layer, step.before, closed=closed, own_dropout=own, tuned=tuned, make=make
        )
    return nn.Sequential(modules)


def _uneven_padding(layer: spec.Conv) -> nn.Module:
    before, after = layer.padding
    even = min(layer.padding)
    return nn.ZeroPad2d((before - even, after - even, before - even, after - even))


def set_masks(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Give every shared-mask dropout its mask of this step, (B, F) of 0 and 1."""
    for name, mask in masks.items():
        module = network.get_submodule(name)
        if isinstance(module, SharedMaskDropout):
            module.mask = mask
