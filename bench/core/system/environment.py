"""The machine and the software a record was made with. No host name, user name or path."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any

from bench import __version__
from bench.core.system import nvml, resources
from bench.core.system.devices import accelerated
from bench.core.system.processor import processor
from bench.core.system.resources import affinity, cpu_quota, memory_limit

_ROOT = Path(__file__).resolve().parents[3]
_COMMIT_SECONDS = 60


def capture(versions: Mapping[str, str], device: str = "cpu") -> dict[str, Any]:
    """The ``environment`` of a record: the machine, and the versions of the framework's packages.

    ``cores`` are those that the process may run on, ``cpu_quota`` how many of them its control
    group pays for, ``memory_limit_bytes`` the limit of that group, 0 without one.

    Args:
        versions: Of the framework's packages.
        device: Of the case; for an accelerator ``gpu`` says what it is, or ``gpu_reason`` why that
            is unknown (`bench.core.system.nvml`).
    """
    cores = len(affinity())
    return {
        "cpu": processor(),
        "cores": cores,
        "cpu_quota": min(cores, cpu_quota() or cores),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_limit_bytes": memory_limit() or 0,
        "governor": governor(),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": dict(versions),
        "commit": commit(),
        "alexbench": __version__,
        **(_accelerator(device) if accelerated(device) else {}),
    }


def _accelerator(device: str) -> dict[str, Any]:
    card = nvml.card(device)
    facts = card.facts()
    return {"gpu": facts} if facts else {"gpu": None, "gpu_reason": card.reason}


def gpu_line(environment: Mapping[str, Any]) -> str:
    """What an ``environment`` says of the accelerator, in one line; empty where there is none."""
    facts = environment.get("gpu")
    return nvml.in_words(facts) if isinstance(facts, Mapping) else str(facts or "")


def governor() -> str | None:
    """The frequency governor of the first CPU; None where the kernel shows none, as in a VM."""
    path = resources.ROOT / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def commit() -> str | None:
    """Short hash of the checkout this runs from, with ``+`` when it has changes; None elsewhere.

    Looked up once a minute: git takes as long as a small measurement, and a run has 100,000.
    """
    return _commit(int(monotonic() / _COMMIT_SECONDS))


@lru_cache(maxsize=1)
def _commit(_minute: int) -> str | None:
    if not (_ROOT / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}{'+' if changed else ''}"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
