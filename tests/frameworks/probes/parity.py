"""Certificates of the synthetic network: as it is, and with every fault planted."""

from __future__ import annotations

from typing import Any

from bench.parity.certificate import certify
from tests.frameworks.support.networks import TINY
from tests.frameworks.support.trainers import create
from tests.support.faults import FAULTS

QUICK = ("pytorch", "keras-tensorflow")
FEW = ("groups swapped", "BatchNorm's momentum swapped", "shuffled labels")
"""For frameworks whose compilation makes a parity check slow."""


def faults_for(framework: str) -> list[str]:
    return list(FAULTS) if framework in QUICK else list(FEW)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    def build(setup: Any) -> Any:
        return create(framework, setup)

    facts = {"sound": certify(TINY, framework, build, threads=1).to_json()}
    for name in faults_for(framework):
        planted = FAULTS[name].into(build)
        facts[name] = certify(TINY, framework, planted, threads=1).to_json()
    return facts, {}
