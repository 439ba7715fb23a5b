"""Packages that are blocked in a process are to it as if they were not installed."""

import subprocess
import sys

_PROBE = """
import importlib.util, sys
from bench.worker.device.blocking import block
block({"wave", "xmlrpc"})
assert "wave" not in sys.modules  # libraries use what stands there: None would break them
assert importlib.util.find_spec("wave") is None
for name in ("wave", "xmlrpc.client"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert error.name.partition(".")[0] in ("wave", "xmlrpc"), error
    else:
        raise AssertionError(name)
import importlib.metadata
assert importlib.metadata.version("pytest")
print("ok")
"""


def test_a_blocked_package_is_not_found_and_not_in_sys_modules():
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "ok\n", done.stderr
