"""The ``alexbench`` command.

Exit codes: 0 success; 1 some case failed (all others are written); 2 wrong usage or bad input, with
one line that says what was wrong, where, and what would be right.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

import click

from bench import __version__
from bench.core import extensions
from bench.core.errors import UserError

COMMANDS = (
    "run",
    "report",
    "compare",
    "audit",
    "annotate",
    "parity",
    "predict",
    "embed",
    "convert",
    "fetch",
    "list",
    "doctor",
    "calibrate",
)
"""Subcommands: a module of this package each, imported when called or listed by ``--help``."""


class Commands(click.Group):
    """The subcommands, imported on demand: a call pays for the imports of its own command only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of ``--help``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bench.cli.{cmd_name}")
        command: click.Command = getattr(module, "list_command" if cmd_name == "list" else cmd_name)
        return command


def main() -> None:
    """Entry point: run a command; bad input becomes one line on stderr and exit code 2."""
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
        click.echo("stopped; finished measurements are written", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo(f"alexbench: {' '.join(message.split())}", err=True)
    sys.exit(2)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"alexbench: warning: {message}", err=True)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="alexbench")
def cli() -> None:
    """The same AlexNet in PyTorch and Keras, trained and timed by one harness."""
