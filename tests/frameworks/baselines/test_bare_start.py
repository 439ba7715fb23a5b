"""The shortest process that takes one step, in every framework."""

import pytest

from bench.core.case import Case
from bench.training.frameworks import FRAMEWORKS
from bench.worker.client import bare_start


@pytest.mark.parametrize("name", [n for n, r in FRAMEWORKS.items() if r.bare_start])
def test_a_bare_start_takes_a_step(name: str) -> None:
    if why := FRAMEWORKS[name].missing():
        pytest.skip(why)
    case = Case("cifar-bn", name, batch_size=4)
    assert bare_start(case)
