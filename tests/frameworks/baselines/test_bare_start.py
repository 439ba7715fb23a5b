"""The shortest process that takes one step, in every framework."""

import pytest

from bench.core.case import Case
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import bare_start


@pytest.mark.parametrize("framework", [n for n, r in FRAMEWORKS.items() if r.bare_start])
def test_a_bare_start_takes_a_step(framework: str) -> None:
    if why := FRAMEWORKS[framework].missing():
        pytest.skip(why)
    case = Case("cifar-3x3", framework, batch_size=4)
    assert bare_start(case)
