"""The contract of a network that answers, and the worker's end of it.

Pictures come prepared (see `preparing`), so that every framework sees the same numbers; arrays
travel as .npy files, since the pipe is for short lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.initial import Weights
from bench.pretrained import Pretrained
from bench.served import of_network
from bench.spec import Architecture

Pictures = NDArray[np.float32]
"""(B, 3, S, S), prepared."""
Rows = NDArray[np.float32]
"""(B, classes) or (B, features), on the host."""


@dataclass(frozen=True)
class ServerSetup:
    """What a server is built from."""

    architecture: Architecture
    weights: Weights
    """All that the architecture has, in the core's names and layouts."""
    embedding: str | None
    """The layer whose output the two ``embed`` methods give; None where only logits are wanted."""
    batch_size: int
    """Pictures in a full batch: what comes last may have fewer."""
    threads: int
    """Intra-op and inter-op threads, the same in every framework."""
    device: str = "cpu"


class Server(Protocol):
    """One network in evaluation mode, in float32 (no TF32)."""

    def logits(self, pictures: Pictures) -> Rows:
        """(B, classes) for any B."""

    def embed(self, pictures: Pictures) -> Rows:
        """(B, features): looked at inside the framework's own network (a hook, a sub-model)."""

    def embed_by_slice(self, pictures: Pictures) -> Rows:
        """The same another way: the layers up to there, taken out and run one after the other."""


ServerFactory = Callable[[ServerSetup], Server]


class Desk:
    """Answers a worker's ``serve`` commands: one that opens, then one per batch."""

    def __init__(self, create: ServerFactory, command: Mapping[str, Any]) -> None:
        """``command``: ``architecture``, ``weights`` (a file), ``embedding``, ``batch_size``."""
        architecture = Architecture.from_json(command["architecture"])
        tensors = Pretrained.load(Path(command["weights"])).tensors
        self._embeds = command["embedding"] is not None
        self._checked = not self._embeds
        self._server = create(
            ServerSetup(
                architecture,
                of_network(architecture, tensors),
                command["embedding"],
                command["batch_size"],
                threads=len(command["cpus"]),
            )
        )

    def answer(self, pictures: Path, out: Path) -> dict[str, Any]:
        """Rows for the pictures in one .npy file, written to another.

        ``difference`` is that of the two ways to the features, on the first batch of an embedding.
        """
        given = np.load(pictures)
        rows = self._server.embed(given) if self._embeds else self._server.logits(given)
        found: dict[str, Any] = {}
        if not self._checked:
            found["difference"] = difference(rows, self._server.embed_by_slice(given))
            self._checked = True
        np.save(out, rows)
        return found


def difference(ours: Rows, theirs: Rows) -> float | None:
    """The largest difference over the largest entry; None where that is not a number."""
    if ours.shape != theirs.shape:
        return None
    apart = float(np.abs(ours - theirs).max()) / max(float(np.abs(theirs).max()), 1e-30)
    return apart if np.isfinite(apart) else None
