"""The state of a training in PyTorch: network, optimiser and random-number generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import UserError
from bench.training.state import State, check_names, checked, part

Named = Iterator[tuple[str, NDArray[Any]]]


def export_state(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> Named:
    """Everything that the next steps depend on; see ``Trainer.export_state``."""
    for name, tensor in network.state_dict().items():
        yield f"network/{name}", _on_host(tensor)
    for name, array in export_optimizer(optimizer):
        yield f"optimizer/{name}", array
    for name, array in export_random(device):
        yield f"random/{name}", array


def load_state(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    state: State,
) -> None:
    """Take it; UserError where it is of another network or optimiser."""
    own = network.state_dict()
    check_names(part(state, "network"), (f"network/{name}" for name in own))
    arrays = {
        name: checked(state, f"network/{name}", tensor.shape, _on_host(tensor).dtype)
        for name, tensor in own.items()
    }
    with torch.no_grad():
        for name, array in arrays.items():
            own[name].copy_(torch.from_numpy(array))
    slots = {name.partition("/")[2]: state[name] for name in part(state, "optimizer")}
    load_optimizer(optimizer, slots)
    load_random({name.partition("/")[2]: state[name] for name in part(state, "random")}, device)


def export_optimizer(optimizer: torch.optim.Optimizer) -> Named:
    """The slots of an optimiser, ``<number of the parameter>/<slot>``."""
    for number, slots in optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            if value is not None:
                yield f"{number}/{name}", _on_host(torch.as_tensor(value))


def load_optimizer(optimizer: torch.optim.Optimizer, slots: Mapping[str, NDArray[Any]]) -> None:
    """Take them.

    A slot gets its parameter's order in memory: a fused kernel runs over memory, whatever the order
    of the elements.

    Raises:
        UserError: A slot has no parameter, or another shape.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in slots.items():
        number, _, name = key.partition("/")
        if int(number) >= len(parameters) or array.shape not in ((), parameters[int(number)].shape):
            raise UserError(f"state of another training: {key} {array.shape} fits no weight")
        value = torch.from_numpy(np.array(array))
        if value.shape:
            value = torch.empty_like(parameters[int(number)], dtype=value.dtype).copy_(value)
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def export_random(device: torch.device) -> Named:
    """The generators that dropout draws from."""
    yield "cpu", torch.get_rng_state().numpy()
    if device.type != "cpu":
        yield device.type, getattr(torch, device.type).get_rng_state().numpy()


def load_random(states: Mapping[str, NDArray[Any]], device: torch.device) -> None:
    """Set them."""
    torch.set_rng_state(torch.from_numpy(np.array(states["cpu"])))
    if device.type != "cpu":
        own = torch.from_numpy(np.array(states[device.type]))
        getattr(torch, device.type).set_rng_state(own)


def _on_host(tensor: Tensor) -> NDArray[Any]:
    """In main memory; on the CPU without a copy where the order of the elements allows it."""
    array: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array
