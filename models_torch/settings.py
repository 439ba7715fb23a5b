"""The settings in force, read back from PyTorch; Keras's torch backend uses it as well."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.training.settings import Settings


def configure(threads: int, *, tf32: bool) -> None:
    """Threads of the process, and whether a CUDA device may round factors of products to TF32."""
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != threads:  # can be set once per process only
        torch.set_num_interop_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32


def set_deterministic(on: bool) -> None:
    """Take only algorithms that repeat their results to the bit, or whatever is fastest."""
    torch.use_deterministic_algorithms(on)
    # The mode would fill every new tensor with NaN, to expose reads of uninitialised memory: that
    # costs time, and none of these networks reads any.
    torch.utils.deterministic.fill_uninitialized_memory = not on


def in_force(
    network: nn.Module, forward: Callable[[nn.Module], object], compiled: str | None = None
) -> Settings:
    """Read back around one run of the network's beginning, up to its first convolution.

    Args:
        network: The whole network.
        forward: Runs a module on a few images exactly as a training step would: what comes out of
            the convolution then has the dtype and the strides that it has in training.
        compiled: The function that compiles a training step, where one does.
    """
    layers: nn.Sequential = getattr(network, "_orig_mod", network)  # as torch.compile wraps it
    end = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d))
    conv = layers[end]
    seen: dict[str, Any] = {}

    def look(module: nn.Module, given: Any, activation: Tensor) -> None:
        kind = activation.device.type
        autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        seen.update(activation=activation, compute=autocast or conv.weight.dtype)

    hook = conv.register_forward_hook(look)
    try:
        with torch.no_grad():
            forward(layers[: end + 1])
    finally:
        hook.remove()
    if layers is not network or getattr(network, "_compiled_call_impl", None) is not None:
        compiled = compiled or "torch.compile"
    return Settings(
        **of_process(),
        **of_device(conv.weight),
        weight_dtype=_name(conv.weight.dtype),
        compute_dtype=_name(seen["compute"]),
        activation_dtype=_name(seen["activation"].dtype),
        accumulation_dtype=None,
        memory_layout=layout(seen["activation"], "NCHW"),
        weight_layout=layout(conv.weight, "OIHW"),
        execution=compiled or "eager",
        jit_compile=compiled is not None,
        loss_scale=None,
    )


def of_process() -> dict[str, Any]:
    """Settings of the whole process."""
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    return {
        "intra_op_threads": torch.get_num_threads(),
        "inter_op_threads": torch.get_num_interop_threads(),
        "blas": _blas(),
        "onednn": mkldnn.is_available() and getattr(mkldnn, "enabled", True),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "tf32": cuda.matmul.allow_tf32 or cudnn.allow_tf32,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def of_device(weight: Tensor) -> dict[str, Any]:
    """Of the device that holds a tensor."""
    device = weight.device
    named = device.type in ("cuda", "xpu")
    name = getattr(torch, device.type).get_device_name(device) if named else None
    return {"device": device.type, "device_name": name}


def layout(tensor: Tensor, axes: str) -> str | None:
    """``axes`` from the largest stride to the smallest; None where an axis of size 1 hides it."""
    if 1 in tensor.shape:
        return None
    order = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride(axis))
    return "".join(axes[axis] for axis in order)


def _blas() -> str | None:
    found = re.search(r"\bBLAS_INFO=(\w+)", torch.__config__.show())
    return found.group(1) if found else None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
