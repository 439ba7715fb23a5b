"""The extension that brings the fakes into a process:
``ALEXBENCH_EXTENSIONS=tests.support.plugins.fake_framework``."""

from tests.support import fakes

fakes.register()
