"""What each framework builds from the rows of the published networks; two have every head."""

from __future__ import annotations

from typing import Any

from tests.frameworks.probes.networks.structure import described
from tests.frameworks.support.networks import structures


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return described(framework, structures()), {}
