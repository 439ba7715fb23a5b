"""PyTorch's layers of the tuned track on the CPU compared with PyTorch's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.dataset import Split, describe_pixels
from bench.networks.variants import VARIANTS, variant
from bench.training.recipes import recipe
from bench.training.tracks import TRACKS
from models_torch.baselines import tutorial_loop
from models_torch.layers import dense
from models_torch.layers.conv import SmallMapConv2d
from models_torch.layers.dropout import Dropout
from models_torch.layers.lrn import LocalResponseNorm
from models_torch.optimizer import optimizer_for, set_rate
from models_torch.preprocess import Prepare
from models_torch.scaling import scaled, update
from tests.frameworks.support.convolutions import SEEING_ALL
from tests.frameworks.support.networks import (
    ABLATION,
    IDIOMATIC,
    TUNED,
    random_images,
    setup,
    step_input,
)
from tests.frameworks.support.pieces import DROPOUT_RATES
from tests.frameworks.support.trainers import create


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    tracks = {track: _layers(_network(framework, track)) for track in TRACKS}
    split = Split(np.zeros((2, 32, 32, 3), np.uint8), np.arange(2))
    dataset = describe_pixels("synthetic", ("a", "b"), split, split)
    loop = tutorial_loop.create(setup(_rows(), track=IDIOMATIC), dataset)
    tracks["tutorial"] = _layers(loop.network)
    arrays: dict[str, Any] = {}
    for name, (size, kernel) in SEEING_ALL.items():
        arrays |= _conv(name, size, kernel)
    arrays |= _linear() | _dropout()
    trained = {name: _trained(framework, name) for name in VARIANTS if name.startswith("cifar")}
    arrays |= _prepared()
    arrays |= _wide()
    facts = {"tracks": tracks, "types": _types(), "trained": trained, "left out": _left_out()}
    return facts, arrays


def _left_out() -> dict[str, Any]:
    """What two steps of the fused SGD leave of a weight, where gradients overflow in the first."""
    found = {}
    for overflows in (False, True):
        weight = nn.Parameter(torch.ones(50_000))
        rows = dataclasses.replace(recipe("standard"), weight_decay=0.0, nesterov=False)
        optimizer = optimizer_for([(1.0, weight)], rows, scaled=True)
        set_rate(optimizer, 0.5)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        if overflows:
            scaled(weight.sum(), scaler).backward()  # makes the scale
            weight.grad = torch.full_like(weight, torch.inf)
            update(optimizer, scaler)
            optimizer.zero_grad()
        scaled(weight.sum(), scaler).backward()
        update(optimizer, scaler)
        found["after" if overflows else "alone"] = sorted(set(weight.detach().tolist()))
    return found


def _wide() -> dict[str, Any]:
    """Values of float16 whose squares are none, through the path that accelerators take."""
    layer = LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    x = torch.linspace(100.0, 400.0, 48).reshape(2, 8, 3)
    return {"lrn/float16": layer(x.half()).float().numpy(), "lrn/float32": layer(x).numpy()}


def _prepared() -> dict[str, Any]:
    """Images that stay in NHWC and in NCHW, both as NCHW."""
    given = setup(_rows())
    images = torch.from_numpy(random_images(8, seed=5))
    arrays = {}
    for name, layout in (("rows", torch.channels_last), ("planes", torch.contiguous_format)):
        prepare = Prepare(given, torch.device("cpu"), torch.float32, layout)
        made = prepare(images)
        assert made.is_contiguous(memory_format=layout)
        arrays[f"prepared/{name}"] = made.contiguous().numpy()
    return arrays


def _trained(framework: str, name: str) -> list[float]:
    """Losses of two steps of a whole network in bfloat16, on one batch of two: a processor without
    bfloat16 emulates it."""
    rows = variant(name).architecture(10)
    given = setup(rows, steps=2, track=TUNED, precision="bfloat16")
    trainer = create(framework, given)
    trainer.train(iter([step_input(rows, 2, {}, 0.01)] * 2), 2, lambda: None)
    losses: list[float] = trainer.losses()
    return losses


def _rows() -> Any:
    return variant("cifar-bn").architecture(10)


def _network(framework: str, track: str) -> Any:
    given = setup(_rows(), recipe("ablation"), track=track, defaults="own" * (track == ABLATION))
    given = dataclasses.replace(given, case=dataclasses.replace(given.case, framework=framework))
    return create(framework, given).network


def _layers(network: nn.Module) -> dict[str, list[str]]:
    """Names of the layers of the suite's own, by class."""
    found: dict[str, list[str]] = {}
    for name, module in network.named_children():
        if isinstance(module, SmallMapConv2d | dense.Linear | Dropout):
            found.setdefault(type(module).__name__, []).append(name)
    return found


