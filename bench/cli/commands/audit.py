"""``alexbench audit``: may a run be published?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.cli.options import runs_argument


@click.command(short_help="Check whether a run may be published.")
@runs_argument
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of lines.")
def audit(runs: tuple[Path, ...], as_json: bool) -> int:
    """Check the records of one or more runs; exit code 1 with a line per reason not to publish it.

    It finds records that contradict themselves, copies, identical or quantised durations, unknown
    load of the machine, missing synchronisation, missing or failed certificates, several versions
    or machines, intervals too wide for a verdict, more than 100 % of the peak, unpaired seeds,
    cases without a record, and missing caveats. A caveat (alexbench annotate --check NAME) answers
    the checks that it names. Of a run of certificates alone (alexbench parity --json) the
    certificates are checked.
    """
    from dataclasses import asdict

    from bench.analysis.audit import certificates as of_certificates
    from bench.analysis.audit.begun import begun_of
    from bench.analysis.audit.checks import audit as audit_records
    from bench.analysis.audit.checks import notes_of
    from bench.analysis.runs import read
    from bench.core.text import many

    alone, rest = of_certificates.apart(runs)
    found = []
    for folder in alone:
        certificates = of_certificates.certificates_of(folder)
        number = many(len(certificates), "certificate")
        found.append((folder, number, of_certificates.audit_certificates(certificates)))
    for run in read(rest) if rest else ():
        some = audit_records(run.records, notes_of(run.folder), begun_of(run.folder))
        found.append((run.folder, many(len(run.records), "record"), some))
    findings = [(folder, finding) for folder, _, some in found for finding in some]
    if as_json:
        rows = [{"run": str(folder), **asdict(finding)} for folder, finding in findings]
        click.echo(json.dumps(rows, indent=2))
        return int(bool(findings))
    for folder, number, some in found:
        for finding in some:
            click.echo(finding.line)
        where = f"{folder}: " if len(found) > 1 else ""
        click.echo(f"{where}{number}, {many(len(some), 'finding')}")
    return int(bool(findings))
