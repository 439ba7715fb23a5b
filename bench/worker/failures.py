"""The status and the text of a record whose measurement raised an exception.

No framework is imported here: its exceptions are known by name and by what they say.
"""

from __future__ import annotations

import traceback

from bench.core.case import Case
from bench.core.errors import UnavailableError, UserError

_CLASSES = ("OutOfMemory", "ResourceExhausted")
"""Parts of class names: ``torch.OutOfMemoryError``, ``tf.errors.ResourceExhaustedError``."""
_PHRASES = (
    "out of memory",  # CUDA in PyTorch, Metal
    "out_of_memory",  # the driver's name of it
    "can't allocate memory",  # PyTorch's allocator on the CPU
    "not enough memory",  # the same on Windows
    "resource_exhausted",  # JAX has one class for all that XLA reports
    "_status_alloc_failed",  # cuDNN and cuBLAS
    "cublas_status_not_initialized",  # its handle has no room on a full card
    "dst tensor is not initialized",  # TensorFlow's copy to a full card
)
"""What a message has in it, in small letters."""


def failure(error: BaseException, case: Case | None) -> dict[str, str]:
    """Fields of the event ``error``.

    Args:
        error: As a command raised it.
        case: Of the session that was opened, or tried; None before.
    """
    status, text = status_of(error), _described(error)
    if status == "oom":
        text = "; ".join([text, *_smaller_batch(case)])
    return {"status": status, "error": text}


def status_of(error: BaseException) -> str:
    """``skipped``, ``oom`` or ``failed``."""
    if isinstance(error, UnavailableError):
        return "skipped"
    name, message = type(error).__name__, str(error).lower()
    if isinstance(error, MemoryError) or any(part in name for part in _CLASSES):
        return "oom"
    return "oom" if any(phrase in message for phrase in _PHRASES) else "failed"


def _smaller_batch(case: Case | None) -> list[str]:
    """The last words of an error: the batch that did not fit, and one that may."""
    if case is None:
        return []
    line = f"out of memory on {case.device} with batches of {case.batch_size}"
    half = case.batch_size // 2
    return [f"{line}; a smaller one may fit: --batch-sizes {half}" if half else line]


def _described(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    head, *frames = traceback.format_exception(error)
    return "".join([head, *frames[-12:]]).strip()
