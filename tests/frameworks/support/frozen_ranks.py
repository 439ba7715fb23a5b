"""A head on a frozen trunk, trained by PyTorch on two CPUs.

``python -m tests.frameworks.support.frozen_ranks`` prints, as JSON, how it was trained.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path

from bench.core.limits import Limits
from bench.training.tracks import TRACKS
from bench.worker.measurements.accuracy import accuracy
from bench.worker.opening import open_session
from tests.frameworks.probes.training import frozen


def main() -> None:
    track = next(row.name for row in TRACKS.values() if row.shared_weights)
    case = dataclasses.replace(frozen.case("pytorch", track), devices=2)
    with tempfile.TemporaryDirectory() as folder:
        command = frozen.prepare(Path(folder)) | {
            "case": case.to_json(),
            "cpus": sorted(os.sched_getaffinity(0)),
            "limits": dataclasses.asdict(Limits(evaluations=1)),
        }
        bench = open_session(command, lambda done, note: None)
        found = accuracy(bench).metrics
        bench.trainer.close()  # type: ignore[attr-defined]
    print(
        json.dumps({"devices": found["parallel"]["devices"], "steps": found["curve"][-1]["step"]})
    )


if __name__ == "__main__":
    main()
