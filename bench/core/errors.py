"""Messages of one line for a user: errors that end a command, and notices that do not."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """Bad input. The message is one line: what was wrong, where, and what would be right.

    The command line prints it and exits with `exit_code`; pytest shows it as a usage error.
    """

    exit_code = 2


class UnavailableError(UserError):
    """What was asked for cannot be had here, such as a precision or an execution on this device.

    A measurement that raises it is a skipped row with the message, no failed one.
    """


class OutputError(UserError):
    """The system does not take what is to be written: the disk is full, a folder is read-only."""

    exit_code = 1


def unknown(what: str, name: object, known: Iterable[str], where: str = "") -> UserError:
    """The error for an unknown name, with the nearest known one and a list of all.

    Args:
        what: What it names, such as ``variant``.
        name: The name, or whatever was given for it.
        known: All valid names.
        where: Text before the message, with its colon.
    """
    names, shown = list(known), str(name)[:_SHOWN]
    within = [one for one in names if shown and shown in one]
    close = within if len(within) == 1 else get_close_matches(shown, names, n=1, cutoff=_LIKE)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return UserError(f"{where}unknown {what} {shown!r}{meant}; known: {', '.join(names)}")


_SHOWN = 60  # characters of a name
_LIKE = 0.75  # of difflib's ratio: "torch" is like "pytorch", "fine" is not like "failed"

SYSTEM_ERRORS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Error numbers that are about the machine and not about the code: one line, no traceback."""

BAD_PATHS = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR})
"""Error numbers of a path that can name nothing: bad input."""


def reason_of(error: Exception) -> str:
    """Why a file cannot be read, in one line without the file's name, which the message has."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8: byte {error.start + 1} is {error.object[error.start]:#04x}"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    return " ".join(str(error).split())[:200]


def kind_of(error: OSError) -> type[UserError]:
    """`OutputError` where the system refuses (no room, no permission), which is exit code 1."""
    return OutputError if error.errno in SYSTEM_ERRORS else UserError


def cannot_write(path: Path, error: OSError, advice: str, *, what: str = "to") -> UserError:
    """The error of a file or folder that cannot be written.

    Args:
        path: What was to be written.
        error: Why it could not be.
        advice: What would help, as the end of the sentence.
        what: Words before the path, such as ``results into``.

    Returns:
        An `OutputError` where the system refuses (no room, no permission); else, for a path that
        cannot be one, a `UserError`.
    """
    kind = kind_of(error)
    why = error.strerror or error
    if isinstance(error, FileExistsError):  # a folder was to be made there
        why = f"{error.filename or path} is no folder"
    return kind(f"cannot write {what} {path}: {why}; {advice}")


def notice(text: str) -> None:
    """Print one line on stderr; nothing where that is closed."""
    with suppress(OSError, ValueError):
        print(f"alexbench: {' '.join(text.split())}", file=sys.stderr)
