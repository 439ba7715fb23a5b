"""Parity: the certificates of the closed track, with what each check found and its bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bench.analysis.certified import problem_of, status_of
from bench.analysis.experiments import Data, framework_place, variant_place
from bench.analysis.results import Results
from bench.analysis.rows import Row
from bench.core.records import Record
from bench.core.text import without_folders
from bench.report.captions import FILLED, With
from bench.report.charts.forest import Forest, share_axis
from bench.report.columns import Column, framework_of, naming, text, whole
from bench.report.format import NOTHING, power
from bench.report.leads import counted
from bench.report.table import Chart, Table
from bench.training.tracks import TRACKS

FIGURES = {
    "float32 logits": "float32 logits",
    "float64 gradients": "float64 gradients",
    "float64 weights, SGD": "float64 SGD weights",
    "float64 weights, Adam": "float64 Adam weights",
}
"""The figures of a certificate that are shown, by their name in it; the CSV file has all."""

_DIGEST = 12


def certificate_rows(results: Results) -> list[Row]:
    """A row for each certificate: of a network with its head, in a framework and its execution.

    ``<figure>: worst`` is the largest error that was found, ``: bound`` what it may be, and
    ``: where`` the layer, gradient or step that it was found at.
    """
    # What failed before its certificate was made says nothing about the network.
    checked = (r for r in results.records if r.ok or r.parity.get("figures"))
    certified = (r for r in checked if r.case.track in TRACKS and TRACKS[r.case.track].certified)
    found: dict[tuple[str, ...], Record] = {}
    for record in sorted(certified, key=_certificate_order):
        case = record.case
        certificate = (status_of(record), str(record.parity.get("key")))
        place = (case.variant, case.head, case.framework, case.execution)
        found.setdefault((*place, *certificate), record)
    return [_certificate_row(record, results.data) for record in found.values()]


def _certificate_order(record: Record) -> tuple[object, ...]:
    case = record.case
    return variant_place(case), case.head != "source", case.head, framework_place(case.framework)


def _certificate_row(record: Record, data: Data) -> Row:
    case, certificate = record.case, record.parity
    problem = problem_of(record)
    row: Row = {
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "track": case.track,
        "variant": case.variant,
        "head": case.head,
        "framework": case.framework,
        "execution": case.execution,
        "status": status_of(record),
        "parity_problem": without_folders(problem) if problem else None,
        "key": certificate.get("key"),
    }
    for name in ("input_size", "batch_size", "steps", "weights_sha256", "batches_sha256"):
        row[name] = certificate.get(name)
    row["versions"] = _versions(certificate.get("versions"))
    for name, figure in (certificate.get("figures") or {}).items():
        row |= {f"{name}: {part}": figure.get(part) for part in ("worst", "bound", "where")}
    return row


def _versions(versions: Any) -> str | None:
    if isinstance(versions, Mapping):
        return ", ".join(f"{name} {version}" for name, version in versions.items()) or None
    return str(versions) if versions else None


def columns(rows: Sequence[Row]) -> list[Column]:
    """What each certificate found, each figure with its bound."""
    return [
        naming("network", "variant"),
        naming("head", "head", usual="source"),
        naming("framework", "framework"),
        Column("execution", _execution, right=False, usual=NOTHING, who=True),
        text("certificate", "status"),
        Column("closest to its bound", _closest_in_words, right=False, usual=NOTHING),
        *(
            Column(header, partial(_figure, name), usual=NOTHING)
            for name, header in FIGURES.items()
        ),
        whole("steps", "steps", usual=NOTHING),
        Column("weights sha256", partial(_digest, "weights_sha256"), right=False, usual=NOTHING),
        text("versions", "versions", usual=NOTHING),
    ]


def _execution(row: Row) -> str:
    """The execution where it is not the framework's default."""
    return framework_of(row).partition(" ")[2] or NOTHING


def _figure(name: str, row: Row) -> str:
    """``2.1e-07 ≤ 1e-05``: what was found and what is allowed, with the sign that holds."""
    worst, bound = row.get(f"{name}: worst"), row.get(f"{name}: bound")
    if worst is None:
        return NOTHING
    if bound is None:
        return power(worst)
    return f"{power(worst)} {'≤' if worst <= bound else '>'} {bound:.2g}"


def _digest(key: str, row: Row) -> str:
    return str(row[key])[:_DIGEST] if row[key] else NOTHING


def closest_rows(results: Results) -> list[Row]:
    """The certificates, each with the check that came closest to its bound, as a share of it."""
    rows: list[Row] = []
    if not any(record.ok for record in results.records):
        return rows  # there is nothing that they certify
    for row in certificate_rows(results):
        if closest := _closest(row):
            name, share = closest
            rows.append(row | {"closest": name, "share": share})
    return rows


def _closest(row: Row) -> tuple[str, float] | None:
    """The check that came closest to its bound, and as what share of it; None without one."""
    shares = {
        key.removesuffix(": worst"): row[key] / bound
        for key in row
        if key.endswith(": worst")
        if (bound := row.get(f"{key.removesuffix(': worst')}: bound")) and row[key]
    }
    return max(shares.items(), key=lambda one: one[1]) if shares else None


def _closest_in_words(row: Row) -> str:
    """``float32 loss, 12 % of the bound``: the mark of the row in the plot."""
    closest = _closest(row)
    return f"{closest[0]}, {_of_bound(closest[1])}" if closest else NOTHING


def _of_bound(share: float) -> str:
    """``8 % of the bound``, with no more than two digits."""
    return f"{float(f'{100 * share:.2g}'):,.10g} % of the bound"


_CHART = Forest(
    "parity",
    "Certificates: the check that came closest to its bound",
    (
        "Left of the line every check kept its bound; the mark is the largest error of the named "
        "check, in percent of what it may be.",
        With((FILLED,), "A filled mark is a broken bound."),
    ),
    "parity",
    closest_rows,
    lambda _: "largest error in percent of its bound (logarithmic)",
    _of_bound,
    ("share", "", ""),
    detail=lambda row: str(row["closest"]),
    network=lambda row: str(row["variant"]),
    axis=share_axis,
    decided=lambda row: row["share"] > 1,
)

TABLE = Table(
    "parity",
    "Parity",
    "A row per certificate: a network in a framework and its execution, compared with the float64 "
    "reference from the same weights and batches. A cell is the largest relative error and its "
    "bound (≤ kept, > broken). *Closest to its bound* is the mark of the plot: of all checks, also "
    "of those without a column, the one with the largest share of what it may be. The float64 "
    "columns show that the arithmetic is the same over several steps; float32 is what is timed. "
    "Rows of the closed track without a passed certificate are shown apart as uncertified.",
    certificate_rows,
    columns,
    charts=(Chart("parity", _CHART.draw, ()),),
    part="Certificates of the closed track",
    lead=counted("status", "certificate"),
)
