"""Several pytest sessions in one fresh process: starting Python and the imports is paid for once.

``python -m tests.support.pytest_sessions`` reads a JSON list of sessions from stdin and writes what
each gave to stdout.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import pytest


@dataclass(frozen=True)
class Call:
    """A session: arguments of pytest, its folder, and variables of its environment."""

    arguments: Sequence[str]
    folder: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """What a session gave."""

    returncode: int
    stdout: str
    stderr: str


def run_sessions(calls: Sequence[Call]) -> list[Ended]:
    """Run the sessions one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([asdict(call) for call in calls]),
        capture_output=True,
        text=True,
        check=True,
    )
    return [Ended(**ended) for ended in json.loads(done.stdout)]


def _run(call: Call) -> Ended:
    os.chdir(call.folder)
    os.environ.update(call.environment)
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = pytest.main(["-p", "no:cacheprovider", *call.arguments])
    return Ended(int(code), out.getvalue(), err.getvalue())


if __name__ == "__main__":
    print(json.dumps([asdict(_run(Call(**call))) for call in json.load(sys.stdin)]))
