"""The extension of fakes that are measured in no time: see `tests.support.plugins.instant`."""

from tests.support import fakes
from tests.support.plugins import instant

fakes.register()
instant.install()
