"""The published networks in the closed track with given weights: logits and round trip."""

from __future__ import annotations

from typing import Any

from tests.frameworks.probes.networks.closed import loaded
from tests.frameworks.support.networks import TINY, whole_networks


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    published = {name: row for name, row in whole_networks().items() if row.name != TINY.name}
    return loaded(framework, published)
