"""The finished rounds of processes of an interleaved group, stored until its records are written:
a run that is stopped goes on with the next round.

After the last round the file has the group's conclusion as well, before the first record is
written. A run that is killed between two records of a group completes it from there, so that the
records of one group stay pairs of the same blocks.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.cache import digest_of
from bench.core.errors import UserError, reason_of
from bench.core.files import write_whole
from bench.core.samples import Block
from bench.core.system.machine import BlockState
from bench.core.text import many
from bench.harness.interleaving.interleave import TaskResults
from bench.worker.client import WorkerError

_OTHERWISE = ("task", "error", "states")
"""Fields of results that are not written as JSON has them."""


@dataclass(frozen=True)
class Conclusion:
    """What the records of a group share, once its last round is done.

    Attributes:
        group: Name that joins the records of the group.
        stopped: Which stopping criterion was met.
        machine: The machine's state while the group was measured (`bench.harness.observer`).
        group_seconds: The time limit that was in force; None where it is unknown.
    """

    group: str
    stopped: str
    machine: dict[str, Any]
    group_seconds: float | None = None


class Rounds:
    """The file of one group's rounds.

    Args:
        path: Where it is; None keeps nothing.
        key: Everything that the group's samples depend on, as JSON has it.

    Attributes:
        conclusion: Of a group all of whose rounds are done, when `take` has read one.
    """

    def __init__(self, path: Path | None, key: dict[str, Any]) -> None:
        self._path, self._key = path, json.loads(json.dumps(key))
        self.conclusion: Conclusion | None = None

    def take(self, all_results: Sequence[TaskResults]) -> tuple[list[float], str | None]:
        """Fill the results of a group with those of the rounds that are done.

        A file that is damaged or of another group is removed.

        Returns:
            Seconds of each round, and what the user should know, in a few words.
        """
        if self._path is None or not self._path.is_file():
            return [], None
        try:
            found = self._content(self._path)
            for results, value in zip(all_results, found["results"], strict=True):
                _fill(results, value)
            rounds = len(found["seconds"])
            if found.get("conclusion"):
                self.conclusion = Conclusion(**found["conclusion"])
                whole = many(rounds, "round")
                return found["seconds"], f"records of {whole} of processes are completed"
            return found["seconds"], f"goes on with round {rounds + 1} of processes"
        except UserError as error:
            self.remove()
            return [], f"rounds of processes not used: {error}; measured again"

    def _content(self, path: Path) -> dict[str, Any]:
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            content: dict[str, Any] = value["content"]
            if value["sha256"] != digest_of(content):
                raise ValueError("its content has another digest")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"damaged ({reason_of(error)})") from error
        other = [name for name in self._key if content["key"].get(name) != self._key[name]]
        if other:
            raise UserError(f"made with another {', '.join(other)}")
        return content

    def keep(
        self,
        all_results: Sequence[TaskResults],
        seconds: Sequence[float],
        conclusion: Conclusion | None = None,
    ) -> None:
        """Write the rounds so far, whole or not at all; a full disk costs them, not the run."""
        if self._path is None:
            return
        content = {
            "conclusion": conclusion and dataclasses.asdict(conclusion),
            "key": self._key,
            "seconds": list(seconds),
            "results": [_to_json(results) for results in all_results],
        }
        text = json.dumps({"sha256": digest_of(content), "content": content})
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, text, durable=True)

    def remove(self) -> None:
        """The group's records are written."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
                self._path.parent.rmdir()  # fails where there are others


def tasks_of(path: Path) -> set[tuple[str, str]] | None:
    """Cases and kinds of a group's file; None where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["content"]
        return {(case, kind) for case, kind in content["key"]["tasks"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def kept_rounds(path: Path) -> int:
    """Number of rounds that a group's file has; 0 where it cannot be read."""
    try:
        return len(json.loads(path.read_text(encoding="utf-8"))["content"]["seconds"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def _to_json(results: TaskResults) -> dict[str, Any]:
    fields = {f.name: getattr(results, f.name) for f in dataclasses.fields(results)}
    error = results.error
    return {
        **{name: value for name, value in fields.items() if name not in _OTHERWISE},
        "error": error and [error.status, str(error)],
        "states": [state and state.to_json() for state in results.states],
    }


def _fill(results: TaskResults, value: dict[str, Any]) -> None:
    for name, field in value.items():
        setattr(results, name, field)
    results.blocks = [Block(*block) for block in value["blocks"]]
    results.error = WorkerError(*value["error"]) if value["error"] else None
    results.states = [state and BlockState.from_json(state) for state in value["states"]]
