"""The extension that brings the fakes into a process in which no measurement counts as disturbed,
for tests of verdicts that run next to other tests."""

import sys

from bench.core.system import machine
from tests.support import fakes

fakes.register()
machine.TOLERATED = 1.0
if verdicts := sys.modules.get("bench.stats.verdicts"):
    vars(verdicts)["TOLERATED"] = 1.0  # which bench.plugin has imported, and this name with it
