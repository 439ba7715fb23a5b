"""Options that several subcommands share. Defaults are shown in ``--help``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bench.core.case import EXECUTION_NAMES, INITS, PRECISIONS
from bench.core.kinds import KINDS
from bench.core.system.devices import AUTO, NAMES
from bench.core.system.resources import use_threads
from bench.harness.selection import AUTO_BATCH
from bench.inference.limits import MAX_PIXELS
from bench.networks.variants import HEADS, VARIANTS
from bench.training.defaults import NAMES as STAGES
from bench.training.frameworks import FRAMEWORKS
from bench.training.tracks import TRACKS
from bench.worker.environment import keep

Decorator = Callable[[Any], Any]


def names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Click callback: names separated by commas; None stands for no option."""
    found = named(value)
    if value is not None and not found:
        raise click.BadParameter(f"{value!r} has no name in it")
    return found


def named(value: str | None) -> tuple[str, ...]:
    """Names separated by commas; none where there is no text."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Click callback: integers separated by commas."""
    try:
        return tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers") from None


def batch_sizes(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...]:
    """Click callback: `numbers`, or ``auto``."""
    if value is not None and value.strip().lower() == AUTO:
        return (AUTO_BATCH,)
    found = numbers(context, parameter, value)
    if any(number < 1 for number in found):
        raise click.BadParameter(f"{value!r}: must all be at least 1")
    return found


def listed(*flags: str, known: Iterable[str]) -> Decorator:
    """An option that takes several names of ``known``, separated by commas."""
    return _listed(*flags, text=f"Any of {', '.join(known)}; separated by commas.")


def _listed(*flags: str, text: str) -> Decorator:
    return click.option(*flags, callback=names, metavar="A,B", help=text)


