"""The extension that brings the fakes of `tests.support.plugins.fake_normalised` into a process."""

from tests.support.plugins import fake_normalised

fake_normalised.register()
