"""``alexbench audit``: may a run be published?"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(short_help="Check whether a run may be published.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of lines.")
def audit(run: Path, as_json: bool) -> int:
    """Check the records of a run; exit code 1 with a line per reason not to publish it.

    Identical or quantised durations, unknown load of the machine, missing synchronisation,
    certificates, versions and machines, intervals too wide for a verdict, more than 100 % of the
    peak, unpaired seeds, missing caveats. A caveat (alexbench annotate) answers what it is on.
    """
    from dataclasses import asdict

    from bench.analysis.audit.checks import audit as audit_records
    from bench.analysis.audit.checks import notes_of
    from bench.core.records import RecordStore

    records = RecordStore(run).read()
    found = audit_records(records, notes_of(run))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            click.echo(finding.line)
        click.echo(f"{len(records)} records, {len(found)} findings")
    return 1 if found else 0
