"""The audit of a run of certificates alone, as ``alexbench parity --json`` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.audit.checks import Finding
from bench.analysis.certified import PASS, above_bound
from bench.core.errors import UserError, notice, reason_of
from bench.core.records import FILE, SUFFIX
from bench.core.run_paths import matching

CERTIFICATES = "certificates.json"
_PROBLEM = ("weights_sha256", "batches_sha256")
"""What the certificates of one network share: the test problem."""


def has_certificates_alone(run: Path) -> bool:
    """Whether a folder holds certificates and no records."""
    return (run / CERTIFICATES).is_file() and not (run / FILE).is_file()


def apart(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Paths of a command line, runs of certificates alone apart from all others.

    As in `bench.core.run_paths.find`, a pattern stands for what it matches, a folder of runs for
    all of them where it is the only path that is left, and what is no run is passed over.
    """
    named = [path for given in paths for path in matching(given)]
    alone = dict.fromkeys(path for path in named if has_certificates_alone(path))
    rest = [path for path in named if path not in alone]
    inside = sorted(rest[0].iterdir()) if len(rest) == 1 and rest[0].is_dir() else []
    proven = [path for path in inside if has_certificates_alone(path)]
    alone |= dict.fromkeys(proven)
    if alone and not any(map(_may_be_run, (*rest, *inside))):
        for path in rest if not proven else ():
            notice(f"{path}: no run (no {FILE} in it); passed over")
        rest = []
    return list(alone), rest


def _may_be_run(path: Path) -> bool:
    """Whether reading it says what it is: a run, a file of records, nothing at all."""
    return (path / FILE).is_file() or path.suffix == SUFFIX or not path.exists()


def certificates_of(run: Path) -> list[Mapping[str, Any]]:
    """The certificates in a folder.

    Raises:
        UserError: The file cannot be read, or holds something else.
    """
    path = run / CERTIFICATES
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)})") from error
    names = {"variant", "framework", "status", "figures"}
    whole = isinstance(found, list) and all(isinstance(one, dict) for one in found)
    if not whole or not all(names <= one.keys() for one in found):
        raise UserError(f"{path}: not a list of certificates (alexbench parity --json)")
    return list(found)


def audit_certificates(certificates: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Certificates that did not pass, deny it themselves, are of another problem or there twice."""
    return [Finding("certificate", where, reason) for where, reason in _found(certificates)]


def _found(certificates: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    if not certificates:
        yield "", "there is no certificate"
    seen: set[tuple[str, str]] = set()
    problems: dict[str, list[Any]] = {}
    for one in certificates:
        key = (str(one["variant"]), str(one["framework"]))
        where = " ".join(key)
        if one["status"] != PASS:
            yield where, f"{one['status']}: {one.get('problem') or 'no reason was recorded'}"
        elif above := above_bound(one):
            yield where, f"passed with {above}"
        elif not one["figures"]:
            yield where, "passed without a figure"
        if key in seen:
            yield where, "there is more than one certificate of it"
        seen.add(key)
        problem = [one.get(name) for name in _PROBLEM]
        if problems.setdefault(key[0], problem) != problem:
            yield where, "not the weights or batches of the other frameworks' certificates"
