"""Which nodes take part in a run, and on which kind of node a group is measured.

What is compared with each other is measured on one kind of node: all cases of a network, and of
those that differ from it in normalisation alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from bench.core.case import Case
from bench.core.text import without_folders
from bench.executors.requests import OTHER_CODE, NodeFacts, label_of
from bench.networks.normalisations import family


@dataclass
class Node:
    """A node that has answered.

    Attributes:
        name: The engine's.
        facts: What it says of itself.
        alive: Whether it still takes groups.
        unusable: Frameworks that are not measured there, with the reason.
    """

    name: str
    facts: NodeFacts
    alive: bool = True
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """As records have it."""
        return label_of(self.name)


def comparison_of(case: Case) -> tuple[str, str]:
    """What cases share that are measured on one kind of node; several devices are compared with
    one."""
    return _family(case.variant), case.device


@cache
def _family(variant: str) -> str:
    return family(variant)[0]


def excluded(facts: NodeFacts, code: str) -> str | None:
    """Why a node takes no part at all; None where it does."""
    if facts.code != code:
        return OTHER_CODE
    if facts.unusable and len(facts.unusable) == len(facts.versions):
        reasons = dict.fromkeys(facts.unusable.values())
        return "no framework can measure there: " + "; ".join(reasons)
    return None


def with_common_versions(nodes: Iterable[Node], here: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Leave out frameworks on nodes whose versions differ from those of most nodes.

    Args:
        nodes: They answered; their ``unusable`` is changed.
        here: Versions of the command's own machine, by framework, which decide between equals.

    Returns:
        A line for every framework of a node that is left out.
    """
    found = list(nodes)
    lines = []
    for name in dict.fromkeys(name for node in found for name in node.facts.versions):
        counted: Counter[tuple[tuple[str, str], ...]] = Counter()
        for node in found:
            if name not in node.facts.unusable:
                versions = node.facts.versions[name]
                counted[tuple(versions.items())] += 2 + (versions == here.get(name))
        for node in found:
            if name in node.facts.unusable:
                node.unusable[name] = node.facts.unusable[name]
                lines.append(f"{node.label}: no {name} there: {node.unusable[name]}")
                continue
            common = dict(counted.most_common(1)[0][0])
            own = node.facts.versions[name]
            if own != common:
                why = f"{_words(own)} there, {_words(common)} on the other nodes"
                node.unusable[name] = why  # figures of two versions are not those of one run
                lines.append(f"{node.label}: no {name} there: {why}")
    return [without_folders(line) for line in lines]


def _words(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "no version"


class Placement:
    """The kind of node of every case, fixed when it is first asked for."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[tuple[str, str], str], str] = {}
        self._load: Counter[str] = Counter()
        self._kept: dict[tuple[str, str], Counter[str]] = {}
        """How many earlier records of a comparison each kind has."""

    def keep(self, case: Case, kind: str) -> None:
        """A case was measured on a kind of node: what is compared with it will be, too."""
        shared = comparison_of(case), ""
        counted = self._kept.setdefault(shared[0], Counter())
        counted[kind] += 1
        before, most = self._kinds.get(shared), counted.most_common(1)[0][0]
        if before != most:
            self._load[most] += 1
            if before:
                self._load[before] -= 1
            self._kinds[shared] = most
        self._kinds[shared[0], case.framework] = kind

    def kind_of(self, case: Case, frameworks: Iterable[str], nodes: Iterable[Node]) -> str | None:
        """The kind of node that measures a case; None where no live node can.

        The kind that can measure most of the frameworks, and of those the one with the fewest
        comparisons for each node. A framework that this kind does not have is measured on another.

        Args:
            case: What is measured.
            frameworks: All that the run compares.
            nodes: Those that take part.
        """
        by_kind: dict[str, list[Node]] = {}
        for node in nodes:
            if node.alive:
                by_kind.setdefault(node.facts.kind, []).append(node)
        able = {k for k, of in by_kind.items() if any(_can(n, case.framework) for n in of)}
        shared, own = (comparison_of(case), ""), (comparison_of(case), case.framework)
        for key in (own, shared):
            if self._kinds.get(key) in able:
                return self._kinds[key]
        if not able:
            return None
        names = list(frameworks)
        if self._kinds.get(shared) not in {None, *by_kind}:
            self._load[self._kinds.pop(shared)] -= 1  # all nodes of that kind are gone

        def worth(kind: str) -> tuple[float, float, str]:
            here = by_kind[kind]
            number = sum(any(_can(node, name) for node in here) for name in names)
            return -number, self._load[kind] / len(here), kind

        best = min(by_kind if shared not in self._kinds else able, key=worth)
        if shared not in self._kinds:
            self._kinds[shared] = best
            self._load[best] += 1
        if best not in able:
            best = min(able, key=worth)
            self._kinds[own] = best
        elif self._kinds[shared] != best:
            self._kinds[own] = best
        return best


def _can(node: Node, name: str) -> bool:
    return name not in node.unusable


def able(nodes: Iterable[Node], kind: str, frameworks: Iterable[str]) -> list[Node]:
    """The live nodes of a kind that can measure all of the frameworks."""
    names = set(frameworks)
    found = (node for node in nodes if node.alive and node.facts.kind == kind)
    return [node for node in found if not names & node.unusable.keys()]
