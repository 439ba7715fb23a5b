"""The extension that brings the fake servers into a process."""

import fake_server

fake_server.register()
