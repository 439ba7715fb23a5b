"""What the compiler says is in force when Inductor captures no CUDA graph."""

from __future__ import annotations

from typing import Any


def run(framework: str) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch  # noqa: PLC0415
    import torch._dynamo.utils as dynamo  # noqa: PLC0415

    from models_torch.passes import Compiler  # noqa: PLC0415

    # Of an earlier trainer.
    dynamo.counters["inductor"]["cudagraph_skips"] += 3
    plain, graphs = (Compiler(torch.device("cuda"), graphs=graphs) for graphs in (False, True))
    found = {"before": graphs.execution}
    # As Inductor counts a graph that it cannot capture.
    dynamo.counters["inductor"]["cudagraph_skips"] += 1
    return found | {"after": graphs.execution, "plain": plain.execution}, {}
