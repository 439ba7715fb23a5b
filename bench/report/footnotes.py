"""The lines below a table: published figures, shortened recipes, provenance of weights, missing
certificates, refused comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.experiments import labels, start_of
from bench.analysis.published import MEAN_OF_CLASSES
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.core.errors import UserError
from bench.report.columns import case_of
from bench.report.format import joined, share, significant
from bench.training.recipes import recipe
from bench.training.tracks import peers_of

UNCERTIFIED = (
    "Uncertified: no passed parity certificate says that these rows are the same network and "
    "arithmetic as the others of the track; they are no comparison of frameworks."
)


def published(rows: Iterable[Row]) -> list[str]:
    """A line for each published figure that is shown next to a row."""
    lines = []
    for row in rows:
        if row["published"]:
            value = row["published"]
            fraction = "accuracy" in row or MEAN_OF_CLASSES in row
            shown = share(value) if fraction else f"{significant(value)} images/s"
            lines.append(f"† published, other data/hardware: {shown}, {row['published_source']}")
    return list(dict.fromkeys(lines))


def shortened(rows: Iterable[Row]) -> list[str]:
    """A line for each recipe that was shortened."""
    rows = list(rows)
    names = dict.fromkeys(str(row["recipe"]) for row in rows if "@" in str(row.get("recipe")))
    daggers = {row["recipe"] for row in rows if row.get("published")}
    return [_shortened(name, published=name in daggers) for name in names]


def _shortened(name: str, *, published: bool) -> str:
    base, _, budget = name.partition("@")
    line = f"{name}: shortened to {100 * float(budget):g} % of its epochs"
    try:
        line += f", {recipe(name).epochs:g} of {recipe(base).epochs:g}"
    except UserError:  # a recipe of an extension that is not here
        pass
    return f"{line}; the published figure is of a whole training" if published else line


def provenance(rows: Iterable[Row]) -> list[str]:
    """A line for each source of pretrained weights, and what was taken from it."""
    named: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.get("weights_layers") is not None:
            line = (
                f"{row['weights_layers']} from {row['weights_source']}; "
                f"initialised: {row['weights_initialised'] or 'nothing'}; "
                f"images: {row['weights_preprocessing']}, resized to {row['input_size']} px"
            )
            who = f"{row['variant']}, {start_of(case_of(row))}"
            named.setdefault(f"{who}: {line}", {})[str(row["framework"])] = None
    return [f"{line} (in {joined(list(frameworks))})" for line, frameworks in named.items()]


def not_compared(rows: Iterable[Row]) -> list[str]:
    """A line for each row that was refused for comparison, with the difference in words."""
    kinds: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.get("kind"), "accuracy" in row), []).append(row)
    # Names distinguish what one table shows: speed and accuracy differ in recipe anyway.
    lines = [line for same in kinds.values() for line in _refusals(same)]
    return list(dict.fromkeys(lines))


def _refusals(rows: Sequence[Row]) -> list[str]:
    if not any(row.get("not_compared") for row in rows):
        return []
    names = labels(dict.fromkeys(_network(row) for row in rows if "recipe" in row))
    return [
        f"{row['framework']} is not compared with {row['reference']} on "
        f"{names[_network(row)]}: {row['not_compared']}"
        for row in rows
        if row.get("not_compared")
    ]


def why_uncertified(rows: Iterable[Row]) -> list[str]:
    """A line for each reason, with the rows that it holds for: ``cifar-bn in pytorch: …``."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if not row.get("parity_problem"):
            continue
        networks = by_reason.setdefault(str(row["parity_problem"]), {})
        named = networks.setdefault(str(row["variant"]), [])
        if row["framework"] not in named:
            named.append(str(row["framework"]))
    return [f"{_where(networks)}: {reason}" for reason, networks in by_reason.items()]


def _where(networks: dict[str, list[str]]) -> str:
    """Networks that lack a certificate in the same frameworks are named together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for network, frameworks in networks.items():
        alike.setdefault(tuple(frameworks), []).append(network)
    parts = [f"{joined(names)} in {joined(frameworks)}" for frameworks, names in alike.items()]
    return "; ".join(parts)


def _network(row: Row) -> Case:
    return peers_of(case_of(row))
