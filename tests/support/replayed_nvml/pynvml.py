"""Stands in for ``pynvml``: gives the answers of a recording (a JSON file) again.

Each value of the recording is the answer of the function that is its key: a plain value; a list of
objects; ``{"error": text}`` for what the card does not support; ``{"sequence": [...]}`` for one
answer after the other, the last for good; ``{"per_second": n}`` for a counter that runs. A process
id may be ``own``, ``parent`` or ``foreign``. The file is that of ``ALEXBENCH_TEST_NVML``.
"""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_ANSWERS = json.loads(Path(os.environ["ALEXBENCH_TEST_NVML"]).read_text(encoding="utf-8"))
_asked: dict[str, int] = {}
_PIDS = {"own": os.getpid, "parent": os.getppid, "foreign": lambda: 1}


class NVMLError(Exception):
    pass


def nvmlInit() -> None:  # noqa: N802
    if "nvmlInit" in _ANSWERS:
        raise NVMLError(_ANSWERS["nvmlInit"]["error"])


def __getattr__(name: str) -> Any:
    if name not in _ANSWERS:
        raise AttributeError(name)
    return lambda *arguments: _answer(name, _ANSWERS[name])


def _answer(name: str, answer: Any) -> Any:
    if isinstance(answer, list):
        return [_answer(name, one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    if "error" in answer:
        raise NVMLError(answer["error"])
    if "per_second" in answer:
        return int(answer["per_second"] * time.perf_counter())
    if "sequence" in answer:
        place = _asked[name] = _asked.get(name, -1) + 1
        return _answer(name, answer["sequence"][min(place, len(answer["sequence"]) - 1)])
    fields = {k: _PIDS[v]() if k == "pid" and v in _PIDS else v for k, v in answer.items()}
    return SimpleNamespace(**fields)
