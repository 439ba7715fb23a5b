"""The extension of fakes that are measured in no time: see `tests.support.instant`."""

from tests.support import fakes, instant

fakes.register()
instant.install()
