"""The lines below a table: published figures, shortened recipes, where weights came from, missing
proofs, refused comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.experiments import labels, start_of
from bench.analysis.published import MEAN_OF_CLASSES
from bench.analysis.rows import Row
from bench.core.case import Case
from bench.core.errors import UserError
from bench.report.columns import case_of
from bench.report.format import known, share, significant
from bench.training.recipes import recipe
from bench.training.tracks import peers_of

UNCERTIFIED = (
    "Uncertified: no passed parity certificate says that these rows are the same network and "
    "arithmetic as the others of the track; they are no comparison of frameworks."
)


def published(rows: Iterable[Row]) -> list[str]:
    """A line for each published figure that stands beside a row."""
    lines = []
    for row in rows:
        if row["published"]:
            value = row["published"]
            fraction = "accuracy" in row or MEAN_OF_CLASSES in row
            shown = share(value) if fraction else f"{significant(value)} images/s"
            lines.append(f"† published, other data/hardware: {shown}, {row['published_source']}")
    return list(dict.fromkeys(lines))


def shortened(rows: Iterable[Row]) -> list[str]:
    """A line for each recipe that was not carried through."""
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


def origins(rows: Iterable[Row]) -> list[str]:
    """A line for each way in which pretrained rows came by their weights."""
    named: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.get("weights_layers") is not None:
            line = (
                f"{row['weights_layers']} from {row['weights_source']}; "
                f"initialised: {row['weights_initialised'] or 'nothing'}; "
                f"pictures: {row['weights_preprocessing']}, brought to {row['input_size']} px"
            )
            who = f"{row['variant']}, {start_of(case_of(row))}"
            named.setdefault(f"{who}: {line}", {})[str(row["framework"])] = None
    return [f"{line} (in {_and(list(frameworks))})" for line, frameworks in named.items()]


def extrapolated(rows: Iterable[Row]) -> list[str]:
    """A line for each timing of the article's loop: from how little its training is told."""
    lines = []
    for row in rows:
        if row.get("article_steps"):
            line = (
                f"The article's loop was timed for {row['article_steps']:,} steps of "
                f"{row['article_batch_size']} pictures on this machine"
            )
            first, last = row["article_first_loss"], row["article_last_loss"]
            if known(first) and known(last):
                line += f" (loss {first:.2f} in its first block, {last:.2f} in its last)"
            lines.append(f"{line}; the rest of its seconds is extrapolated.")
    return list(dict.fromkeys(lines))


def ceiling(rows: Iterable[Row]) -> list[str]:
    """What the shares of the ceiling are taken of, by precision; only where such a share stands."""
    highest: dict[str, float] = {}
    for row in rows:
        if known(row.get("utilisation")):
            precision, of = str(row["precision"]), row["ceiling_flops_per_second"]
            highest[precision] = max(of, highest.get(precision, 0.0))
    if not highest:
        return []
    told = ", ".join(f"{name} {significant(of / 1e9)}" for name, of in sorted(highest.items()))
    return [
        "Of ceiling: FLOP/s over those of the quickest matrix product or convolution that the "
        f"frameworks of the run reached on this machine (GFLOP/s: {told})."
    ]


def energy(rows: Iterable[Row]) -> list[str]:
    """What was counted; only where joules stand."""
    if not any(known(row.get("joules_per_image")) for row in rows):
        return []
    return [
        "J/image: of the processor's packages, with whatever else ran on them; no graphics card, "
        "no other part of the machine."
    ]


def startup_unknown(rows: Iterable[Row]) -> list[str]:
    """A line where seconds to an accuracy lack the start-up, with the networks it holds for."""
    names = dict.fromkeys(
        str(row["variant"]) for row in rows if row.get("seconds_from") == "training"
    )
    return [_startup_unknown(list(names))] if names else []


def _startup_unknown(names: Sequence[str]) -> str:
    return (
        f"{_and(names)}: seconds are of training alone, without start-up, since not all of these "
        "records tell theirs (n/a)"
    )


def not_compared(rows: Iterable[Row]) -> list[str]:
    """A line for each row that was refused for comparison, with the difference in words."""
    kinds: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.get("kind"), "accuracy" in row), []).append(row)
    # Names tell apart what one table shows: speed and accuracy differ in recipe anyway.
    lines = [line for same in kinds.values() for line in _refusals(same)]
    return list(dict.fromkeys(lines))


def _refusals(rows: Sequence[Row]) -> list[str]:
    names = labels(_network(row) for row in rows if "recipe" in row)
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
    """Networks that lack their proof in the same frameworks are named together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for network, frameworks in networks.items():
        alike.setdefault(tuple(frameworks), []).append(network)
    parts = [f"{_and(names)} in {_and(frameworks)}" for frameworks, names in alike.items()]
    return "; ".join(parts)


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _network(row: Row) -> Case:
    return peers_of(case_of(row))
