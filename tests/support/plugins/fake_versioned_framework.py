"""The extension that brings the fakes of `tests.support.plugins.fake_versions` into a process."""

from tests.support.plugins import fake_versions

fake_versions.register()
