"""Records in the order of tables and plots: by dataset, by experiment, framework by framework.

An experiment is a case without its seed. Nothing is dropped here: failed records stay with their
experiment. Records of different data never come together, nor do certified and uncertified ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from bench.analysis.certified import is_certified, problem_of, status_of
from bench.core.case import Case
from bench.core.kinds import TRAIN_THROUGHPUT
from bench.core.records import Record
from bench.core.text import without_folders
from bench.networks.variants import VARIANTS
from bench.training import frameworks
from bench.training.tracks import TRACKS, peers_of, track


class Data(NamedTuple):
    """Which data a record was measured on."""

    name: str
    fingerprint: str

    @property
    def short(self) -> str:
        """First 12 digits of the fingerprint."""
        return self.fingerprint[:12]

    @property
    def label(self) -> str:
        """What every table and plot says about its data."""
        return f"{self.name}, fingerprint {self.short}" if self.fingerprint else self.name


UNKNOWN = Data("unknown data", "")


@dataclass(frozen=True)
class Experiment:
    """The records of all seeds of one case and kind."""

    case: Case
    """With seed 0, whatever the seeds were."""
    kind: str
    records: tuple[Record, ...]

    @cached_property
    def ok(self) -> tuple[Record, ...]:
        """The records with a result."""
        return tuple(record for record in self.records if record.ok)

    @cached_property
    def failed(self) -> int:
        """How many seeds have no result."""
        return len(self.records) - len(self.ok)

    @cached_property
    def diverged(self) -> int:
        """How many seeds ended in a loss that is no number."""
        return sum(bool(record.metrics.get("diverged")) for record in self.ok)

    @cached_property
    def peers(self) -> Case:
        """What experiments share that may be compared."""
        return peers_of(self.case)

    @cached_property
    def parity(self) -> str:
        """The status of the certificate; of all seeds, since they are grouped by it."""
        return status_of((self.ok or self.records)[0])

    @cached_property
    def certified(self) -> bool:
        """Whether it may stand with the others of its track."""
        return all(map(is_certified, self.records))

    @cached_property
    def problem(self) -> str | None:
        """Why it is uncertified, in one line; None when it is not."""
        problems = dict.fromkeys(problem_of(record) for record in self.records)
        return "; ".join(without_folders(why) for why in problems if why) or None


def latest(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """Records with one per case, kind and dataset (the one started last), and those passed over."""
    newest: dict[tuple[str, str, str], Record] = {}
    older: list[Record] = []
    for record in records:
        key = (*record.key, str(record.dataset.get("fingerprint", "")))
        if key not in newest:
            newest[key] = record
            continue
        first, second = sorted((newest[key], record), key=lambda r: r.started_at)
        newest[key] = second
        older.append(first)
    return list(newest.values()), older


def by_dataset(records: Sequence[Record]) -> list[tuple[Data, list[Record]]]:
    """Records apart by the fingerprint of their data, in the order of the dataset's name.

    A case that failed before it had data belongs to the only dataset there is, when there is one.
    """
    known = sorted({data_of(record) for record in records} - {UNKNOWN})
    home = known[0] if len(known) == 1 else UNKNOWN
    groups: dict[Data, list[Record]] = {data: [] for data in known}
    for record in records:
        data = data_of(record)
        groups.setdefault(home if data == UNKNOWN else data, []).append(record)
    return list(groups.items())


def data_of(record: Record) -> Data:
    """The dataset of a record; `UNKNOWN` where it failed before it had one."""
    fingerprint = record.dataset.get("fingerprint")
    if not fingerprint:
        return UNKNOWN
    return Data(str(record.dataset.get("name", "unnamed data")), str(fingerprint))


def data_words(one: Record, other: Record) -> tuple[str, str]:
    """What tells the data of two records apart: names and numbers of images; where these are equal
    the digests, too."""
    shown = [_images_of(record) for record in (one, other)]
    if shown[0] == shown[1]:
        prints = (data_of(record).short or "unknown" for record in (one, other))
        shown = [f"{words}, digest {digest}" for words, digest in zip(shown, prints, strict=True)]
    return shown[0], shown[1]


def _images_of(record: Record) -> str:
    """``CIFAR-10, 50,000 + 10,000 images``."""
    name = data_of(record).name
    train, test = (record.dataset.get(f"{part}_images") for part in ("train", "test"))
    if train is None or test is None:
        return name
    number = f"{train:,} + {test:,}"
    return f"{name} images" if name.endswith(number) else f"{name}, {number} images"


def experiments(records: Iterable[Record], kinds: Collection[str]) -> list[Experiment]:
    """Experiments of the given kinds in the order of tables; records of one dataset only.

    Stages of an ablation are compared with each other alone: see `bench.analysis.ablation`.
    """
    groups: dict[tuple[Case, str, bool], list[Record]] = {}
    for record in records:
        if record.kind in kinds and not track(record.case.track).stages:
            key = (without_seed(record.case), record.kind, is_certified(record))
            groups.setdefault(key, []).append(record)
    found = [
        Experiment(case, kind, tuple(sorted(members, key=lambda r: r.case.seed)))
        for (case, kind, _), members in groups.items()
    ]
    return sorted(found, key=_order)


@lru_cache(maxsize=65536)
def without_seed(case: Case) -> Case:
    """The case with seed 0: what the seeds of an experiment share."""
    return replace(case, seed=0)


def _order(experiment: Experiment) -> tuple[Any, ...]:
    case = experiment.case
    return (
        place(case.track, tuple(TRACKS)),
        experiment.kind != TRAIN_THROUGHPUT,
        variant_place(case),
        case.init != "scratch",
        experiment.peers.id,
        framework_place(case.framework),
        case.unusual_execution,
        case.precision,
        not experiment.certified,
    )


def place(name: str, order: Sequence[str]) -> tuple[int, str]:
    """Sorting key of a name; those that are not in the order come last."""
    return (order.index(name) if name in order else len(order)), name


def variant_place(case: Case) -> tuple[int, str]:
    """Sorting key of a network."""
    return place(case.variant, tuple(VARIANTS))


def framework_place(name: str) -> tuple[int, str]:
    """Sorting key of a framework."""
    return place(name, frameworks.ORDER)


def frameworks_of(records: Iterable[Record]) -> list[str]:
    """Names of the frameworks, in the order of tables."""
    return sorted({record.case.framework for record in records}, key=framework_place)


def framework_labels_of(cases: Iterable[Case]) -> list[str]:
    """Labels of the frameworks, in the order of tables: one for each execution of a framework."""
    found = {case.framework_label: case for case in cases}
    order = {n: (framework_place(c.framework), c.unusual_execution) for n, c in found.items()}
    return sorted(found, key=lambda label: order[label])


def start_of(case: Case) -> str:
    """From which weights a case starts, in words: ``scratch``, or source, head and trunk."""
    words = [case.init if case.init == "scratch" else f"{case.init} {case.weights or ''}".strip()]
    if case.head != "source":
        words.append(f"head {case.head}")
    if case.frozen:
        words.append("trunk frozen")
    elif case.init != "scratch":
        words.append("fine-tuned")
    return ", ".join(words)


def device_of(case: Case) -> str:
    """``cpu``, ``cuda`` or ``cuda x2``."""
    return case.device if case.devices == 1 else f"{case.device} x{case.devices}"


def labels(cases: Iterable[Case]) -> dict[Case, str]:
    """A short name for each case: the network, and only what tells it from its namesakes.

    That it starts from pretrained weights, or that its recipe was shortened, is always in it. Cases
    that differ in framework or seed alone share a label.
    """
    cases = list(cases)
    facts = {case: _facts(case) for case in cases}
    alike: dict[str, list[set[str]]] = {}
    for case, found in facts.items():
        sets = alike.setdefault(case.variant, [set() for _ in found])
        for fact, values in zip(found, sets, strict=True):
            values.add(fact)
    names = {}
    for case in cases:
        telling = [
            fact
            for fact, values in zip(facts[case], alike[case.variant], strict=True)
            if len(values) > 1 or fact in _unusual(case)
        ]
        names[case] = " · ".join([case.variant, *telling])
    return names


def _unusual(case: Case) -> set[str]:
    """Facts that a label always has: a reader would assume their opposite."""
    return {
        *([start_of(case)] if start_of(case) != "scratch" else ()),
        *([case.recipe] if "@" in case.recipe else ()),
    }


def _facts(case: Case) -> tuple[str, ...]:
    return (
        start_of(case),
        case.recipe,
        f"{case.input_size} px",
        case.precision,
        f"batch {case.batch_size}",
        device_of(case),
    )


def bar_names(panel: Sequence[Experiment]) -> list[str]:
    """A name for each experiment of a panel: its framework, and its precision where they differ."""
    several = len({experiment.case.precision for experiment in panel}) > 1
    return [
        f"{e.case.framework_label} {e.case.precision}" if several else e.case.framework_label
        for e in panel
    ]
