"""The ``alexbench`` command.

Exit codes: 0 all well; 1 some case failed (the rest is written); 2 wrong usage or bad input, with
one line that says what was wrong, where, and what would be right.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench import __version__, extensions
from bench.case import ALL_TRACKS, INITS, KINDS, PRECISIONS
from bench.cli_pictures import embed, predict
from bench.defaults import NAMES as STAGES
from bench.errors import UserError
from bench.frameworks import FRAMEWORKS
from bench.matrix import Selection
from bench.profiles import PROFILES
from bench.recipes import RECIPES
from bench.variants import HEADS, VARIANTS


def main() -> None:
    """Entry point: run a command and turn what a user did wrong into one line and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        extensions.load()
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except UserError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; what was measured is written", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo(f"alexbench: {' '.join(message.split())}", err=True)
    sys.exit(2)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"alexbench: warning: {message}", err=True)


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else ()


def _numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers") from None


def _listed(*flags: str, known: Any) -> Callable[[Any], Any]:
    """An option that takes several names with commas between them."""
    text = f"Any of {', '.join(known)}; commas between them."
    return click.option(*flags, callback=_names, metavar="A,B", help=text)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="alexbench")
def cli() -> None:
    """The same AlexNet in PyTorch and Keras, trained and timed by one harness."""


cli.add_command(predict)
cli.add_command(embed)


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON object instead of tables.")
def list_command(as_json: bool) -> None:
    """Show the variants, frameworks and weights, and whether each can be had here."""
    from bench.listing import everything, print_tables

    if as_json:
        click.echo(json.dumps(everything(), indent=2))
    else:
        print_tables()


@cli.command()
@_listed("--variants", known=VARIANTS)
@_listed("--frameworks", known=FRAMEWORKS)
@_listed("--tracks", known=ALL_TRACKS)
@_listed("--kinds", known=KINDS)
@_listed("--inits", known=INITS)
@_listed("--heads", known=HEADS)
@_listed("--recipes", known=RECIPES)
@_listed("--precisions", known=PRECISIONS)
@_listed("--stages", known=STAGES)
@click.option("--batch-sizes", callback=_numbers, metavar="N,M", help="Images per batch.")
@click.option("--input-sizes", callback=_numbers, metavar="N,M", help="Pixels; resized on device.")
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
    from bench.display import Display
    from bench.matrix import jobs
    from bench.profiles import profile as profile_called
    from bench.runner import open_run, run_all

    chosen = profile_called(profile)
    todo = jobs(Selection(**selection), chosen)
    current, done = open_run(results, run_name, resume, chosen, data, validation=validation)
    with Display(sum(len(job.tasks) for job in todo)) as display:
        run_all(current, todo, display, done=done, parity=not no_parity)
    click.echo(current.write_report())
    return 1 if display.failed else 0


@cli.command()
@_listed("--variants", known=VARIANTS)
@_listed("--frameworks", known=FRAMEWORKS)
@click.option("--fresh", is_flag=True, help="Prove again what the cache has a certificate of.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def parity(
    variants: tuple[str, ...], frameworks: tuple[str, ...], fresh: bool, as_json: bool
) -> int:
    """Prove that every variant is the same network in every framework here."""
    from bench.certificates import obtain
    from bench.display import proof_progress
    from bench.prove import as_table, subjects

    wanted, found = subjects(variants, frameworks), []
    with proof_progress(len(wanted)) as (proving, proven):
        for _, certificate in obtain(wanted, proving, fresh=fresh):
            found.append(certificate)
            proven()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(as_table(found))
    return 1 if any(certificate["status"] != "pass" for certificate in found) else 0


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: the first RUN.")
@click.option("--readme", type=click.Path(path_type=Path), help="Renew this README's result block.")
def report(runs: tuple[Path, ...], output: Path | None, readme: Path | None) -> None:
    """Make tables, plots and HTML from the records of one or more runs, and from nothing else."""
    from bench.report import merge, update_readme, write_results

    merged = merge(runs)
    click.echo(write_results(merged.records, output or runs[0], notes=merged.notes))
    if readme:
        update_readme(readme, merged.records)


@cli.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def compare(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Per case: time of B over time of A, its interval and the verdict."""
    from bench.compare import as_text
    from bench.compare import compare as compare_runs
    from bench.records import RecordStore

    found = compare_runs(RecordStore(run_a).read(), RecordStore(run_b).read())
    if as_json:
        click.echo(json.dumps([row.to_json() for row in found], indent=2))
    else:
        click.echo(as_text(found))


@cli.command()
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--variant", help="The network, where the file fits several.")
@click.option("--force", is_flag=True, help="Replace OUT where it is there already.")
def convert(source: str, out: Path, variant: str | None, force: bool) -> None:
    """Write weights (a file, or the name of a source) in the form that OUT's suffix says."""
    from bench.convert import convert as write

    for sentence in write(source, out, named=variant, force=force):
        click.echo(sentence)
    click.echo(out)


@cli.command()
@click.argument("what", type=click.Choice(["cifar10", "weights"]))
def fetch(what: str) -> None:
    """Download, verify and cache a data set, or torchvision's weights."""
    from bench.download import fetch_cifar10
    from bench.sources import cache_folder
    from bench.weight_sources import fetch_weights

    click.echo(fetch_weights() if what == "weights" else fetch_cifar10(cache_folder()))


@cli.command()
@click.option("--no-ceilings", is_flag=True, help="Do not measure the highest FLOP/s.")
@click.option("--fresh", is_flag=True, help="Measure anew the ceilings that the cache has.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object instead of text.")
def doctor(no_ceilings: bool, fresh: bool, as_json: bool) -> None:
    """Show what each framework will really use here, how fast it can be, and what is missing."""
    from bench.doctor import ceiling_lines, diagnose

    found = diagnose(with_ceilings=not no_ceilings, fresh=fresh)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for section in ("machine", "data"):
        click.echo(section)
        _show(found[section])
    for name, row in found["frameworks"].items():
        click.echo(name)
        _show(row)
    if "ceilings" in found:
        click.echo("\n".join(ceiling_lines(found["ceilings"])))


def _show(fields: dict[str, Any], indent: str = "  ") -> None:
    for key, value in fields.items():
        name = key.replace("_", " ")
        if isinstance(value, dict):
            click.echo(f"{indent}{name}:")
            _show(value, indent + "  ")
        else:
            click.echo(f"{indent}{name}: {'cannot be asked' if value is None else value}")


if __name__ == "__main__":
    main()
