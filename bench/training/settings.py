"""The settings in force in a worker: one set of keys that every trainer fills.

Read back from the framework, not repeated from the request. None means that the framework has no
way to report it (or, where its only way is private, that this version no longer has it): never a
guess. Records have these keys next to the worker's own (``cpu_affinity``, digests, the recipe).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.case import EAGER, Case
from bench.core.system.devices import parse


@dataclass(frozen=True)
class Settings:
    """One field per setting; none has a default, so that a trainer cannot leave one out."""

    intra_op_threads: int | None
    inter_op_threads: int | None
    device: str
    """The device of the first convolution's weights."""
    device_name: str | None
    """The framework's name of the accelerator. None on a CPU: its name is in the environment."""
    weight_dtype: str
    """Of the first convolution's weights."""
    compute_dtype: str
    """The type that the first convolution computes in, as the framework reports it."""
    activation_dtype: str
    """Of the first convolution's output when it is run as in a training step."""
    loss_scale: float | None
    """Factor that the loss is multiplied by before it is differentiated, at this moment; None where
    it is not."""
    accumulation_dtype: str | None
    """Of the sums inside a convolution or product. No framework reports it."""
    memory_layout: str | None
    """Axes of that activation from the slowest to the fastest in memory, by its strides. Where
    tensors have none, the order that the layer works in. The layouts inside a compiled graph
    cannot be read back."""
    weight_layout: str | None
    """The same of the first convolution's weights: O output and I input channels."""
    execution: str
    """``eager``, or the function that traces, compiles and runs a step."""
    jit_compile: bool | None
    """Whether a compiler generates the kernels of a step."""
    blas: str | None
    """The BLAS that the framework calls; NumPy's is not used."""
    onednn: bool | None
    """Whether oneDNN's kernels are available and switched on."""
    instruction_set: str | None
    """What the framework's own kernels were chosen for. What the CPU supports is in the
    environment."""
    tf32: bool | None
    """Whether float32 products or convolutions may be rounded to TensorFloat-32."""
    float32_matmul_precision: str | None
    """The framework's name for the rounding that it allows in float32 products."""
    deterministic: bool | None
    """Whether the framework is set to take only algorithms with repeatable results."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, for a record."""
        return dataclasses.asdict(self)


NAMES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Settings))
"""The keys that every trainer's ``settings()`` has."""


_ROUNDED = ("tf32", "bfloat16", "float16")
"""Precisions next to which an accelerator may round what stays float32."""


def not_in_force(case: Case, settings: Mapping[str, Any]) -> str | None:
    """What a case asks for that is not in force, as it was read back; None where all is.

    Args:
        case: As it was asked for.
        settings: As a trainer reports them; what is missing or None is not known.
    """
    half = case.precision if case.precision.endswith("float16") else "float32"
    wanted: dict[str, tuple[Any, Any]] = {"compute_dtype": (half, settings.get("compute_dtype"))}
    if parse(case.device).kind.tf32:  # elsewhere it has no meaning, and may be on
        wanted["tf32"] = (case.precision in _ROUNDED, settings.get("tf32"))
    jit = False if case.execution == EAGER else case.xla
    if jit is not None:
        wanted["jit_compile"] = (jit, settings.get("jit_compile"))
    for name, (asked, found) in wanted.items():
        if found is not None and found != asked:
            return f"{case.precision} {case.execution} was asked for, and {name} is {found}"
    return None
