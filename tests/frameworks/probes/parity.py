"""Certificates of the synthetic network: as it is, and with every fault planted."""

from __future__ import annotations

from typing import Any

from bench.parity.certificate import certify
from bench.training.frameworks import REFERENCE
from tests.frameworks.support.networks import TINY
from tests.frameworks.support.trainers import create
from tests.support.faults import FAULTS

FEW = ("groups swapped", "BatchNorm's momentum swapped", "shuffled labels")
"""For all but the reference: the certificate is the same code, and compiling makes its checks slow.
One is in how weights are read, one in the arithmetic, one in the inputs."""


def faults_for(framework: str) -> list[str]:
    return list(FAULTS) if framework == REFERENCE else list(FEW)


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    def build(setup: Any) -> Any:
        return create(framework, setup)

    facts = {"sound": certify(TINY, framework, build, threads=1).to_json()}
    for name in faults_for(framework):
        planted = FAULTS[name].into(build)
        facts[name] = certify(TINY, framework, planted, threads=1).to_json()
    return facts, {}
