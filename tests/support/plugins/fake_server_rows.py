"""The extension that brings the fake servers into a process."""

from tests.support.plugins import fake_server

fake_server.register()
