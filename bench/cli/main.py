"""The ``alexbench`` command.

Exit codes: 0 success; 1 some case failed (all others are written), or a file cannot be written;
2 wrong usage or bad input, with one line that says what was wrong, where, and what would be right;
130, 143 and 129 stopped by SIGINT, SIGTERM and SIGHUP.
"""

from __future__ import annotations

import importlib
import io
import sys
import warnings
from difflib import get_close_matches
from typing import Any

import click

from bench import __version__
from bench.core import extensions, outputs, signals
from bench.core.cache import isolate_matplotlib
from bench.core.errors import BAD_PATHS, SYSTEM_ERRORS, UserError, notice
from bench.core.signals import to_nowhere

COMMANDS = (
    "run",
    "report",
    "compare",
    "history",
    "export",
    "audit",
    "annotate",
    "parity",
    "predict",
    "embed",
    "explain",
    "convert",
    "fetch",
    "list",
    "doctor",
    "calibrate",
)
"""Subcommands: a module of `bench.cli.commands` each, imported when called or listed by
``--help``."""


class Commands(click.Group):
    """The subcommands, imported on demand: a call pays for the imports of its own command only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of ``--help``."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a call; an unknown one is an error that says what may be meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else _help_of(ctx)
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        found = super().resolve_command(ctx, args)
        if found[1] is not None:
            _refuse_empty(found[1], ctx, found[2])
        return found

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bench.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, "list_command" if cmd_name == "list" else cmd_name)
        return command


def _refuse_empty(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Raise UsageError where a value is an empty text, as of a variable of the shell that is not
    set: as a path it is the current folder, and as a list of names all that there are."""
    parser = command.make_parser(click.Context(command, ctx, command.name))
    given, _, parameters = parser.parse_args(list(args))
    for parameter in parameters:
        value = given.get(parameter.name)
        values = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(one, str) and not one.strip() for one in values):
            advice = "give a value" + ("" if parameter.required else ", or leave it out")
            raise click.UsageError(
                f"{parameter.get_error_hint(ctx)}: an empty text; {advice} (is a variable unset?)",
                ctx,
            )


def main() -> None:
    """Entry point: run a command; what ends it becomes one line on stderr and an exit code."""
    warnings.showwarning = _show_warning
    isolate_matplotlib()
    outputs.keep("stderr")
    _escape_what_cannot_be_encoded()
    with signals.raising():
        code = _flushed(_code())
    sys.exit(code)


def _flushed(code: int) -> int:
    """The exit code once all output is out: what cannot go out at the interpreter's own end is
    words about an exception that is ignored, and exit code 120."""
    try:
        if sys.stdout is not None:  # closed when the process began
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        to_nowhere(1)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) and not code:
            return _failed(f"output: {error.strerror}", 1)
        return code or 1
    return code


def _escape_what_cannot_be_encoded() -> None:
    """Have characters escaped that the output's encoding lacks: a locale need not be UTF-8, nor the
    name of a file."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _code() -> int:
    """The exit code of the command; what went wrong is printed."""
    try:
        extensions.load()
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.NoSuchOption as error:
        message = error.format_message()
        if error.ctx and not error.possibilities:
            message += _help_of(error.ctx)
        return _failed(message, 2)
    except click.ClickException as error:
        return _failed(error.format_message(), 2)
    except UserError as error:
        return _failed(str(error), error.exit_code)
    except signals.Stopped as error:
        return _failed(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed("stopped; finished measurements are written", 130)
    except BrokenPipeError:
        return 1
    except Exception as error:
        if number := signals.received():  # a library has made another exception of it
            return _failed(str(signals.Stopped(number)), 128 + number)
        if isinstance(error, MemoryError):
            return _failed("out of memory; finished measurements are written", 1)
        if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS | BAD_PATHS:
            where = f"{error.filename}: " if error.filename else ""
            return _failed(f"{where}{error.strerror}", 1 if error.errno in SYSTEM_ERRORS else 2)
        if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
            return _failed(str(error), 2)  # pathlib's, until Python 3.13 an OSError
        raise
    return code if isinstance(code, int) else 0


def _help_of(context: click.Context) -> str:
    return f" See {context.command_path} --help."


def _failed(message: str, code: int) -> int:
    notice(message)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"alexbench: warning: {message}", err=True)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="alexbench")
def cli() -> None:
    """The same AlexNet in PyTorch and Keras, trained and timed by one harness."""
