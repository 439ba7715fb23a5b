"""``alexbench calibrate``: error rates of the comparison, from A/A tests and injected slowdowns."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import data_option, profile_option
from bench.harness.profiles import PROFILES


@click.command(short_help="Measure the error rates of the comparison itself.")
@click.option(
    "--simulations",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Simulated runs per noise model and shape.",
)
@click.option(
    "--runs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Real interleaved runs.",
)
@click.option("--framework", default="pytorch", show_default=True, help="Framework of real runs.")
@click.option("--variant", default="cifar-plain", show_default=True, help="Network of real runs.")
@profile_option("calibration", PROFILES)
@data_option
@click.option(
    "-o",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for tables, JSON files and the records of real runs.",
)
def calibrate(
    simulations: int,
    runs: int,
    framework: str,
    variant: str,
    profile: str,
    data: str,
    folder: Path,
) -> int:
    """Count how often equal programs are called different, and how often a slowdown is found.

    Simulated runs draw timings with the noise of real ones. Real runs measure a framework together
    with a copy of itself (an A/A test) and with a copy that is slowed by 5 %.
    """
    from bench.cli import calibration
    from bench.core.errors import cannot_write, notice
    from bench.core.files import expanded
    from bench.core.text import many

    if not simulations and not runs:
        raise click.UsageError("nothing to do: give --simulations or --runs above 0")
    folder = expanded(folder)
    chosen = calibration.RealRuns(folder, runs, framework, variant, profile, data)
    if runs:
        calibration.check(chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error, "give another folder with -o") from error
    if simulations:
        click.echo(calibration.write_simulated(folder, simulations))
    if runs:
        text, failed = calibration.write_real(chosen)
        click.echo(text)
        if failed:
            notice(f"{many(failed, 'measurement')} failed and are in no count")
            return 1
    return 0
