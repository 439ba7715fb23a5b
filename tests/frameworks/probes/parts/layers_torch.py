"""The pieces of ``probes.layers`` in PyTorch; LRN in float64 as well, as the tests' reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from bench.training.recipes.base import Recipe
from models_torch.alexnet import STOCK, build
from models_torch.layers.batch_norm import BiasedBatchNorm
from models_torch.layers.dropout import SharedMaskDropout
from models_torch.layers.lrn import LocalResponseNorm
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.trainer import TorchTrainer
from tests.frameworks.support import pieces
from tests.frameworks.support.networks import TINY, random_images, setup


def lrn(case: pieces.Lrn) -> dict[str, Any]:
    constants = (case.size, case.alpha, case.beta, case.k)
    own, theirs = LocalResponseNorm(*constants), torch.nn.LocalResponseNorm(*constants)
    planes, last = torch.contiguous_format, torch.channels_last
    return {
        **_lrn(case, own, torch.float32, planes, ""),
        **_lrn(case, theirs, torch.float64, planes, "64"),
        **_lrn(case, own, torch.float64, planes, "_own64"),
        **_lrn(case, own, torch.float64, last, "_last64"),
        **_lrn(case, own, torch.bfloat16, last, "_16"),
    }


def _lrn(
    case: pieces.Lrn, layer: Any, dtype: torch.dtype, order: torch.memory_format, suffix: str
) -> dict[str, Any]:
    x, weight = (torch.tensor(a, dtype=dtype) for a in pieces.lrn_input(case))
    x = x.contiguous(memory_format=order).requires_grad_()
    y = layer(x)
    assert y.dtype == dtype
    (y * weight).sum().backward()
    assert x.grad is not None
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    found = {"y": y.detach(), "gradient": x.grad}
    return {f"{name}{suffix}": a.to(wide).contiguous().numpy() for name, a in found.items()}


def dropout(rate: float, x: Any, mask: Any) -> Any:
    layer = SharedMaskDropout(rate).train()
    layer.mask = torch.from_numpy(mask)
    return layer(torch.from_numpy(x)).numpy()


def prepare(size: int) -> Any:
    trainer = TorchTrainer(setup(replace(TINY, input_size=size)))
    return trainer._prepare(torch.from_numpy(random_images(2))).permute(0, 2, 3, 1).numpy()


def updates(recipe: Recipe) -> Any:
    start, gradients = pieces.update_input()
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = optimizer_for([(1.0, weight)], recipe)
    for gradient, rate in zip(gradients, pieces.RATES, strict=True):
        weight.grad = torch.tensor(gradient)
        set_rate(optimizer, rate)
        optimizer.step()
    return weight.detach().numpy()


def loss(labels: Any, logits: Any, smoothing: float) -> Any:
    given = torch.from_numpy(logits), torch.from_numpy(labels)
    return F.cross_entropy(*given, label_smoothing=smoothing).numpy()


def others() -> dict[str, Any]:
    """Dropout out of training; BatchNorm of the stock layers with a biased row."""
    x, mask = (torch.from_numpy(a) for a in pieces.dropout_input())
    layer = SharedMaskDropout(0.5)
    unmasked = layer.train()(x).numpy()
    layer.mask = mask
    native = build(TINY, STOCK)
    return {
        "dropout/evaluation": layer.eval()(x).numpy(),
        "dropout/unmasked": unmasked,
        "shared_layers": [type(m).__name__ for m in build(TINY)],
        "native_layers": [type(m).__name__ for m in native],
        "biased_batch_norms": sum(isinstance(m, BiasedBatchNorm) for m in native),
    }
