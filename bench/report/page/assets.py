"""Styles and scripts of the page, inlined: the page asks for no other file.

The table library lies in ``bench/report/vendor`` as its package has it; ``vendored.json`` there
names version, licence and digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

TEMPLATES, VENDOR = "templates", "vendor"


@dataclass(frozen=True)
class Assets:
    """What the page contains besides its text.

    Attributes:
        style: The style sheet.
        scripts: The library and the page's own script, in the order of running.
        policy: Content security policy: these scripts run, no other one, and nothing is loaded.
        licences: Name, version and licence of what was vendored, a line each.
    """

    style: str
    scripts: tuple[str, ...]
    policy: str
    licences: tuple[str, ...]


def read(folder: str, name: str) -> str:
    """The text of a file below ``bench/report``."""
    return (files("bench.report") / folder / name).read_text(encoding="utf-8")


def vendored() -> list[dict[str, Any]]:
    """What was vendored, as ``vendored.json`` describes it."""
    found: list[dict[str, Any]] = json.loads(read(VENDOR, "vendored.json"))
    return found


def assets() -> Assets:
    """The assets of the page.

    Raises:
        ValueError: A vendored file is not the one that its package had.
    """
    libraries = []
    for entry in vendored():
        text = read(VENDOR, entry["file"])
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest != entry["sha256"]:
            raise ValueError(f"{entry['file']}: sha256 is {digest}, not {entry['sha256']}")
        libraries.append(text)
    scripts = (*libraries, read(TEMPLATES, "page.js"))
    style = read(TEMPLATES, "page.css")
    lines = tuple(f"{e['name']} {e['version']} ({e['licence']})" for e in vendored())
    return Assets(style, scripts, _policy(scripts), lines)


def _policy(scripts: tuple[str, ...]) -> str:
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
