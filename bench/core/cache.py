"""The cache: JSON files that one run leaves for the next, checked whenever they are read.

A cached file holds what it was made from, its content, and a digest over both. One that is damaged,
edited or made from something else is not used: one line says so, and it is made again.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from bench.core.errors import UserError, notice
from bench.core.files import expanded, sweep_once, temporary_directory, write_whole


def keep(path: Path, made_from: Any, content: Any) -> None:
    """Cache content under what it was made from; both are JSON values.

    A cache that cannot be written only costs the next run its time.
    """
    pair = json.loads(json.dumps({"made_from": made_from, "content": content}))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(str(path.parent))
        write_whole(path, json.dumps({**pair, "sha256": digest_of(pair)}))
    except OSError:
        pass


def recall(path: Path, made_from: Any) -> Any | None:
    """The content that `keep` wrote, where it was made from the same; else None.

    A file that is there and is not that gets a line on stderr.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        digest = found.pop("sha256")
        wanted = json.loads(json.dumps(made_from))
        if digest == digest_of(found) and found["made_from"] == wanted:
            return found["content"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    damaged(path)
    return None


def damaged(path: Path) -> None:
    """Say that something in the cache is passed over."""
    notice(f"{path}: not what was cached there; made again")


def digest_of(pair: Any) -> str:
    """sha256 (hex) over a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(pair, sort_keys=True).encode()).hexdigest()


def cache_folder() -> Path:
    """$ALEXBENCH_CACHE, else the user's cache folder, else one in the temporary folder.

    It may not exist yet.

    Raises:
        UserError: The variable names the home of a user that there is not.
    """
    named = os.environ.get("ALEXBENCH_CACHE")
    if named:
        try:
            return expanded(named)
        except UserError as error:
            raise UserError(f"$ALEXBENCH_CACHE: {error}") from None
    try:
        found = platformdirs.user_cache_path("alexbench")
    except RuntimeError:  # no home; older versions return a path that begins with ~
        return _homeless_cache()
    return found if found.is_absolute() else _homeless_cache()


_FOLDERS = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
"""Variables by which matplotlib finds its own."""


def isolate_matplotlib() -> None:
    """Leave its backend and its folders to us where the user's would do harm.

    A notebook's backend need not be installed here, and plots are drawn without any. Where a
    variable names no whole path, matplotlib would make a folder called ``~`` here.
    """
    os.environ.pop("MPLBACKEND", None)
    named = filter(None, map(os.environ.get, _FOLDERS))
    if all(map(os.path.isabs, named)):
        return
    try:
        folder = writable(cache_folder())
    except UserError:
        folder = temporary_folder()
    os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")


def _homeless_cache() -> Path:
    """A folder of this user's own below $TMPDIR, which others can write to as well."""
    folder = Path(tempfile.gettempdir()) / f"alexbench-cache-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid():
            return folder
    return temporary_folder()


def writable(folder: Path) -> Path:
    """`folder`, made where it is missing, or the temporary folder where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return temporary_folder()


@functools.cache
def temporary_folder() -> Path:
    """A folder that is gone when this process ends; `bench.core.files.sweep` knows its owner."""
    made = temporary_directory()
    atexit.register(shutil.rmtree, made.name, ignore_errors=True)
    _alive.append(made)
    return Path(made.name)


_alive: list[tempfile.TemporaryDirectory[str]] = []
"""Temporary folders of this process: collected as garbage they would be removed."""
