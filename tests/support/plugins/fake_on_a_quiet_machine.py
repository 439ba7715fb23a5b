"""The extension that brings the fakes into a process in which no measurement counts as disturbed,
for tests of verdicts that run next to other tests."""

from bench.core.system import machine
from tests.support import fakes

fakes.register()
machine.TOLERATED = 1.0
