"""Which tests share a process under ``-n``.

`xdist` has groups of its own, by a mark. They have no effect with pytest 9.2, whose items have lost
the private attribute that they are written to.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

from bench.training.frameworks import FRAMEWORKS, REFERENCE

_NAMES = re.compile(rf"(?<![^\[-])({'|'.join(map(re.escape, FRAMEWORKS))})(?![^\]-])")
_FRAMEWORK_TESTS = "tests/frameworks/"
_TOGETHER = {f"tests/report/test_{name}.py": "whole report" for name in ("html", "plots")}
"""Files that share a fixture of session scope."""


def group_of(nodeid: str) -> str:
    """The name of the group of a test: its framework's, else its file.

    Importing a framework takes seconds. Its tests share the process that has imported it, and what
    was asked there (`tests.frameworks.support.client`). One of two frameworks is in the group of
    that which is not the reference: every group asks the reference.
    """
    file, _, test = nodeid.partition("::")
    _, bracket, parameters = test.partition("[")
    named = _NAMES.findall(bracket + parameters) if file.startswith(_FRAMEWORK_TESTS) else []
    others = [name for name in named if name != REFERENCE]
    return (others or named or [_TOGETHER.get(file, file)])[0]


class ByGroup(LoadScopeScheduling):
    """Sends a group of tests to one process; the largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
