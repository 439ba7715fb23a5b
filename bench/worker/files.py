"""Asks a framework one thing about a file, in a process of its own.

Both ends are here. The parent names a function of the framework's ``weight_files`` module; the
child blocks what that framework must not meet, imports the module, calls the function and answers
in one line of JSON. Whatever the framework prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from bench.core import extensions
from bench.core.case import Case
from bench.core.errors import UserError
from bench.core.process import die_with_parent
from bench.training.frameworks import Framework, framework
from bench.worker.client import environment

_TAIL_LINES = 4


def ask(row: Framework, task: str, *, shown: bool = False, **arguments: Any) -> dict[str, Any]:
    """What the function ``task`` of the framework's module ``weight_files`` returns.

    ``shown`` lets the user see what it prints (a download's progress). Raises UserError with the
    child's own line where it raises one, and with its last words where it dies.
    """
    command = json.dumps({"framework": row.name, "task": task, "arguments": arguments})
    case = Case(variant="", framework=row.name)
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "bench.worker.files"],
            input=command,
            stdout=subprocess.PIPE,
            stderr=None if shown else errors,
            env=environment(case, Path(home), threads),
            text=True,
            check=False,
        )
        errors.seek(0)
        words = errors.read().strip().splitlines()[-_TAIL_LINES:]
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        code = done.returncode
        ended = f"exited with {code}" if code >= 0 else f"was killed ({signal.Signals(-code).name})"
        raise UserError(
            f"{row.name}: the helper process for {task} {ended}: {' '.join(words)}"
        ) from None
    if "error" in answer:
        raise UserError(answer["error"])
    return answer


def main() -> None:
    """The child end: one command on stdin, one answer on stdout."""
    die_with_parent()
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed, in C as well, goes to stderr
    extensions.load()
    with pipe:
        try:
            json.dump(_answer(json.load(sys.stdin)), pipe)
        except KeyboardInterrupt:  # the parent was told as well, and says so
            sys.exit(130)


def _answer(command: dict[str, Any]) -> dict[str, Any]:
    row = framework(command["framework"])
    assert row.weight_files is not None
    for module in row.blocked:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        function = getattr(importlib.import_module(row.weight_files), command["task"])
        found: dict[str, Any] = function(**command["arguments"]) or {}
    except UserError as error:
        return {"error": str(error)}
    except Exception as error:
        words = "".join(traceback.format_exception_only(error)).strip()
        where = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{row.name}: {words} ({Path(where.filename).name}:{where.lineno})"}
    return found


if __name__ == "__main__":
    main()
