"""What is in force in a worker: one set of keys that every trainer fills.

Read back from the framework, not repeated from what it was told. None means that the framework has
no way to tell (or, where its only way is private, that this version has it no more): never a
guess. Records carry these keys beside the worker's own (``cpu_affinity``, digests, the recipe).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """A field each; none has a default, so that a trainer that forgets one cannot be built."""

    intra_op_threads: int | None
    inter_op_threads: int | None
    device: str
    """Where the first convolution's weights lie."""
    device_name: str | None
    """What the framework calls the accelerator. None on a CPU: its name is in the environment."""
    weight_dtype: str
    """Of the first convolution's weights."""
    compute_dtype: str
    """What the framework says that the first convolution computes in."""
    activation_dtype: str
    """Of what the first convolution gives when it is run as in a training step."""
    accumulation_dtype: str | None
    """Of the sums inside of a convolution or product. No framework tells."""
    memory_layout: str | None
    """Axes of that activation from the slowest to the fastest in memory, by its strides. Where
    tensors have none, the order that the layer works in. What a compiled graph does between its
    inputs and outputs cannot be asked."""
    weight_layout: str | None
    """The same of the first convolution's weights: O output and I input channels."""
    execution: str
    """``eager``, or what traces, compiles and runs a step."""
    jit_compile: bool | None
    """Whether a compiler generates the kernels of a step."""
    blas: str | None
    """The BLAS that the framework calls; NumPy's own plays no part."""
    onednn: bool | None
    """Whether oneDNN's kernels are there and switched on."""
    instruction_set: str | None
    """What the framework's own kernels were chosen for. What the CPU could do is in the
    environment."""
    tf32: bool | None
    """Whether float32 products or convolutions may be rounded to TensorFloat-32."""
    float32_matmul_precision: str | None
    """The framework's own word for the rounding that it allows itself in float32 products."""
    deterministic: bool | None
    """Whether the framework was told to take only algorithms that repeat their results."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, for a record."""
        return dataclasses.asdict(self)


NAMES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Settings))
"""The keys that every trainer's ``settings()`` has."""
