"""Faults of one node of a cluster, as an extension that its processes load; ALEXBENCH_FAULT says
which."""

from __future__ import annotations

import errno
import os
from typing import Any

from bench.data import sources
from bench.executors import node
from tests.support import fake_versions  # noqa: F401  registers the fakes


def _no_room(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


match os.environ.get("ALEXBENCH_FAULT"):
    case "no room":
        sources.data.save = _no_room  # type: ignore[attr-defined]
    case "other code":
        node.code = lambda: "other"
