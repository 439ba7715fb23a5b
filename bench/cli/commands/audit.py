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

    Identical or quantised durations, unknown load of the machine, missing synchronisation,
    certificates, versions and machines, intervals too wide for a verdict, more than 100 % of the
    peak, unpaired seeds, missing caveats. A caveat (alexbench annotate) answers what it is on.
    """
    from dataclasses import asdict

    from bench.analysis.audit.checks import audit as audit_records
    from bench.analysis.audit.checks import notes_of
    from bench.analysis.runs import read

    found = [(run, audit_records(run.records, notes_of(run.folder))) for run in read(runs)]
    findings = [finding for _, some in found for finding in some]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return int(bool(findings))
    for run, some in found:
        for finding in some:
            click.echo(finding.line)
        where = f"{run.folder}: " if len(found) > 1 else ""
        click.echo(f"{where}{len(run.records)} records, {len(some)} findings")
    return int(bool(findings))
