"""The pair of trainings of a profile, from pretrained weights and from scratch: whether it is asked
for, and where its weights come from."""

from __future__ import annotations

from bench.core.errors import UserError, notice
from bench.core.kinds import ACCURACY
from bench.harness.profiles import Profile
from bench.harness.selection import Selection
from bench.weights.sources import available, fetch_published, how_to_get


def wanted(selection: Selection, profile: Profile) -> bool:
    """Whether the profile's pair is among what a selection asks for.

    It is no part of a selection of networks, recipes or weights, or of what these fix.
    """
    if profile.pretraining is None:
        return False
    tracks = selection.tracks or (profile.pretraining.track,)
    narrower = (
        *(selection.variants, selection.inits, selection.weights, selection.heads),
        *(selection.recipes, selection.batch_sizes, selection.input_sizes, selection.stages),
    )
    asked = ACCURACY in (selection.kinds or (ACCURACY,))
    return asked and profile.pretraining.track in tracks and not any(narrower)


def provide(selection: Selection, profile: Profile) -> None:
    """Download weights where the profile's pair needs them and none are here.

    Without weights the pair is left out, and one line says so and how to get them: nothing fails.
    """
    pair = profile.pretraining
    if pair is None or not wanted(selection, profile) or available(pair.sources):
        return
    try:
        fetch_published(pair.sources)
    except UserError as error:
        notice(
            "pretrained against scratch is not measured: there are no pretrained weights here, and "
            f"{error}; {how_to_get(pair.sources)}"
        )
