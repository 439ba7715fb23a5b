"""The lines below a table: caveats, published figures, shortened recipes, forms of weight decay,
provenance of weights, missing certificates, refused comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.analysis.caveats import LEFT_OUT, SECONDS, reasons
from bench.analysis.experiments import Data, labels, start_of
from bench.analysis.published import MEAN_OF_CLASSES
from bench.analysis.rows import Row
from bench.core.case import PRECISIONS, Case
from bench.core.errors import UserError
from bench.core.kinds import kind
from bench.core.records import Record
from bench.report.columns import case_of, framework_of
from bench.report.format import joined, share, significant
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import recipe
from bench.training.tracks import TRACKS, peers_of

UNCERTIFIED = (
    "Uncertified: no passed parity certificate says that these rows are the same network and "
    "arithmetic as the others of the track; they are no comparison of frameworks."
)


SIGN = "‡"
"""The sign on a row or mark that has a caveat."""

ALL_ROWS = "All rows"


def signed(name: str, *, on: object) -> str:
    """A name with the sign of a caveat, where there is one ``on`` it."""
    return f"{name} {SIGN}" if on else name


def has_caveat(row: Row, *, seconds: bool = True) -> bool:
    """Whether a row has a caveat; with `seconds`, also one on its speeds or dropped seconds."""
    return bool(row.get("caveats") or (seconds and any(row.get(name) for name in _OF_SECONDS)))


_OF_SECONDS = ("speed_caveats", "seconds_caveats")


def mixed_caveats(rows: Iterable[Row]) -> list[str]:
    """The lines of `caveats` for rows of accuracy and of speed together."""
    kinds: dict[bool, list[Row]] = {True: [], False: []}
    for row in rows:
        kinds[is_timed(row)].append(row)
    lines = [line for timed, some in kinds.items() for line in caveats(some, seconds=timed)]
    return list(dict.fromkeys(lines))


def is_timed(row: Row) -> bool:
    """Whether a row of the overview or the headlines is of a speed, and not of an accuracy."""
    return "accuracy" not in row


def on_data(data: Data) -> str:
    """The words after the names of rows that say which data they are of."""
    return f" on {data.words}"


def caveats(rows: Iterable[Row], *, seconds: bool = True, where: str = "") -> list[str]:
    """A line for each caveat, with the rows that it holds for: ``‡ cifar-bn in pytorch: …``.

    Args:
        rows: Rows of one table.
        seconds: Whether the table has speeds or times: their caveats, and what was dropped.
        where: Words after the names of rows (`on_data`).
    """
    rows = list(rows)
    found: dict[str, list[Row]] = {}
    for row in rows:
        told = [row.get("caveats"), *([row.get("speed_caveats")] if seconds else [])]
        if seconds and row.get("seconds_caveats"):
            told.append(f"{LEFT_OUT}{row['seconds_caveats']}")
        for why in told:
            if why:
                found.setdefault(str(why), []).append(row)
    several = len(rows) > 1
    return [
        f"{SIGN} {ALL_ROWS if several and len(some) == len(rows) else _named(some)}{where}: {why}"
        for why, some in found.items()
    ]


def _named(rows: Iterable[Row]) -> str:
    networks: dict[str, list[str]] = {}
    for row in rows:
        _join(networks, str(row["variant"]), framework_of(row))
    return _where(networks)


def _join(networks: dict[str, list[str]], variant: str, framework: str) -> None:
    named = networks.setdefault(variant, [])
    if framework not in named:
        named.append(framework)


def removed(records: Iterable[Record], *, where: str = "") -> list[str]:
    """A line for each reason why records were removed for their seconds, with what it removed."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for record in records:
        why = "; ".join(reasons([record], SECONDS))
        row = kind(record.kind)
        networks = found.setdefault(("training time" if row.trained else row.label, why), {})
        _join(networks, record.case.variant, record.case.framework_label)
    by_reason: dict[str, list[str]] = {}
    for (label, why), networks in found.items():
        by_reason.setdefault(why, []).append(f"{label} of {_where(networks)}")
    return [
        f"{SIGN} Removed, since the seconds are no measurement: {'; '.join(what)}{where}: {why}"
        for why, what in by_reason.items()
    ]


def published(rows: Iterable[Row]) -> list[str]:
    """A line for each published figure that is shown next to a row."""
    lines = []
    for row in rows:
        if row["published"]:
            value = row["published"]
            fraction = "accuracy" in row or MEAN_OF_CLASSES in row
            shown = share(value) if fraction else f"{significant(value)} images/s"
            line = f"† published, other data/hardware: {shown}, {row['published_source']}"
            lines.append(f"{line}; here {here}" if (here := row.get("published_unlike")) else line)
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


def forms_of_decay(rows: Iterable[Row]) -> list[str]:
    """A line for each recipe with weight decay in a track where frameworks apply their own form of
    it, and the rows have both: in the gradient, or apart from it (`bench.training.defaults`)."""
    forms: dict[str, dict[bool, dict[str, None]]] = {}
    for row in rows:
        on = TRACKS.get(str(row.get("track")))
        trained = any(name in row for name in ("accuracy", "difference", "threshold"))
        if not trained or on is None or on.certified or on.stages:
            continue
        for name in filter(None, (framework_of(row), row.get("reference"))):
            words, _, last = str(name).rpartition(" ")
            label = words if last in PRECISIONS else name
            own = FRAMEWORKS.get(str(label).partition(" ")[0])
            if own and own.defaults:
                inside = "weight-decay" in own.defaults.already
                found = forms.setdefault(str(row["recipe"]), {True: {}, False: {}})
                found[inside][str(label)] = None
    return [
        line
        for name, found in forms.items()
        if all(found.values()) and (line := _on_decay(name, *map(list, found.values())))
    ]


def _on_decay(name: str, inside: list[str], apart: list[str]) -> str:
    try:
        found = recipe(name)
    except UserError:  # a recipe of an extension that is not here
        return ""
    if not found.weight_decay:
        return ""
    line = f"{name}: weight decay is a part of the gradient in {joined(inside)}, where "
    if found.optimizer == "adam":
        line += "Adam divides it by the gradients' size"
    elif found.momentum:
        times = 1 / (1 - found.momentum)
        line += f"momentum makes it {times:g} times as strong "
        if found.trunk_rate not in (0, 1):  # the decay that is apart has no rates of layers
            line += f"({times * found.trunk_rate:.2g} times in layers that come with weights) "
        line += "as"
        return f"{line} in {joined(apart)}, whose own form is apart from the gradient"
    else:
        return ""
    return f"{line}; in {joined(apart)} it is apart from it"


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
            named.setdefault(f"{who}: {line}", {})[framework_of(row)] = None
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
        f"{_compared_as(row)} is not compared with {row['reference']} on "
        f"{names[_network(row)]}: {row['not_compared']}"
        for row in rows
        if row.get("not_compared")
    ]


def _compared_as(row: Row) -> str:
    """What of a row is compared; a gap between two frameworks has both in its name."""
    named = row.get("compared_as")
    if named:
        return str(named)
    stage = f" ({row['switched']})" if row.get("stage") else ""
    return f"{framework_of(row)}{stage}"


def why_uncertified(rows: Iterable[Row]) -> list[str]:
    """A line for each reason, with the rows that it holds for: ``cifar-bn in pytorch: …``."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        if not row.get("parity_problem"):
            continue
        networks = by_reason.setdefault(str(row["parity_problem"]), {})
        _join(networks, str(row["variant"]), framework_of(row))
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
