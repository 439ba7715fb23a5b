"""alexbench: the same AlexNet in PyTorch and Keras, trained and timed by one harness.

The public API, for scripts and notebooks (docs/api.md):

- ``load(*runs)``: the records of one or more runs as a pandas DataFrame.
- ``records(run)``: the same as a list of `Record`, with all raw samples.
- ``compare(a, b)``: two runs case by case, as ``alexbench compare`` does it.
- `Case`, `Record`: what is measured, and the result of one measurement.
- `UserError`: raised for a wrong path, a damaged file or an unknown name.

Importing ``bench`` imports nothing else: every name is loaded on first use. No module of this
package imports torch, tensorflow, jax or keras; worker processes do, one framework in each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.frame import load
    from bench.analysis.runs import compare, records
    from bench.core.case import Case
    from bench.core.errors import UserError
    from bench.core.records import Record

__version__ = "0.1.0"
__all__ = ["Case", "Record", "UserError", "__version__", "compare", "load", "records"]

_HOMES = {
    "Case": "bench.core.case",
    "Record": "bench.core.records",
    "UserError": "bench.core.errors",
    "compare": "bench.analysis.runs",
    "load": "bench.analysis.frame",
    "records": "bench.analysis.runs",
}
"""Module of each public name. Strings: an import here would be one of every package below."""


def __getattr__(name: str) -> Any:
    """The public name ``name``, imported on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Public names, for completion in a shell."""
    return sorted({*globals(), *__all__})