def _conv(name: str, size: tuple[int, int], kernel: int) -> dict[str, Any]:
    """Outputs and gradients in float64, training and evaluation, in both memory orders."""
    torch.manual_seed(0)
    own = nn.Conv2d(5, 7, kernel, padding=kernel // 2).double()
    ours = SmallMapConv2d(5, 7, kernel, padding=kernel // 2).double()
    ours.load_state_dict(own.state_dict())
    x = torch.randn(3, 5, *size, dtype=torch.float64)
    last = torch.channels_last
    return {
        **_passes(f"{name}/own", own, x),
        **_passes(f"{name}/ours", ours, x),
        **_passes(f"{name}/last", ours.to(memory_format=last), x.to(memory_format=last)),
        f"{name}/evaluated": ours.eval()(x).detach().numpy(),
    }


def _passes(name: str, layer: nn.Module, x: Tensor) -> dict[str, Any]:
    given = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(given)
    torch.manual_seed(1)
    y.backward(torch.randn_like(y, memory_format=torch.contiguous_format))
    found = {"y": y, "dx": given.grad}
    found |= {f"d{part}": weight.grad for part, weight in layer.named_parameters()}
    return {
        f"{name}/{part}": tensor.detach().double().numpy().copy()
        for part, tensor in found.items()
        if tensor is not None
    }


def _linear() -> dict[str, Any]:
    """In float32 and float64, and under autocast, compared with ``nn.Linear``."""
    torch.manual_seed(0)
    own, ours = nn.Linear(40, 30), dense.Linear(40, 30)
    ours.load_state_dict(own.state_dict())
    x = torch.randn(20, 40)
    dense._ONEDNN, operation = None, dense._ONEDNN
    arrays = _passes("linear/without", ours, x)
    dense._ONEDNN = operation
    arrays |= {**_passes("linear/float32/own", own, x), **_passes("linear/float32/ours", ours, x)}
    for side, layer in (("own", own), ("ours", ours)):
        with torch.autocast("cpu", torch.bfloat16):
            arrays |= _passes(f"linear/bfloat16/{side}", layer, x)
        arrays |= _passes(f"linear/float64/{side}", layer.double(), x.double())
    return arrays


def _types() -> dict[str, Any]:
    """Under autocast: what comes out, and what the gradients are; frozen weights get none."""
    found: dict[str, Any] = {}
    layers = {
        "linear": (dense.Linear(6, 4), torch.randn(3, 6)),
        "conv": (SmallMapConv2d(6, 4, 3, padding=1), torch.randn(3, 6, 2, 2)),
    }
    for name, (layer, x) in layers.items():
        given = x.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(given)
        y.sum().backward()
        assert given.grad is not None
        gradients = {part: str(p.grad.dtype) for part, p in layer.named_parameters()}
        found[name] = {"y": str(y.dtype), "dx": str(given.grad.dtype), **gradients}
        # Who computed it, in training and in evaluation.
        found[name]["by"] = [type(out.grad_fn).__name__ for out in (y, layer.eval()(given))]
        layer.train()
        layer.requires_grad_(False).zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            layer(given).sum().backward()
        found[name]["frozen"] = all(p.grad is None for p in layer.parameters())
    return found


def _dropout() -> dict[str, Any]:
    torch.manual_seed(0)
    layer = Dropout(DROPOUT_RATES[1])
    ones = torch.ones(100, 1000, requires_grad=True)
    y, again = layer(ones), layer(ones)
    y.sum().backward()
    assert ones.grad is not None
    half = layer(torch.ones(4, 1000, dtype=torch.bfloat16))
    return {
        "dropout/y": y.detach().numpy(),
        "dropout/again": again.detach().numpy(),
        "dropout/dx": ones.grad.numpy(),
        "dropout/bfloat16": (half.float().numpy() if half.dtype == torch.bfloat16 else []),
        "dropout/evaluated": layer.eval()(ones).detach().numpy(),
    }
