"""``alexbench compare``: runs side by side, case by case, and a gate on the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import several_runs_options

if TYPE_CHECKING:
    from bench.analysis.runs import Filter


@click.command(short_help="Compare runs, case by case; fail where one is worse.")
@several_runs_options("compare.html", "a table")
@click.option(
    "--fail-if",
    metavar="slower:5%,accuracy:-1pt",
    help="Exit code 1 where the whole 95 % interval of a case is that much slower than in the "
    "first run, or its accuracy that much lower; or where nothing was compared.",
)
@click.option(
    "--across-data",
    is_flag=True,
    help="Compare accuracies on different images, too, seed by seed: what the images change.",
)
@click.option(
    "--summary",
    metavar="FILE",
    help="Also write a Markdown summary; appended if it is the file that $GITHUB_STEP_SUMMARY "
    "names.",
)
def compare(
    runs: tuple[Path, ...],
    chosen: Filter,
    fail_if: str | None,
    across_data: bool,
    as_json: bool,
    page: Path | None,
    summary: str | None,
) -> int:
    """Compare runs with the first: ratio, interval and verdict per case.

    Above 1 a run is faster than the first one. A verdict needs two processes on each side; pairs
    that differ in data, machine or settings are refused. A run is a folder, a records.jsonl, or a
    pattern like 'results/*'.
    """
    from bench.analysis.across.side_by_side import side_by_side
    from bench.analysis.comparison.gate import Rule
    from bench.analysis.runs import read
    from bench.report.across import text

    rules = Rule.parse(fail_if) if fail_if is not None else ()
    found = side_by_side(chosen.of(read(runs, least=2)), across_data=across_data)
    failures = text.failures(found, rules)
    if page:
        from bench.report.across.compare_page import compare_page
        from bench.report.across.page import write_page

        click.echo(write_page(page, compare_page(found, failures if rules else None)))
    elif as_json:
        click.echo(
            json.dumps([row.to_json() for some in found.comparisons for row in some], indent=2)
        )
    else:
        click.echo(text.side_by_side_as_text(found))
    if summary is not None:
        from bench.report.across.summary import comparison_summary, write_summary

        write_summary(summary, comparison_summary(found, rules))
    for line in text.gate_lines(found, rules):
        click.echo(line, err=True)
    if not across_data and text.on_other_images(found):
        click.echo("accuracies on other images are refused; --across-data compares them", err=True)
    return int(bool(failures))
