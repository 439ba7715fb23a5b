"""Consoles for lines and bars. Bars belong on a real terminal: not into a log in colour."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console


def console(*, stderr: bool = False, **options: Any) -> Console:
    """A console on a standard stream.

    ``$FORCE_COLOR``, as CI sets it, gives colours where the stream is no terminal, and no bars.

    Args:
        stderr: Whether on stderr, else on stdout.
        options: Others of `rich.console.Console`.
    """
    stream = sys.stderr if stderr else sys.stdout
    animated = None if stream is not None and stream.isatty() else False
    return Console(stderr=stderr, force_interactive=animated, **options)
