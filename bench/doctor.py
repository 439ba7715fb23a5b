"""What is installed, what each framework will really use here, and what is missing."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.download import cifar10_archive
from bench.environment import capture
from bench.frameworks import FRAMEWORKS, Framework
from bench.generated import generate
from bench.launch import Worker, WorkerError
from bench.profiles import Limits
from bench.sources import cache_folder, prepared

_PROBE = Case(variant="cifar-plain", framework="", batch_size=2)


def diagnose() -> dict[str, Any]:
    """The machine, the data and every framework, each asked in a process of its own."""
    data = prepared(generate(train=20, test=20, seed=0), Path(tempfile.gettempdir()))
    return {
        "machine": _machine(),
        "data": {"ALEXBENCH_DATA": bool(os.environ.get("ALEXBENCH_DATA")), **_cache()},
        "frameworks": {name: _framework(row, data) for name, row in FRAMEWORKS.items()},
    }


def _machine() -> dict[str, Any]:
    environment = capture(FRAMEWORKS["pytorch"])
    kept = ("cpu", "cores", "memory_bytes", "os", "python", "alexbench", "commit")
    return {"libc": " ".join(platform.libc_ver()), **{key: environment[key] for key in kept}}


def _cache() -> dict[str, Any]:
    return {"cifar10_downloaded": cifar10_archive(cache_folder()).exists()}


def _framework(row: Framework, data: Path) -> dict[str, Any]:
    missing = row.missing()
    if missing:
        return {"available": False, "reason": missing}
    case = Case(**{**_PROBE.__dict__, "framework": row.name})
    try:
        with Worker(case, data, Limits(timeout_seconds=120)) as worker:
            worker.open(lambda done, note: None)
            answer = worker.measure("startup", lambda done, note: None)
    except WorkerError as error:
        return {"available": False, "reason": str(error), "versions": row.versions()}
    return {
        "available": True,
        "versions": row.versions(),
        "repeatability": row.repeatability,
        # Of the closed track: nothing there is a choice of ours but what every framework shares.
        "settings": {k: v for k, v in answer["settings"].items() if not _of_the_case(k)},
    }


def _of_the_case(key: str) -> bool:
    """Whether a setting tells of the probe's case and not of this machine."""
    return key == "recipe" or key.endswith("_sha256")
