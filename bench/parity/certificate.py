"""The parity certificate: a proof that a framework computes the network that its row describes.

The judge is :mod:`bench.parity.reference`, float64 numpy that no framework had a hand in. In
float64 nothing is left of rounding, so bounds are tight and a mistake of arithmetic stands far
above them; ten whole training steps are followed there. What is measured is float32: there the
logits are held at the network's own input size, and loss, gradients and update one step at a time,
always from the reference's state, because rounding grows from step to step (a ReLU that flips takes
its gradient with it).

Every framework is held against the reference to half of what two frameworks may differ by, so
that any two that pass are within the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.networks.architecture import Architecture
from bench.parity.checks import CHECKS
from bench.parity.comparison import Build, ParityComparison
from bench.parity.figures import Certificate, MismatchError

Progress = Callable[[float, str], None]


def certify(
    architecture: Architecture,
    framework: str,
    build: Build,
    threads: int,
    progress: Progress = lambda done, note: None,
) -> Certificate:
    """Hold one network of one framework against the reference, and stop at the first difference."""
    certificate = Certificate(framework, architecture)
    comparison = ParityComparison(certificate, build, threads)
    try:
        for place, (note, check) in enumerate(CHECKS):
            progress(place / len(CHECKS), note)
            check(comparison)
    except MismatchError as mismatch:
        certificate.problem = str(mismatch)
    return certificate
