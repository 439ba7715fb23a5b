"""Entry point of the ``alexbench`` command: also where another ``bench`` comes first on PYTHONPATH.

A project that has a ``bench.py`` or ``bench/`` of its own may have named its folder there.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command of the ``bench`` package next to this file."""
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
    from bench.__main__ import main as command  # noqa: PLC0415

    command()
