"""Commands that README, docs and the list of published runs show have options that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "results" / "README.md"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", RUNS, *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]*)`")


def commands(page: Path) -> Iterator[list[str]]:
    """The words after ``alexbench`` of every command in a page's blocks for a shell."""
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield from _commands(block.replace("\\\n", " ").splitlines())


def mentions(page: Path) -> Iterator[list[str]]:
    """The same of a page's prose, where a command may lack what it takes."""
    yield from _commands(_INLINE.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))))


def _commands(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        words = shlex.split(line, comments=True) if "alexbench" in line else []
        while words and ("=" in words[0] or words[0] in ("$", "time", "nice")):
            words.pop(0)
        if words[:1] == ["alexbench"]:
            yield list(_to_the_end(words[1:]))


def _to_the_end(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in ("|", ">", "&&", ";", "&"):
            return
        yield word


def parsed(words: list[str]) -> None:
    """Parse a command as the command line does, and carry nothing out."""
    name, *arguments = words
    assert name in COMMANDS, name
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    with command.make_context(name, arguments):
        pass


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for words in commands(page):
        if words in ([], ["--help"]) or "--help" in words:
            continue
        try:
            parsed(words)
        except click.ClickException as error:
            pytest.fail(f"alexbench {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_prose_is_understood(page: Path) -> None:
    for words in mentions(page):
        if not words or words[0].startswith("-") or "--help" in words:
            continue
        try:
            parsed(words)
        except click.MissingParameter:
            continue
        except click.ClickException as error:
            pytest.fail(f"alexbench {shlex.join(words)}: {error.format_message()}")


def test_the_guides_are_read() -> None:
    found = {page.name: list(commands(page)) for page in PAGES}
    assert len(found["scaling.md"]) >= 7
    assert len(found["gpu.md"]) >= 5
    assert sum(map(len, found.values())) >= 40
    assert len([words for words in mentions(RUNS) if words[:1] == ["run"]]) >= 20


def test_an_option_that_does_not_exist_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed(["run", "--no-such-option"])
