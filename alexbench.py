"""Entry point of the ``alexbench`` command: also where another ``bench`` comes first on PYTHONPATH.

A project that has a ``bench.py`` or ``bench/`` of its own may have named its folder there.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command of the ``bench`` package next to this file."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from bench.__main__ import main as command  # noqa: PLC0415

    command()
