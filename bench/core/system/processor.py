"""The processor: its name, and what it computes in."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")
"""Instructions for products of bfloat16, as /proc/cpuinfo calls them. oneDNN, which multiplies for
PyTorch and TensorFlow, emulates the type without them:
https://uxlfoundation.github.io/oneDNN/dev_guide_data_types.html"""

_INFO = Path("/proc/cpuinfo")
_OF_ARM = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
"""What the kernel says of an Arm core, where it knows no name of its model."""
_WIDEST = ("avx2", "avx512f", *BFLOAT16_FLAGS)


@cache
def processor() -> str:
    """Model name with the vector extensions that decide how fast it is."""
    fields = _fields()
    if not fields:
        return platform.processor() or platform.machine()
    if not _flags():  # another architecture's
        words = [fields[name] for name in _OF_ARM if fields.get(name)]
        return fields.get("model name") or " ".join([platform.machine(), *words])
    widest = [name for name in _WIDEST if name in _flags()]
    return f"{fields.get('model name', platform.machine())} ({', '.join(widest) or 'no AVX2'})"


def has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; False where it does not say."""
    return any(name in _flags() for name in BFLOAT16_FLAGS)


def _flags() -> list[str]:
    return _fields().get("flags", "").split()


@cache
def _fields() -> dict[str, str]:
    """What the kernel says of the processor, of its last core; empty where it says nothing."""
    try:
        text = _INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
