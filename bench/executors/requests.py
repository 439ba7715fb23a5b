"""What travels between the command and a node: requests there, answers back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.executors.parcels import Parcel
from bench.harness.certificates import Certificate, Subject
from bench.harness.matrix import Job
from bench.harness.profiles import Profile


@dataclass(frozen=True)
class Setting:
    """What every request of a run has in common.

    Attributes:
        run: Name of the run on its nodes, the same when it goes on.
        extensions: ``ALEXBENCH_EXTENSIONS`` of the command; a node's own come first.
        kept: Variables of the command that its option ``--keep-env`` names, with their values.
        code: Digest of its code that measures; empty: nodes do not compare theirs with it.
    """

    run: str
    extensions: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class NodeRequest:
    """What a node is asked before it measures.

    Attributes:
        setting: Of the run.
        frameworks: Names of those that the run measures.
        device: Canonical name.
        cpus: How many a group takes; None: all that the node has.
        subjects: What the run needs certificates of.
    """

    setting: Setting
    frameworks: tuple[str, ...]
    device: str
    cpus: int | None
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself.

    Attributes:
        kind: Digest of all that makes its figures comparable with another node's.
        words: The same for a reader, without a name of the node.
        cpus: How many a group takes there.
        memory: Bytes that a group may take.
        code: Digest of the code that measures.
        versions: Of the packages of each framework.
        unusable: Frameworks that cannot measure there, with the reason.
        keys: Of the certificates of the subjects.
    """

    kind: str
    words: str
    cpus: int
    memory: int
    code: str
    versions: dict[str, dict[str, str]]
    unusable: dict[str, str]
    keys: dict[Subject, str]


@dataclass(frozen=True)
class GroupRequest:
    """A group that one node measures.

    Attributes:
        setting: Of the run.
        jobs: They belong together.
        profile: How much is measured.
        data: The images.
        weights: Files of pretrained weights, by the path that jobs name.
        certificates: Those of the kind of node that it is meant for.
        parity: Whether a node makes those that are missing.
        frameworks: Whose ceilings are measured.
        cpus: How many it takes.
        folder: The run's folder, where nodes share it: checkpoints and weights go there.
        save_weights: Whether the final weights of trainings are saved.
    """

    setting: Setting
    jobs: tuple[Job, ...]
    profile: Profile
    data: Parcel
    weights: Mapping[Path, Parcel]
    certificates: tuple[Certificate, ...]
    parity: bool
    frameworks: tuple[str, ...]
    cpus: int
    folder: Path | None = None
    save_weights: bool = False


@dataclass(frozen=True)
class CertificateRequest:
    """Parity checks that a node makes for its kind."""

    setting: Setting
    subjects: tuple[Subject, ...]
    cpus: int


@dataclass(frozen=True)
class Answer:
    """What came of a group.

    Attributes:
        records: As `bench.core.records.Record.to_json` has them.
        kind: Of the node, see `NodeFacts`.
        refused: Why the node measured nothing, in one line; empty where it did.
        received: Whether the data was sent to the node for it.
        notes: What the user should know, a line each.
        files: Final weights by the name of their file.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    kind: str = ""
    refused: str = ""
    received: bool = False
    notes: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)


OTHER_CODE = "its alexbench is another one than the command's; install the same version there"
"""Why a node measures nothing."""


def label_of(node: str) -> str:
    """An opaque name of a node, the same wherever it comes up: records are published, hosts not."""
    return "node-" + hashlib.sha256(f"alexbench {node}".encode()).hexdigest()[:8]
