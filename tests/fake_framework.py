"""The extension that brings the fakes into a process: ``ALEXBENCH_EXTENSIONS=fake_framework``."""

import fakes

fakes.register()
