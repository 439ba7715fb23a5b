"""Which tests share a process under ``-n``.

`xdist` has groups of its own, by a mark. They have no effect with pytest 9.2, whose items have lost
the private attribute that they are written to.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from bench.training.frameworks import FRAMEWORKS, REFERENCE

_NAMES = re.compile(rf"(?<![^\[-])({'|'.join(map(re.escape, FRAMEWORKS))})(?![^\]-])")
_FRAMEWORK_TESTS = "tests/frameworks/"
WHOLE = tuple(
    f"{_FRAMEWORK_TESTS}{name}.py"
    for name in (
        "training/test_same_bits",
        "documents/test_replayed",
        "library/test_document",
        "baselines/test_tutorial",
        "test_world",
        "test_convert",
        "training/test_data_parallel",
        "test_explain",
        "baselines/test_bare_start",
        "test_ceilings",
    )
)
"""Files of frameworks that are a group each. They ask no probe but the reference's, so that a group
of each framework would only make the fixtures of their modules again; or, as the documents, what
they ask the reference takes longer than the start of all other probes."""
FIRST = (
    *FRAMEWORKS,
    *WHOLE,
    f"{_FRAMEWORK_TESTS}test_exports.py",
    f"{_FRAMEWORK_TESTS}training/test_trained_weights.py",
)
"""Groups that take minutes, in the order in which they start. Some are of a few tests, and would be
the last to start, while the other processes have nothing left to do."""
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
    by_framework = file.startswith(_FRAMEWORK_TESTS) and file not in WHOLE
    named = _NAMES.findall(bracket + parameters) if by_framework else []
    others = [name for name in named if name != REFERENCE]
    return (others or named or [_TOGETHER.get(file, file)])[0]


class ByGroup(LoadScopeScheduling):
    """Sends a group of tests to one process: the longest groups first, then the largest."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        first = next((group for group in FIRST if group in self.workqueue), None)
        if first:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)
