"""All scripts, one after the other; the exit code is the worst of theirs.

Options are passed on to each: ``--json FILE`` gathers the figures for ``tests.reliability.table``.
"""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = (
    "kills", "stops", "two_runs", "full_disk", "memory", "cuts", "environments", "hostile",
    "many_cases", "mutations",
)  # fmt: skip


def main() -> None:
    """Run each in a process of its own, which prints its figures."""
    codes = []
    for name in SCRIPTS:
        command = [sys.executable, "-m", f"tests.reliability.{name}", *sys.argv[1:]]
        codes.append(subprocess.run(command, check=False).returncode)
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