def json_option(instead_of: str) -> Decorator:
    """``--json``, passed on as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=f"JSON instead of {instead_of}.")


def profile_option(default: str, known: Iterable[str]) -> Decorator:
    """``--profile``: how much is measured."""
    text = f"One of {', '.join(known)}."
    return click.option("--profile", default=default, show_default=True, help=text)


def process_options(command: Any) -> Any:
    """``--threads`` and ``--keep-env``, passed on as ``threads`` and ``keep_env``."""
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Measure on N of the CPUs, with as many threads; OMP_NUM_THREADS has no effect.",
    )
    keep_env = click.option(
        "--keep-env",
        multiple=True,
        metavar="NAME",
        help="Let an environment variable reach the workers that they do not inherit, such as "
        "OMP_PROC_BIND; records name it. May be repeated.",
    )
    return threads(keep_env(command))


def apply_process_options(threads: int | None, keep_env: Iterable[str]) -> None:
    """Do what `process_options` asks for, in this process and all workers.

    Raises:
        UserError: There are not so many CPUs, or a variable cannot be passed on.
    """
    if threads is not None:
        use_threads(threads)
    keep(keep_env)


data_option: Decorator = click.option(
    "--data",
    default="auto",
    show_default=True,
    metavar="NAME|PATH",
    help="Dataset: auto, cifar10, generated, or the path of one.",
)

resize_option: Decorator = click.option(
    "--resize",
    type=click.IntRange(min=16, max=512),
    metavar="PIXELS",
    help="Resize images in class folders to this size: the shorter side, then a centre crop. "
    "Networks resize from there to their input on the device.",
)

device_option: Decorator = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help=f"One of {', '.join(NAMES)}; cuda:1 is the second. auto takes an accelerator that every "
    "framework here can use, else cpu.",
)

runs_argument: Decorator = click.argument(
    "runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
"""Folders of runs, files of records or patterns: see `bench.core.run_paths.find`."""

_RECORD_OPTIONS: dict[str, tuple[str, Decorator]] = {
    "variants": ("variant", listed("--variants", known=VARIANTS)),
    "frameworks": ("framework", listed("--frameworks", known=FRAMEWORKS)),
    "tracks": ("track", listed("--tracks", known=TRACKS)),
    "inits": ("init", listed("--inits", known=INITS)),
    "heads": ("head", listed("--heads", known=HEADS)),
    "recipes": (
        "recipe",
        _listed("--recipes", text="Names with their @budget, separated by commas."),
    ),
    "precisions": ("precision", listed("--precisions", known=PRECISIONS)),
    "executions": ("execution", listed("--executions", known=EXECUTION_NAMES)),
    "stages": ("defaults", listed("--stages", known=STAGES)),
    "weights": (
        "weights",
        _listed("--weights", text="Names of weight sources, separated by commas."),
    ),
    "batch_sizes": (
        "batch_size",
        click.option("--batch-sizes", callback=numbers, metavar="N,M", help="Images per batch."),
    ),
    "input_sizes": (
        "input_size",
        click.option(
            "--input-sizes",
            callback=numbers,
            metavar="N,M",
            help="Height and width of the network's input, in pixels.",
        ),
    ),
    "seeds": (
        "seed",
        click.option("--seeds", callback=numbers, metavar="N,M", help="Seeds by number."),
    ),
    "device": ("device", listed("--device", known=[name for name in NAMES if name != "auto"])),
}
"""Options that select records as those of ``run`` select cases: field of a case, and option."""


def record_options(command: Any) -> Any:
    """The options that select records, passed on as ``chosen``, a `bench.analysis.runs.Filter`."""

    @wraps(command)
    def with_filter(*positional: Any, kinds: Any, cases: Any, **arguments: Any) -> Any:
        from bench.analysis.runs import Filter

        values = {field: arguments.pop(name) for name, (field, _) in _RECORD_OPTIONS.items()}
        fields = {field: wanted for field, wanted in values.items() if wanted}
        return command(*positional, chosen=Filter(fields, kinds, cases), **arguments)

    decorators = [
        click.option(
            "--case", "cases", multiple=True, metavar="ID", help="Id of a case; may be repeated."
        ),
        listed("--kinds", known=KINDS),
        *(option for _, option in _RECORD_OPTIONS.values()),
    ]
    chosen: Any = with_filter
    for option in reversed(decorators):
        chosen = option(chosen)
    return chosen


def several_runs_options(page: str, instead_of: str) -> Decorator:
    """What commands about several runs share: runs, selection, ``--json``, ``--html``, ``-o``.

    The last two are passed on as ``page``: the path of the page, or None where none is asked for.

    Args:
        page: Name of the file that ``--html`` writes by default.
        instead_of: What is printed without an option.
    """
    html = click.option(
        "--html", is_flag=True, help=f"Write a page (see -o) instead of {instead_of}."
    )
    output = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"The page; implies --html.  [default: {page}]",
    )

    def decorate(command: Any) -> Any:
        @wraps(command)
        def with_page(*given: Any, html: bool, output: Path | None, **more: Any) -> Any:
            wanted = output or (Path(page) if html else None)
            if wanted and more["as_json"]:
                raise click.UsageError("--json prints and --html writes a page: give one of them")
            return command(*given, page=wanted, **more)

        decorated: Any = with_page
        for option in (output, html, json_option(instead_of), record_options, runs_argument):
            decorated = option(decorated)
        return decorated

    return decorate


_IMAGE_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--framework",
        metavar="F",
        help=f"One of {', '.join(FRAMEWORKS)}; by default the first that is installed.",
    ),
    click.option(
        "--weights",
        default="torchvision",
        show_default=True,
        metavar="NAME|FILE",
        help="Name of a weight source, or a file.",
    ),
    click.option("--recursive", "-r", is_flag=True, help="Take folders with their sub-folders."),
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse images that are not 8-bit RGB, instead of converting grey, CMYK, palette, "
        "transparent (on white), 16-bit and animated (first frame) ones; take those that EXIF "
        "turns as they are stored.",
    ),
    click.option("--convert", is_flag=True, hidden=True, help="Has no effect: it is the default."),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        show_default=True,
        metavar="N",
        help="Refuse larger images, which may be decompression bombs.",
    ),
    click.option(
        "--show-skipped", is_flag=True, help="Name the files in folders that are passed over."
    ),
    device_option,
)

_INFERENCE_BATCH_OPTION: Decorator = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="Images per batch.",
)

_READING_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--key", metavar="NAME", help="One of several sets of weights in the file, such as ema."
    ),
    click.option(
        "--channel-order",
        type=click.Choice(("RGB", "BGR")),
        help="Channel order of the images that weights from Caffe or MATLAB expect.",
    ),
)


def reading_options(command: Any) -> Any:
    """What a file of weights does not say: see `bench.weights.reading.Reading`."""
    for option in reversed(_READING_OPTIONS):
        command = option(command)
    return command


def image_options(command: Any) -> Any:
    """The arguments of ``predict`` and ``embed``: see `bench.cli.images.ImageRun`."""
    return _of_images(_INFERENCE_BATCH_OPTION(command), required=True)


def explain_options(command: Any) -> Any:
    """The same for ``explain``, which does without images and chooses the batch size itself."""
    return _of_images(command, required=False)


def _of_images(command: Any, *, required: bool) -> Any:
    kind = click.Path(path_type=Path)
    argument = click.argument("images", nargs=-1, required=required, metavar="IMAGE...", type=kind)
    for option in reversed((argument, *_IMAGE_OPTIONS)):
        command = option(command)
    return reading_options(command)
