"""The tracks."""

from __future__ import annotations

from dataclasses import replace

from bench.core.case import Case


def peers_of(case: Case) -> Case:
    """What cases share that may be compared: the case without its framework.

    In the idiomatic track the precision is each framework's own choice, and so a part of what is
    compared; in the closed track it is one for all.
    """
    anonymous = replace(case, framework="")
    return replace(anonymous, precision="") if case.track == "idiomatic" else anonymous
