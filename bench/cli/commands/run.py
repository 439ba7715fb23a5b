"""``alexbench run``: measure a selection of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.options import (
    apply_process_options,
    batch_sizes,
    data_option,
    device_option,
    listed,
    numbers,
    process_options,
    profile_option,
    reading_options,
    resize_option,
)
from bench.core.case import EXECUTION_NAMES, INITS, PRECISIONS
from bench.core.files import expanded
from bench.core.kinds import KINDS
from bench.harness.profiles import PROFILES
from bench.harness.selection import EXECUTOR_NAMES
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
@listed("--executions", known=EXECUTION_NAMES)
@listed("--stages", known=STAGES)
@click.option(
    "--batch-sizes",
    callback=batch_sizes,
    metavar="N,M|auto",
    help="Images per batch; auto takes the largest power of two that fits on the accelerator.",
)
@click.option(
    "--input-sizes",
    callback=numbers,
    metavar="N,M",
    help="Height and width in pixels; images are resized on the device.",
)
@click.option("--weights", metavar="NAME|FILE", help="Pretrained weights to start from.")
@reading_options
@click.option(
    "--partial",
    is_flag=True,
    help="Take the layers that fit from weights of another network, and say what was left out.",
)
@click.option(
    "--devices",
    callback=numbers,
    metavar="N,M",
    help="Train on this many devices together (default 1); on the CPU a device is a share of its "
    "cores.",
)
@click.option("--seeds", type=int, help="Number of seeds of each training to an accuracy.")
@click.option(
    "--budget",
    type=float,
    default=1.0,
    show_default=True,
    help="Train only this fraction of a recipe's epochs; results are labelled as shortened. "
    "Of one recipe: --recipes NAME@FRACTION.",
)
@device_option
@click.option(
    "--exclusive",
    is_flag=True,
    help="Refuse to measure while another program computes on the device.",
)
@profile_option("quick", PROFILES)
@data_option
@resize_option
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
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Continue a run, by name or folder (by default that of --run, or the newest one), with "
    "the options that it was begun with; trainings go on from their checkpoints. More trainings to "
    "an accuracy may be added, as by a larger --seeds.",
)
@click.option(
    "--anyway",
    is_flag=True,
    help="Continue a run although options, data, versions or code differ; records get a caveat.",
)
@click.option(
    "--save-weights/--no-save-weights",
    default=None,
    help="Save the final weights of trainings in the run's folder; by default those of --recipes.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME",
    help=f"Where groups are measured: {', '.join(EXECUTOR_NAMES)}.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Address of the cluster: Ray's host:port, by default that of this machine; Slurm's "
    "partition[:constraint], or local for processes of this machine.",
)
@process_options
@click.option(
    "--no-parity",
    is_flag=True,
    help="Make no parity certificates: rows of the closed track stay uncertified.",
)
def run(
    results: Path,
    run_name: str | None,
    resume: str | None,
    anyway: bool,
    **options: Any,
) -> int:
    """Measure the selected cases; write records, tables, plots and report.html."""
    from bench.cli.measuring import measure_and_report
    from bench.cli.resuming import Choice
    from bench.core import outputs
    from bench.core.errors import UserError, notice
    from bench.core.system.devices import accelerated
    from bench.data.sources import check_there
    from bench.executors.registry import executor, make
    from bench.harness.batch_sizes import check, resolved, tried
    from bench.harness.devices import claimed, enough, scaled
    from bench.harness.profiles import profile as profile_called
    from bench.harness.run import open_run
    from bench.harness.selection import AUTO_BATCH
    from bench.training.frameworks import precision_note

    outputs.keep("stdout")
    context = click.get_current_context()
    choice = Choice.of(context, options, expanded(results), resume, run_name)
    options = choice.options
    address = options["address"]
    where = executor(options["executor"], address, options["threads"])
    apply_process_options(options["threads"] if where.local else None, options["keep_env"])
    chosen = profile_called(options["profile"])
    check_there(options["data"])
    todo, device = choice.jobs(chosen, elsewhere=not where.local)
    if options["devices"] and where.local:
        enough(options["devices"], device.device)
        chosen = scaled(chosen, options["devices"]) if device.device == "cpu" else chosen
    if not where.local and any(job.case.batch_size == AUTO_BATCH for job in todo):
        raise UserError(f"--batch-sizes auto: --executor {where.name} needs numbers")
    check(todo)
    if options["exclusive"] and not accelerated(device.device):
        raise UserError(
            f"--exclusive: for accelerators, and the device is {device.device}; records have the "
            "load of the CPUs in any case"
        )
    here = device.device if where.local else "cpu"
    chosen = claimed(chosen, here, max(options["devices"] or (1,)), exclusive=options["exclusive"])
    current, done = open_run(
        choice.results,
        choice.name,
        resume is not None,
        chosen,
        options["data"],
        validation=options["validation"],
        begun=choice.begun(todo, device.device),
        anyway=anyway,
        resize=options["resize"],
    )
    if device.words:
        click.echo(device.words, err=True)
    if where.local and (note := precision_note(job.case for job in todo)):
        notice(note)
    saved = options["save_weights"]
    current.save_weights = bool(options["recipes"]) if saved is None else saved
    with current:
        if where.local:
            fits = tried(current.data_folder, chosen.limits)
            sized = resolved(todo, current.folder, fits, device.unusable, notice)
            if sized != todo:
                current.keep_tasks(sized)
            todo = sized
        return measure_and_report(
            current,
            todo,
            done,
            parity=not options["no_parity"],
            unusable=device.unusable,
            executor=None if where.local else make(where, address, current, options["threads"]),
        )
