"""``alexbench convert``: weights between frameworks and file formats."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import reading_options


@click.command(short_help="Convert weights between frameworks and file formats.")
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--variant", help="The network, where the file fits several.")
@reading_options
@click.option(
    "--partial", is_flag=True, help="Take the layers that fit, and say what was left out."
)
@click.option("--force", is_flag=True, help="Overwrite OUT.")
def convert(
    source: str,
    out: Path,
    variant: str | None,
    key: str | None,
    channel_order: str | None,
    partial: bool,
    force: bool,
) -> None:
    """Write the weights IN (a file, or the name of a source) to OUT; its suffix is the format."""
    from bench.weights.convert import convert as write
    from bench.weights.reading import Reading

    reading = Reading(variant, key, channel_order, partial)
    for sentence in write(source, out, named=variant, force=force, reading=reading):
        click.echo(sentence)
    click.echo(out)
