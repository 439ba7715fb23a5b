"""All scripts, one after the other; the exit code is the worst of theirs."""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = ("kills", "stops", "two_runs", "full_disk", "cuts", "environments")


def main() -> None:
    """Run each in a process of its own, which prints its figures."""
    codes = [
        subprocess.run([sys.executable, "-m", f"tests.reliability.{name}"], check=False).returncode
        for name in SCRIPTS
    ]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
