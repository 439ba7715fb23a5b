"""Rows of what only the closed track has: certificates, and how far its trainings go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.analysis.certified import problem_of, status_of
from bench.analysis.divergence import THRESHOLDS, TrainingPair, training_pairs
from bench.analysis.experiments import Data, Experiment, framework_place, variant_place
from bench.analysis.rows import Row, identity
from bench.core.records import Record
from bench.core.text import without_folders
from bench.training.tracks import track


def parting_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """Each certified training beside the reference's of its seed, from the loss of every step.

    ``steps`` were compared; ``first_difference`` is relative, at step 1; ``parted_<threshold>`` is
    the first step (from 1) above the threshold, None where no step was.
    """
    found = training_pairs(records)
    return [_parting_row(pair, data) for pair in sorted(found, key=_pair_order)]


def _pair_order(pair: TrainingPair) -> tuple[object, ...]:
    case = pair.record.case
    return variant_place(case), framework_place(case.framework), case.seed


def _parting_row(pair: TrainingPair, data: Data) -> Row:
    case = pair.record.case
    row = identity(Experiment(replace(case, seed=0), "accuracy", (pair.record,)), data)
    row |= {"seed": case.seed, "parity": status_of(pair.record), "parity_problem": None}
    row |= {"reference": pair.reference.case.framework, "not_compared": pair.refused or None}
    told = len(pair.difference) > 0 and not pair.refused
    row["steps"] = len(pair.difference)
    row["first_difference"] = float(pair.difference[0]) if told else None
    for threshold in THRESHOLDS:
        row[f"parted_{threshold:g}"] = pair.first_above(threshold) if told else None
    return row


def certificate_rows(records: Sequence[Record], data: Data) -> list[Row]:
    """A row for each certificate: of a network with its head, in a framework.

    ``<figure>: worst`` is the largest error that was found, ``: bound`` what it may be, and
    ``: where`` the layer, gradient or step that it was found at.
    """
    # What failed before its certificate was made says nothing about the network.
    told = (r for r in records if r.ok or r.parity.get("figures"))
    closed = sorted((r for r in told if track(r.case.track).certified), key=_certificate_order)
    found: dict[tuple[str, ...], Record] = {}
    for record in closed:
        case = record.case
        proof = (status_of(record), str(record.parity.get("key")))
        found.setdefault((case.variant, case.head, case.framework, *proof), record)
    return [_certificate_row(record, data) for record in found.values()]


def _certificate_order(record: Record) -> tuple[object, ...]:
    case = record.case
    return variant_place(case), case.head != "source", case.head, framework_place(case.framework)


def _certificate_row(record: Record, data: Data) -> Row:
    case, proof = record.case, record.parity
    problem = problem_of(record)
    row: Row = {
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "track": case.track,
        "variant": case.variant,
        "head": case.head,
        "framework": case.framework,
        "status": status_of(record),
        "parity_problem": without_folders(problem) if problem else None,
        "key": proof.get("key"),
    }
    for name in ("input_size", "batch_size", "steps", "weights_sha256", "batches_sha256"):
        row[name] = proof.get(name)
    row["versions"] = _versions(proof.get("versions"))
    for name, figure in (proof.get("figures") or {}).items():
        row |= {f"{name}: {part}": figure.get(part) for part in ("worst", "bound", "where")}
    return row


def _versions(told: Any) -> str | None:
    if isinstance(told, Mapping):
        return ", ".join(f"{name} {version}" for name, version in told.items()) or None
    return str(told) if told else None
