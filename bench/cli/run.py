"""``alexbench run``: measure a selection of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.options import (
    apply_process_options,
    data_option,
    device_option,
    listed,
    numbers,
    process_options,
    profile_option,
)
from bench.core.case import EXECUTIONS, INITS, PRECISIONS
from bench.core.kinds import KINDS
from bench.harness.profiles import PROFILES
from bench.harness.selection import Selection
from bench.networks.variants import HEADS, VARIANTS
from bench.training.defaults import NAMES as STAGES
from bench.training.frameworks import FRAMEWORKS
from bench.training.recipes import RECIPES
from bench.training.tracks import TRACKS


@click.command(short_help="Measure; write records, tables, plots and a report.")
@listed("--variants", known=VARIANTS)
@listed("--frameworks", known=FRAMEWORKS)
@listed("--tracks", known=TRACKS)
@listed("--kinds", known=KINDS)
@listed("--inits", known=INITS)
@listed("--heads", known=HEADS)
@listed("--recipes", known=RECIPES)
@listed("--precisions", known=PRECISIONS)
@listed("--executions", known=EXECUTIONS)
@listed("--stages", known=STAGES)
@click.option("--batch-sizes", callback=numbers, metavar="N,M", help="Images per batch.")
@click.option(
    "--input-sizes",
    callback=numbers,
    metavar="N,M",
    help="Height and width in pixels; images are resized on the device.",
)
@click.option("--weights", metavar="NAME|FILE", help="Pretrained weights to start from.")
@click.option("--seeds", type=int, help="Number of seeds of each training to an accuracy.")
@click.option(
    "--budget",
    type=float,
    default=1.0,
    show_default=True,
    help="Train only this fraction of a recipe's epochs; results are labelled as shortened.",
)
@device_option
@click.option(
    "--exclusive",
    is_flag=True,
    help="Refuse to measure while another program computes on the device.",
)
@profile_option("quick", PROFILES)
@data_option
@click.option(
    "--validation",
    is_flag=True,
    help="Test on a part of the training set: for choosing settings.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of all runs.",
)
@click.option("--run", "run_name", help="Name of the run's folder; by default the time in UTC.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run of --run, or the newest one; trainings go on from their checkpoints.",
)
@click.option(
    "--save-weights/--no-save-weights",
    default=None,
    help="Save the final weights of trainings in the run's folder; by default those of --recipes.",
)
@process_options
@click.option(
    "--no-parity",
    is_flag=True,
    help="Make no parity certificates: rows of the closed track stay uncertified.",
)
def run(
    device: str,
    exclusive: bool,
    profile: str,
    data: str,
    validation: bool,
    results: Path,
    run_name: str | None,
    resume: bool,
    save_weights: bool | None,
    no_parity: bool,
    threads: int | None,
    keep_env: tuple[str, ...],
    **selection: Any,
) -> int:
    """Measure the selected cases; write records, tables, plots and report.html."""
    from bench.analysis.machine_state import machine_line
    from bench.cli.progress import Display
    from bench.harness.checkpoints import saved_weights
    from bench.harness.devices import claimed, on_device
    from bench.harness.matrix import jobs
    from bench.harness.profiles import profile as profile_called
    from bench.harness.run import open_run, run_all
    from bench.report.html import write_results

    apply_process_options(threads, keep_env)
    chosen = profile_called(profile)
    wanted, choice = on_device(Selection(**selection), chosen, device)
    todo = jobs(wanted, chosen)
    chosen = claimed(chosen, choice.device, exclusive=exclusive)
    current, done = open_run(results, run_name, resume, chosen, data, validation=validation)
    if choice.words:
        click.echo(choice.words, err=True)
    if busy := current.look_at_machine():
        click.echo(f"alexbench: warning: {busy}", err=True)
    current.save_weights = bool(selection["recipes"]) if save_weights is None else save_weights
    with Display(sum(len(job.tasks) for job in todo)) as display:
        run_all(current, todo, display, done=done, parity=not no_parity, unusable=choice.unusable)
    records = current.store.read()
    if line := machine_line(records):
        click.echo(line, err=True)
    report = write_results(records, current.folder)
    for line in saved_weights(records, current.folder):
        click.echo(line)
    click.echo(report)
    return 1 if display.failed else 0
