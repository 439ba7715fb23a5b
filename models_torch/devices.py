"""The device of a case in PyTorch, transfers to it, and waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import UserError


def device_of(kind: str) -> torch.device:
    """The device of a kind (``cpu``, ``cuda``, ``mps``, ``xpu``): of an accelerator the only one
    that a worker sees.

    Raises:
        UserError: This PyTorch cannot use it.
    """
    if kind in ("cpu", "meta"):
        return torch.device(kind)
    module = torch.backends.mps if kind == "mps" else getattr(torch, kind, None)
    if module is None or not module.is_available():
        raise UserError(
            f"device {kind}: PyTorch {torch.__version__} cannot use it here; install a build for "
            "it (https://pytorch.org/get-started/locally/), or take --device cpu"
        )
    return torch.device(kind, 0)


def synchronise(device: torch.device) -> None:
    """Wait for all queued work; eager work on the CPU is done when its call returns."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def peak_memory(device: torch.device) -> int | None:
    """Peak bytes that PyTorch's allocator gave out on the accelerator; None where it has no such
    counter."""
    if device.type not in ("cuda", "xpu"):
        return None
    return int(getattr(torch, device.type).max_memory_allocated(device))


def peak_reserved(device: torch.device) -> int | None:
    """Peak bytes that PyTorch's allocator had taken from the accelerator, its cache among them."""
    if device.type not in ("cuda", "xpu"):
        return None
    return int(getattr(torch, device.type).max_memory_reserved(device))


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on the accelerator; None where they are not counted."""
    if device.type not in ("cuda", "xpu"):
        return None
    return int(getattr(torch, device.type).mem_get_info(device)[0])


class DeviceClock:
    """Time stamps of the device itself (:class:`bench.training.interfaces.DeviceClock`).

    A mark is an event in the current stream: it is reached when all work queued before it is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._events = getattr(torch, device.type).Event

    def mark(self) -> Any:
        """Queue one."""
        event = self._events(enable_timing=True)
        event.record()
        return event

    def reached(self, mark: Any) -> bool:
        """Whether all work before a mark is done, without waiting."""
        return bool(mark.query())

    def seconds(self, first: Any, last: Any) -> float:
        """Between two marks; waits for the last one."""
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3


def clock_of(device: torch.device) -> DeviceClock | None:
    """The clock of an accelerator with timed events; None on a CPU.

    Metal has none here: ``elapsed_time`` of an event that was waited for may wait for ever, and
    short times come out negative. https://github.com/pytorch/pytorch/issues/162872
    """
    return DeviceClock(device) if device.type in ("cuda", "xpu") else None


def fused_divides(device: torch.device) -> bool:
    """Whether a fused optimiser divides gradients by ``grad_scale`` and obeys ``found_inf``.

    On Metal they were ignored before June 2026, so that float16 trained on scaled gradients.
    https://github.com/pytorch/pytorch/pull/186360
    """
    return device.type != "mps"


def through_queue(device: torch.device) -> None:
    """A small operation after all that is queued, whose result is read."""
    torch.ones((), device=device).add_(1).item()


def on_device(array: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """The array on the device; what `Transfers` has brought is there.

    To an accelerator through pinned memory, so that the transfer is queued like any other work and
    the host waits for nothing.
    """
    if isinstance(array, Tensor):
        if device.type == "cuda":  # its memory is not given away while the current stream reads it
            array.record_stream(torch.cuda.current_stream(device))
        return array
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


class Transfers:
    """Transfers to a CUDA device in a stream of their own, next to what it computes.

    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-streams
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def bring(self, *arrays: NDArray[Any]) -> list[Any]:
        """The arrays on the device, when this returns; as they are on other devices."""
        if self._stream is None:
            return list(arrays)
        with torch.cuda.stream(self._stream):
            found = [on_device(array, self._device) for array in arrays]
        self._stream.synchronize()
        return found


def on_host(tensor: Tensor) -> NDArray[Any]:
    """A copy in main memory."""
    host: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return np.array(host)
