"""``alexbench run``: measure the matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.options import listed, numbers
from bench.core.case import INITS, PRECISIONS
from bench.core.kinds import KINDS
from bench.harness.profiles import PROFILES
from bench.harness.selection import Selection
from bench.networks.variants import HEADS, VARIANTS
from bench.training.defaults import NAMES as STAGES
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import RECIPES
from bench.training.tracks import TRACKS


@click.command()
@listed("--variants", known=VARIANTS)
@listed("--frameworks", known=FRAMEWORKS)
@listed("--tracks", known=TRACKS)
@listed("--kinds", known=KINDS)
@listed("--inits", known=INITS)
@listed("--heads", known=HEADS)
@listed("--recipes", known=RECIPES)
@listed("--precisions", known=PRECISIONS)
@listed("--stages", known=STAGES)
@click.option("--batch-sizes", callback=numbers, metavar="N,M", help="Images per batch.")
@click.option("--input-sizes", callback=numbers, metavar="N,M", help="Pixels; resized on device.")
@click.option("--weights", metavar="NAME|FILE", help="Pretrained weights to start from.")
@click.option("--seeds", type=int, help="How many seeds the accuracy cases take.")
@click.option("--budget", type=float, default=1.0, help="Fraction of a recipe's epochs; said so.")
@click.option("--profile", default="quick", help=f"One of {', '.join(PROFILES)}.")
@click.option("--data", default="auto", help="auto, cifar10, generated or a path.")
@click.option(
    "--validation", is_flag=True, help="Test on a part of the training set: for choosing settings."
)
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--run", "run_name", help="Name of the run's folder; a UTC time when not given.")
@click.option("--resume", is_flag=True, help="Go on with --run, or with the newest run.")
@click.option(
    "--no-parity", is_flag=True, help="Make no certificates: closed rows are uncertified."
)
def run(
    profile: str,
    data: str,
    validation: bool,
    results: Path,
    run_name: str | None,
    resume: bool,
    no_parity: bool,
    **selection: Any,
) -> int:
    """Measure the matrix; write records, tables, plots and report.html."""
    from bench.cli.progress import Display
    from bench.harness.matrix import jobs
    from bench.harness.profiles import profile as profile_called
    from bench.harness.run import open_run, run_all
    from bench.report.html import write_results

    chosen = profile_called(profile)
    todo = jobs(Selection(**selection), chosen)
    current, done = open_run(results, run_name, resume, chosen, data, validation=validation)
    with Display(sum(len(job.tasks) for job in todo)) as display:
        run_all(current, todo, display, done=done, parity=not no_parity)
    click.echo(write_results(current.store.read(), current.folder))
    return 1 if display.failed else 0
