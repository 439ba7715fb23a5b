"""A framework's weight-file module for tests: what :func:`bench.worker.client.call` may call."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from bench.core.errors import UserError

BLOCKED = "colorsys"
"""A module that the row of this framework blocks."""


def echo(**arguments: Any) -> dict[str, Any]:
    print("not a line of the protocol")
    os.write(1, b"neither is this\n")
    return arguments


def pid() -> dict[str, Any]:
    return {"pid": os.getpid()}


def nothing() -> None:
    """Returns no dict."""


def facts() -> dict[str, Any]:
    try:
        __import__(BLOCKED)
    except ImportError:
        return {"blocked": True, "parent": os.getppid()}
    return {"blocked": False}


def refuse(path: str) -> None:
    raise UserError(f"{path}: not a whole file; get it again")


def fail() -> None:
    raise ValueError("two\nlines")


def die() -> None:
    print("last\nwords", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def text() -> Any:
    return "not a dict"
