"""Headless Chromium for the tests of pages; nothing here downloads a browser."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str | None:
    """Why no page can be opened here; None where one can."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright not installed; pip install 'alexbench[dev]'"
    if executable() is None:
        return "no Chromium; apt-get install chromium"
    return None


def executable() -> str | None:
    """The installed Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium, closed at the end."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        # In a container root has no sandbox.
        started = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def page_of(started: Any, path: Path, fragment: str = "", **options: Any) -> Iterator[Any]:
    """A page of a file, with what went wrong on it in ``page.errors`` and ``page.requests``.

    Args:
        started: The browser.
        path: The file.
        fragment: After ``#``.
        options: Of the browser context: ``viewport``, ``color_scheme``, ``java_script_enabled``.
    """
    context = started.new_context(**options)
    try:
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "console",
            lambda line: page.errors.append(line.text) if line.type == "error" else None,
        )
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(f"{path.resolve().as_uri()}{f'#{fragment}' if fragment else ''}")
        yield page
    finally:
        context.close()
