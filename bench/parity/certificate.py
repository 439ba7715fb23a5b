"""The parity certificate: evidence that a framework computes the network that its row describes.

The reference is :mod:`bench.parity.reference`, float64 numpy independent of every framework. In
float64 rounding is negligible, so bounds are tight and an arithmetic mistake exceeds them by far;
ten whole training steps are compared there. Speed is measured in float32: there the logits are
compared at the network's own input size, and loss, gradients and update one step at a time, always
from the reference's state, because rounding grows from step to step (a ReLU that flips changes its
gradient).

The bound against the reference is half of what two frameworks may differ by, so that any two that
pass are within the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.networks.architecture import Architecture
from bench.parity.checks import CHECKS
from bench.parity.comparison import Build, ParityComparison
from bench.parity.devices import check_devices
from bench.parity.figures import Certificate, MismatchError

Progress = Callable[[float, str], None]


def certify(
    architecture: Architecture,
    framework: str,
    build: Build,
    threads: int,
    progress: Progress = lambda done, note: None,
    *,
    device: str = "cpu",
    devices: int = 1,
) -> Certificate:
    """Compare one network of one framework with the reference; stop at the first difference.

    Args:
        architecture: The network, at its own input size.
        framework: Its name, for the certificate.
        build: Makes a trainer of that framework.
        threads: Of the CPU, for every trainer.
        progress: Called before each check with the fraction done and the name of the check.
        device: Where the trainers compute, as a worker sees it; the reference is always numpy.
        devices: How many of them train together (`bench.parity.devices`).

    Returns:
        The figures of all checks up to the first that failed; ``problem`` names that one.
    """
    certificate = Certificate(framework, architecture)
    comparison = ParityComparison(certificate, build, threads, device)
    try:
        for place, (note, check) in enumerate(CHECKS):
            progress(place / len(CHECKS), note)
            check(comparison)
        if devices > 1:
            progress(1.0, f"{devices} devices")
            check_devices(comparison, devices)
    except MismatchError as mismatch:
        certificate.problem = str(mismatch)
    return certificate
