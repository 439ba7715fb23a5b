"""Settings and environments of the page: what all share once, and then only what differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.experiments import Data, data_of
from bench.core.kinds import KINDS
from bench.core.records import Record
from bench.core.text import flatten, without_folders
from bench.training.recipes.optimizers import used_settings

Pairs = tuple[tuple[str, str], ...]
"""Keys with their values, as the page shows them."""

# Facts about a machine that would say whose it is; the others are what a reader needs.
_PRIVATE = re.compile(r"host|user|home|path|cwd|folder|directory", re.IGNORECASE)
ABSENT = "—"


@dataclass(frozen=True)
class Differences:
    """Settings side by side: those that all share, and those that differ.

    Attributes:
        names: What each column is of.
        shared: What all have.
        differing: Keys with the value of each; `ABSENT` where there is none.
    """

    names: tuple[str, ...]
    shared: Pairs
    differing: tuple[tuple[str, tuple[str, ...]], ...]


_CHOSEN = ("recipe.", "case.")
"""What a run sets itself: without a value it is not set, while others have one that nobody knows.
"""


def shown(value: Any, key: str = "") -> str:
    """The words for the setting `key`: no folder of the machine, and words for no value."""
    if value is None:
        return "not set" if key.startswith(_CHOSEN) else "unknown (no way to ask)"
    return without_folders(str(value))


class Flat:
    """Nested settings as pairs of dotted key and words; equal settings are flattened once.

    What the optimizer of their recipe does not use is left out.

    Args:
        shows: Whether a key is shown.
    """

    def __init__(self, shows: Callable[[str], bool] = lambda key: True) -> None:
        self._shows = shows
        self._found: dict[str, Pairs] = {}
        # With the settings themselves: a number of an object is only its own while it is there.
        self._same: dict[int, tuple[Mapping[str, Any], Pairs]] = {}

    def __call__(self, settings: Mapping[str, Any]) -> Pairs:
        """The pairs of some settings."""
        known = self._same.get(id(settings))
        if known is None:
            known = self._same[id(settings)] = settings, self._equal(settings)
        return known[1]

    def _equal(self, settings: Mapping[str, Any]) -> Pairs:
        text = repr(settings)
        if text not in self._found:
            flat = flatten(used_settings(settings)).items()
            self._found[text] = tuple((k, shown(value, k)) for k, value in flat if self._shows(k))
        return self._found[text]


def is_public(key: str) -> bool:
    """Whether a fact of an environment names neither a machine nor a person."""
    return not _PRIVATE.search(key) and not key.startswith("machine_state.")


def differences(of: Mapping[str, Pairs]) -> Differences:
    """Several settings compared, by the name of each."""
    every = [dict(pairs) for pairs in of.values()]
    keys = dict.fromkeys(key for pairs in every for key in pairs)
    shared, differing = [], []
    for key in keys:
        values = tuple(pairs.get(key, ABSENT) for pairs in every)
        if len(set(values)) == 1:
            shared.append((key, values[0]))
        else:
            differing.append((key, values))
    return Differences(tuple(of), tuple(shared), tuple(differing))


def settings_of_cases(records: Sequence[Record]) -> dict[str, Pairs]:
    """The settings in force by case and kinds, and by data where one name would be of two; kinds of
    one case with equal settings share."""
    found: dict[tuple[str, Data, Pairs], list[str]] = {}
    places, flat = list(KINDS), Flat()
    for record in sorted(records, key=lambda r: (r.case.id, places.index(r.kind))):
        if record.settings:
            key = record.case.id, data_of(record), flat(record.settings)
            found.setdefault(key, []).append(record.kind)
    names = [(f"{case} ({', '.join(kinds)})", data) for (case, data, _), kinds in found.items()]
    often = Counter(name for name, _ in names)
    return {
        f"{name} on {data.label}" if often[name] > 1 else name: pairs
        for (name, data), (_, _, pairs) in zip(names, found, strict=True)
    }


def environments(records: Sequence[Record]) -> dict[str, Pairs]:
    """The environments there are, each once, named by what tells them apart: their frameworks,
    else their runs, else both; a number where these are the same."""
    found: dict[Pairs, list[Record]] = {}
    flat = Flat(is_public)
    for record in records:
        if record.environment:
            found.setdefault(flat(record.environment), []).append(record)
    every = sorted(found)
    if len(every) == 1:
        return {"Environment": every[0]}
    frameworks = [_joined(record.case.framework for record in found[pairs]) for pairs in every]
    runs = [_joined(record.run for record in found[pairs]) for pairs in every]
    both = [" · ".join(filter(None, pair)) for pair in zip(frameworks, runs, strict=True)]
    numbered = [f"{name} ({number})" for number, name in enumerate(both, start=1)]
    names = next(n for n in (frameworks, runs, both, numbered) if len(set(n)) == len(every))
    return dict(zip(names, every, strict=True))


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, words)))
