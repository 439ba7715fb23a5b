"""The extension of `tests.support.plugins.fake_normalised` for frameworks whose import takes a
minute where several are imported at once on a busy machine. PyTorch's peaks are not measured."""

from __future__ import annotations

from dataclasses import replace

from bench.harness import profiles
from bench.training.frameworks import FRAMEWORKS
from tests.support import fakes
from tests.support.plugins import fake_normalised

fake_normalised.register()

FRAMEWORKS["pytorch"] = replace(FRAMEWORKS["pytorch"], ceiling=None)
profiles.PROFILES[fakes.PROFILE.name] = replace(
    fakes.PROFILE, limits=replace(fakes.LIMITS, timeout_seconds=600)
)
