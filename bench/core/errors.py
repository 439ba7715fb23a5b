"""The one exception that means "the input is wrong", as opposed to "the code is wrong"."""

from __future__ import annotations


class UserError(Exception):
    """Bad input. The message is one line: what was wrong, where, and what would be right.

    The command line prints it and exits with 2; pytest shows it as a usage error.
    """
