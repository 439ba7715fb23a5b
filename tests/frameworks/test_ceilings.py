"""Every framework carries out the operations of the ceilings."""

import os
from pathlib import Path

from bench.core.case import Case
from bench.core.limits import Limits
from bench.harness import ceilings
from bench.training.interfaces import Conv, MatMul
from bench.worker.client import Worker
from tests.frameworks.support.client import each_framework

SMALL = (MatMul(8, 16, 32), Conv(2, 5, 3, 4, 3))


@each_framework
def test_a_framework_carries_every_kind_of_operation_out(framework: str) -> None:
    """Small ones on one CPU: what is tested is that they run, not how fast this machine is."""
    one = sorted(os.sched_getaffinity(0))[:1]
    with Worker(Case("", framework), Path(), Limits(timeout_seconds=500), one) as worker:
        found = worker.ceiling(SMALL, lambda done, note: None)
    assert ceilings._whole(found, SMALL)
    assert [answer.get("reason") for answer in found] == [None] * 4
    assert all(0 < answer["flops_per_second"] < 1e15 for answer in found)
