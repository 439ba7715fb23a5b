"""From a batch to its loss or logits as one module each, which runs eagerly or compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.case import GRAPHS
from bench.core.errors import UnavailableError
from models_torch.preprocess import HeldImages


@dataclass(frozen=True)
class Precision:
    """What a pass computes in."""

    dtype: torch.dtype
    """Of weights, loss and logits."""
    half: torch.dtype | None = None
    """Of products and convolutions under autocast; None: they are in ``dtype`` as well."""

    def autocast(self, device: str) -> torch.autocast:
        """The context that the network runs in."""
        return torch.autocast(device, self.half or torch.bfloat16, enabled=self.half is not None)


class EvaluationPass(nn.Module):
    """(B, 32, 32, 3) uint8 -> logits (B, classes)."""

    def __init__(self, network: nn.Module, prepare: nn.Module, precision: Precision) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare
        self._precision = precision

    def forward(self, images: Tensor) -> Tensor:
        """Prepare the images and run the network."""
        return logits_of(self.network, self.prepare(images), self._precision)


class TrainingPass(nn.Module):
    """A batch -> loss (scalar) and logits (B, classes).

    A batch is images and labels, or crops (B, 4) of the images that the module holds and None.
    """

    def __init__(
        self, network: nn.Module, prepare: nn.Module, precision: Precision, smoothing: float
    ) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare
        self.held: HeldImages | None = None
        self._precision, self._smoothing = precision, smoothing

    def batch(self, given: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (B, 32, 32, 3) and labels (B,)."""
        if labels is not None:
            return given, labels
        assert self.held is not None, "crops without held images"
        found: tuple[Tensor, Tensor] = self.held(given)
        return found

    def forward(self, given: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cut, prepare, run the network, take the loss."""
        images, labels = self.batch(given, labels)
        logits = logits_of(self.network, self.prepare(images), self._precision)
        return F.cross_entropy(logits, labels, label_smoothing=self._smoothing), logits


def logits_of(network: nn.Module, x: Tensor, precision: Precision) -> Tensor:
    """(B, 3, S, S) -> (B, classes); the loss is never computed in 16 bits."""
    with precision.autocast(x.device.type):
        logits: Tensor = network(x)
    return logits.to(precision.dtype)


class Compiler:
    """``torch.compile`` for the modules of one trainer.

    In its default mode; or in the mode ``reduce-overhead``, which replays forward and backward as
    CUDA graphs: shapes are fixed, and launching kernel by kernel takes longer than computing some
    of them.
    """

    def __init__(self, device: torch.device, *, graphs: bool = False) -> None:
        """Raises UnavailableError where there is no compiler, or no CUDA device for graphs."""
        if graphs and device.type != "cuda":
            raise UnavailableError(
                f"execution {GRAPHS}: CUDA graphs need a CUDA device, and this one is {device.type}"
            )
        if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++"))):
            raise UnavailableError(
                "execution compiled: on the CPU torch.compile needs a C++ compiler, and there is "
                "neither g++ nor clang++; install one, or take --executions eager"
            )
        if device.type in ("cuda", "xpu") and not _c_compiler():
            raise UnavailableError(
                f"execution compiled: on {device.type} torch.compile needs a C compiler for "
                "Triton's launchers, and there is neither gcc nor clang; install one, or take "
                "--executions eager"
            )
        _raise_limit()
        self._graphs = graphs
        self._mode = "reduce-overhead" if self._graphs else None
        self._before, self._uncaptured = counts(), _uncaptured()

    @property
    def execution(self) -> str:
        """What is in force: the mode, and how many graphs were compiled that Inductor does not
        replay as CUDA graphs. It warns of these, and runs them kernel by kernel."""
        parts = ["torch.compile", self._mode or ""]
        if self._graphs and (without := _uncaptured() - self._uncaptured):
            parts.append(f"{without} without CUDA graphs")
        return ", ".join(filter(None, parts))

    def compile(self, module: nn.Module) -> None:
        """Compile a module in place, at its first call with each shape."""
        module.compile(mode=self._mode, dynamic=False)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function, compiled likewise."""
        made: Callable[..., Any] = torch.compile(function, mode=self._mode, dynamic=False)
        return made

    def begin_step(self) -> None:
        """Results of the step before may be overwritten from here on."""
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()

    def lasting(self, tensor: Tensor) -> Tensor:
        """A result that must outlive its step: a CUDA graph overwrites its own results."""
        return tensor.clone() if self._graphs else tensor

    def facts(self) -> dict[str, int]:
        """Graphs, graph breaks and recompilations since this compiler was made."""
        return {name: count - self._before[name] for name, count in counts().items()}


def _c_compiler() -> bool:
    """Whether Triton finds a C compiler; images with CUDA's libraries alone have none."""
    return bool(os.environ.get("CC") or any(map(shutil.which, ("gcc", "clang"))))


def _raise_limit() -> None:
    """Each network is a recompilation of the same code, and there are many in a parity check; past
    its limit, Dynamo would run eagerly and only warn."""
    import torch._dynamo.config as dynamo  # noqa: PLC0415

    dynamo.recompile_limit = max(dynamo.recompile_limit, 256)
    dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, 4096)
    dynamo.fail_on_recompile_limit_hit = True


def _uncaptured() -> int:
    """Graphs of this process that Inductor has compiled for CUDA graphs and does not capture."""
    import torch._dynamo.utils as dynamo  # noqa: PLC0415

    return int(dynamo.counters["inductor"]["cudagraph_skips"])


def counts() -> dict[str, int]:
    """Dynamo's counters of this process: they have no public reader."""
    import torch._dynamo.utils as dynamo  # noqa: PLC0415  takes a second, only where compiled

    reasons: list[Any] = [m.recompile_reason for m in dynamo.get_compilation_metrics()]
    return {
        "graphs": int(dynamo.counters["stats"]["unique_graphs"]),
        "graph_breaks": int(sum(dynamo.counters["graph_break"].values())),
        "recompilations": sum(reason is not None for reason in reasons),
    }
